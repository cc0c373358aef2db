"""Pictures of the ground: size and direction of their pixels, scale bars and north arrows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from alps_geo.outputs.drawing import Area, Box, Text
from alps_geo.outputs.ground import base_crs, horizontal_crs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from affine import Affine

    from alps_geo.clusters.colors import Color
    from alps_geo.outputs.drawing import Mark
    from alps_geo.outputs.letters import Lettering

_STEP = 0.05
"""Share of a picture over which its pixels are measured, on both sides of its centre."""

_UPRIGHT = 3.0
"""Degrees that north may be off before an arrow is needed."""

_KILOMETRE = 1000.0


@dataclass(frozen=True)
class GroundView:
    """Pixels of a picture at its centre, on the ground.

    Attributes
    ----------
    across, down : float
        Length of a pixel along a row and along a column.
    unit : str
        Of the lengths: m, or px of the scene where it has no place on the ground.
    north : float or None
        Direction of true north in the picture, in degrees clockwise from up; None if unknown.
    needs_arrow : bool
        True if the grid is rotated or geographic, or north is not up.
    crs : str
        The CRS in words.
    """

    across: float
    down: float
    unit: str
    north: float | None
    needs_arrow: bool
    crs: str

    @classmethod
    def of(cls, crs: object | None, transform: Affine, shape: tuple[int, int]) -> GroundView:
        """Measure a picture of (rows, cols) whose pixels a transform places in a CRS.

        Without a CRS, the transform leads to pixels of the scene.
        """
        across, down = _lengths(transform)
        if crs is None:
            return cls(across, down, "px", None, needs_arrow=False, crs="no CRS")
        known = CRS.from_user_input(crs)
        horizontal = horizontal_crs(known)
        unit = horizontal.axis_info[0].unit_conversion_factor if horizontal.axis_info else 1.0
        right, below = _on_ground(horizontal, transform, shape)
        words = _words(known)
        if not np.isfinite([*right, *below]).all() or abs(np.linalg.det([right, below])) < 1e-12:
            if horizontal.is_geographic:
                return cls(math.nan, math.nan, "m", None, needs_arrow=False, crs=words)
            return cls(across * unit, down * unit, "m", None, needs_arrow=False, crs=words)
        x, y = np.linalg.solve(np.transpose([right, below]), (0.0, 1.0))
        across, down = float(np.hypot(*right)), float(np.hypot(*below))
        # In a picture whose pixels are squares of the smaller of the two lengths.
        north = math.degrees(math.atan2(x * across, -y * down))
        turned = max(abs(transform.b), abs(transform.d)) > 1e-6 * max(_lengths(transform))
        needs = turned or horizontal.is_geographic or abs(north) > _UPRIGHT
        return cls(across, down, "m", north, needs_arrow=needs, crs=words)

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        return self.down / self.across if self.across and math.isfinite(self.down) else 1.0


def _lengths(transform: Affine) -> tuple[float, float]:
    return math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)


def _words(crs: CRS) -> str:
    """Name a CRS, with its authority and code where it has them."""
    authority = crs.to_authority(min_confidence=100) or crs.to_authority()
    name = "" if crs.name.lower() in ("unknown", "unnamed", "undefined") else crs.name
    code = "" if authority is None else ":".join(authority)
    return "   ".join(filter(None, (code, name))) or "CRS without a name"


def _on_ground(
    crs: CRS, transform: Affine, shape: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return metres to east and north, of one pixel to the right and of one down; NaN if none."""
    nowhere = (math.nan, math.nan)
    base = base_crs(crs.geodetic_crs)
    geod = None if base is None else base.get_geod()
    if base is None or geod is None:
        return nowhere, nowhere
    degrees = math.degrees(base.axis_info[0].unit_conversion_factor)
    rows, cols = shape
    steps = []
    for x, y in ((max(cols * _STEP, 0.5), 0.0), (0.0, max(rows * _STEP, 0.5))):
        ends = [transform @ (cols / 2 + s * x, rows / 2 + s * y) for s in (-1, 1)]
        try:
            lon, lat = Transformer.from_crs(crs, base, always_xy=True).transform(
                *np.transpose(ends)
            )
        except ProjError:
            return nowhere, nowhere
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return nowhere, nowhere
        lon, lat = np.asarray(lon) * degrees, np.asarray(lat) * degrees
        there, back, length = geod.inv(lon[0], lat[0], lon[1], lat[1])
        # The direction at the middle: meridians meet, so that it differs at both ends.
        middle = math.radians(there + _turn(back + 180 - there) / 2)
        pixels = 2 * (x + y)
        steps.append((length * math.sin(middle) / pixels, length * math.cos(middle) / pixels))
    return steps[0], steps[1]


def _turn(degrees: float) -> float:
    return (degrees + 180) % 360 - 180


@dataclass(frozen=True)
class ScaleStyle:
    """Look of scale bars and north arrows.

    Attributes
    ----------
    text : Lettering
        Lettering of their texts.
    height : int
        Height of an arrow, in pixels.
    ink : (red, green, blue)
        Of all of them.
    """

    text: Lettering
    height: int
    ink: Color


def scale_bar(view: GroundView, longest: float) -> tuple[int, str] | None:
    """Choose a round length that is at most so many pixels long.

    Returns
    -------
    (pixels, text) or None
        Length of the bar in the picture, and in words; None if pixels have no length.
    """
    most = longest * view.across
    if not (math.isfinite(most) and most > 0):
        return None
    power = 10.0 ** math.floor(math.log10(most))
    length = next(step * power for step in (5, 2, 1) if step * power <= most * (1 + 1e-9))
    if view.unit == "px" and length < 1:
        return None
    return round(length / view.across), _length_text(length, view.unit)


def _length_text(length: float, unit: str) -> str:
    if unit == "m" and length >= _KILOMETRE:
        return f"{length / _KILOMETRE:,.0f} km"
    if unit == "m" and length < 1:
        return f"{length * 100:g} cm" if length >= 0.01 else f"{length * 1000:g} mm"
    return f"{length:,.0f} {unit}"


def scale_marks(
    view: GroundView, corner: tuple[int, int], longest: float, style: ScaleStyle
) -> Iterator[Mark]:
    """Yield a scale bar and, where it is needed, an arrow to the north, to the right of a corner.

    The bar is at most `longest` pixels; all lie within the height of the style.
    """
    x, middle = corner[0], corner[1] + style.height // 2
    thickness = max(2, style.height // 6)
    if (bar := scale_bar(view, longest)) is not None:
        pixels, words = bar
        top = middle - thickness // 2
        last = x + pixels - 1
        yield Box((x, top), (last, top + thickness - 1), style.ink)
        for end in (x, last - thickness // 2):
            yield Box(
                (end, top - thickness), (end + thickness // 2, top + 2 * thickness - 1), style.ink
            )
        x = last + style.height // 2
        yield Text((x, middle), words, style.text, style.ink, "lm")
        x += math.ceil(style.text.width(words))
    if view.needs_arrow and view.north is not None:
        yield from _arrow((x + style.height * 1.5, middle), view.north, style)


def _arrow(middle: tuple[float, float], north: float, style: ScaleStyle) -> Iterator[Mark]:
    """Yield an arrow through a point, and an N where it points to."""
    half, angle = style.height / 2, math.radians(north)
    ahead, right = (math.sin(angle), -math.cos(angle)), (math.cos(angle), math.sin(angle))

    def at(forward: float, aside: float) -> tuple[float, float]:
        return tuple(
            m + half * (forward * a + aside * r)
            for m, a, r in zip(middle, ahead, right, strict=True)
        )  # type: ignore[return-value]  # two of each

    yield Area((at(1, 0), at(-0.8, 0.6), at(-0.4, 0), at(-0.8, -0.6)), style.ink)
    start = (middle[0] + style.height * 0.75, middle[1])
    yield Text(start, "N", style.text, style.ink, "lm")
