"""Outlines of glyphs as paths, and parts of typefaces that other files embed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uharfbuzz as hb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alps_geo.outputs.letters import Glyph
    from alps_geo.outputs.typefaces import Typeface

    Point = tuple[float, float]
    Step = tuple[str, tuple[Point, ...]]


def outline(glyph: Glyph) -> list[Step]:
    """Return the outline of a glyph in the units of its typeface, y upwards.

    Returns
    -------
    list of (letter, points)
        Steps: ``m`` begins a contour, ``l`` goes straight to a point, ``c`` along a cubic curve,
        and ``h`` closes the contour.
    """
    pen = _Pen()
    hb.Font(glyph.typeface.face).draw_glyph_with_pen(glyph.number, pen)
    return pen.steps


def part_of(
    typeface: Typeface, *, glyphs: Iterable[int] = (), letters: Iterable[str] = ()
) -> bytes:
    """Return the font file of a part of a typeface: of glyphs, or of letters in all their forms.

    Glyphs that are asked for keep their numbers.
    """
    wanted = hb.SubsetInput()
    wanted.glyph_set.update(glyphs)
    wanted.unicode_set.update(map(ord, letters))
    if wanted.glyph_set:
        wanted.flags |= hb.SubsetFlags.RETAIN_GIDS
    return bytes(hb.subset(typeface.face, wanted).blob.data)


class _Pen:
    """Steps of an outline, from the calls that HarfBuzz makes of pens."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._at = (0.0, 0.0)

    def moveTo(self, point: Point) -> None:  # noqa: N802 (HarfBuzz calls it)
        """Begin a contour."""
        self._go("m", point)

    def lineTo(self, point: Point) -> None:  # noqa: N802
        """Go straight on."""
        self._go("l", point)

    def curveTo(self, *points: Point) -> None:  # noqa: N802
        """Go on along a cubic curve."""
        self._go("c", *points)

    def qCurveTo(self, control: Point, end: Point) -> None:  # noqa: N802
        """Go on along a quadratic curve, as a cubic one."""
        first, last = (_between(point, control) for point in (self._at, end))
        self._go("c", first, last, end)

    def closePath(self) -> None:  # noqa: N802
        """End a contour."""
        self.steps.append(("h", ()))

    def _go(self, step: str, *points: Point) -> None:
        self.steps.append((step, points))
        self._at = points[-1]


def _between(point: Point, control: Point) -> Point:
    return tuple(p + 2 / 3 * (c - p) for p, c in zip(point, control, strict=True))  # type: ignore[return-value]  # two
