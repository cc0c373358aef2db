"""Units of areas for people: square metres, hectares, square kilometres, or pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class AreaUnit:
    """A unit of areas.

    Attributes
    ----------
    name : str
        Its symbol.
    size : float
        Its size in square metres, or in pixels.
    digits : int
        Decimal places that are shown.
    """

    name: str
    size: float
    digits: int

    def shown(self, area: float) -> str:
        """Return an area, in square metres or pixels, as a number in this unit; a dash for NaN.

        Areas that would be rounded to 0 are below the smallest number.
        """
        if math.isnan(area):
            return "-"
        smallest = 10.0**-self.digits
        if 0 < area / self.size < smallest / 2:
            return f"<{smallest:g}"
        return f"{area / self.size:,.{self.digits}f}"


def area_unit(largest: float, measure: str) -> AreaUnit:
    """Choose a unit in which all areas of a table are short numbers.

    Parameters
    ----------
    largest : float
        The largest area.
    measure : str
        Measure of areas in records: ``m2`` or ``px``.

    Examples
    --------
    >>> area_unit(250_000.0, "m2").name
    'ha'
    >>> area_unit(250_000.0, "m2").shown(1_234.0)
    '0.12'
    """
    if measure == "px":
        return AreaUnit("px", 1.0, 0)
    if largest >= 1e7:
        return AreaUnit("km²", 1e6, 2)
    return AreaUnit("ha", 1e4, 2) if largest >= 1e5 else AreaUnit("m²", 1.0, 0)
