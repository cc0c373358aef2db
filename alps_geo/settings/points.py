"""Prompts for masks, as a user asks for them: grid:32, regions:400 or none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from alps_geo.errors import SettingsError
from alps_geo.fields import Rule

_LIMITS = {"grid": 256, "regions": 256**2}
"""Highest number after each word; the number of prompts is the same."""

_GRID = "points_per_side"
"""Setting of earlier versions, which had grids alone."""


@dataclass(frozen=True)
class Points:
    """Prompts of a tile.

    Attributes
    ----------
    per_side : int or None
        Points along each side of a grid; None for other prompts.
    regions : int
        Regions with a prompt each, on a tile full of data; 0 for other prompts.
    """

    per_side: int | None = None
    regions: int = 0

    @classmethod
    def read(cls, text: str) -> Points:
        """Read text such as grid:32; raise ValueError for text of another form.

        >>> Points.read("grid:32")
        Points(per_side=32, regions=0)
        """
        if text == "none":
            return cls()
        found = re.fullmatch(r"(grid|regions):([0-9]{1,9})", text)
        if found is None:
            raise ValueError(text)
        word, count = found[1], int(found[2])
        if not 1 <= count <= _LIMITS[word]:
            raise ValueError(text)
        return cls(per_side=count) if word == "grid" else cls(regions=count)


@dataclass(frozen=True)
class PointsRule(Rule):
    """Text that `Points` can be read from."""

    earlier_names: ClassVar[tuple[str, ...]] = (_GRID,)

    def check(self, name: str, value: str) -> None:
        """Raise SettingsError for text of another form, or a number that is out of range."""
        try:
            Points.read(value)
        except ValueError:
            raise SettingsError(
                f"{name} is {value!r}, expected {self._words()}, such as grid:32"
            ) from None

    def describe(self) -> str:
        """Return the allowed values in words."""
        return "`grid:1` to `grid:256`, `regions:1` to `regions:65536`, `none`"

    def stored(self, name: str, value: str) -> tuple[str, Any]:
        """Return name and value in fingerprints: those of before for a grid."""
        per_side = Points.read(value).per_side
        return (name, value) if per_side is None else (_GRID, per_side)

    def current(self, name: str, value: Any) -> Any:
        """Return the text for a value that is stored, or was typed, under a name."""
        return f"grid:{value}" if name == _GRID else value

    def _words(self) -> str:
        return self.describe().replace("`", "").replace(", none", ", or none")


def check_prompts(points: str, fill: str) -> None:
    """Raise SettingsError if there are neither prompts for masks nor superpixels."""
    if points == fill == "none":
        raise SettingsError(
            "points is 'none' and fill is 'none', so nothing would become a segment; expected "
            "points such as grid:32, or superpixels as a fill"
        )
