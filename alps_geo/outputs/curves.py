"""Curves over a number, one below the other, as one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from alps_geo.outputs.draw import FAINT_INK, INK, save_png, sheet
from alps_geo.outputs.letters import pillow_lettering

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_GRID, _LINE, _MARK = (228, 230, 233), (31, 119, 180), (214, 69, 65)

# In pixels of a picture that is drawn twice as large and then made smaller, for smooth lines.
_SCALE = 2
_WIDTH, _HEIGHT = 1800, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 160, 50, 76, 70
_TEXT = 30
_DOT = 7


@dataclass(frozen=True)
class Curve:
    """A curve with bars of error.

    Attributes
    ----------
    title : str
        The quantity that it shows.
    unit : str
        Its unit, or its range.
    x, y : tuple of float
        Coordinates of the points, by ascending x.
    error : tuple of float
        Half the length of a bar through each point; empty for none.
    """

    title: str
    unit: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A line through all curves.

    Attributes
    ----------
    x : float
        Its position.
    meaning : str
        Text that explains it.
    """

    x: float
    meaning: str


def write_curves(path: Path, curves: Sequence[Curve], *, mark: Mark, across: str) -> None:
    """Draw curves as a PNG.

    Parameters
    ----------
    path : pathlib.Path
        File to write; one that is there is replaced at the end.
    curves : sequence of Curve
        All of the same x.
    mark : Mark
        The line through all of them.
    across : str
        Name of x.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    picture = sheet(_WIDTH, _HEIGHT * len(curves))
    for number, curve in enumerate(curves):
        panel = sheet(_WIDTH, _HEIGHT)
        _draw(ImageDraw.Draw(panel), curve, mark, across)
        picture.paste(panel, (0, number * _HEIGHT))
    smooth = picture.resize(
        (picture.width // _SCALE, picture.height // _SCALE), Image.Resampling.LANCZOS
    )
    save_png(path, smooth)


@dataclass(frozen=True)
class _Axes:
    """Scales of the panel of a curve."""

    left: float
    width: float
    low: float
    high: float

    @classmethod
    def of(cls, curve: Curve) -> _Axes:
        low = min(y - e for y, e in zip(curve.y, _errors(curve), strict=True))
        high = max(y + e for y, e in zip(curve.y, _errors(curve), strict=True))
        return cls(curve.x[0], (curve.x[-1] - curve.x[0]) or 1.0, low, high)

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return the position of a point in the panel, in pixels from its upper left corner."""
        spread = (self.high - self.low) or 1.0
        right = _LEFT + (x - self.left) / self.width * (_WIDTH - _LEFT - _RIGHT)
        return right, _HEIGHT - _BOTTOM - (y - self.low) / spread * (_HEIGHT - _TOP - _BOTTOM)


def _errors(curve: Curve) -> tuple[float, ...]:
    return curve.error or (0.0,) * len(curve.y)


def _draw(draw: ImageDraw.ImageDraw, curve: Curve, mark: Mark, across: str) -> None:
    text, axes = pillow_lettering(_TEXT), _Axes.of(curve)
    text.draw(draw, (_LEFT, 18), curve.title, INK)
    text.draw(draw, (_LEFT + text.width(curve.title), 18), f", {curve.unit}", FAINT_INK)
    text.draw(draw, (_WIDTH - _RIGHT, 18), f"{mark.x:g}: {mark.meaning}", _MARK, "ra")
    for level in (axes.low, (axes.low + axes.high) / 2, axes.high):
        left, height = axes.pixel(curve.x[0], level)
        draw.line((left, height, _WIDTH - _RIGHT, height), _GRID, 2)
        text.draw(draw, (left - 16, height), f"{level:.3g}", FAINT_INK, "rm")
    marked = axes.pixel(mark.x, axes.low)[0]
    draw.line((marked, _TOP - 8, marked, _HEIGHT - _BOTTOM), _MARK, 4)
    _draw_numbers(draw, curve, axes, mark.x)
    text.draw(draw, (_LEFT - 16, _HEIGHT - _BOTTOM + 12), across, FAINT_INK, "ra")
    points = [axes.pixel(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
    draw.line(points, _LINE, 4, joint="curve")
    for (x, y), value, bar in zip(points, curve.y, _errors(curve), strict=True):
        if bar:
            up, down = axes.pixel(0, value + bar)[1], axes.pixel(0, value - bar)[1]
            draw.line((x, up, x, down), _LINE, 3)
        draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), _LINE)


def _draw_numbers(draw: ImageDraw.ImageDraw, curve: Curve, axes: _Axes, mark: float) -> None:
    """Write the numbers below the axis: the marked one, and others where there is room."""
    text, written = pillow_lettering(_TEXT), float("-inf")
    marked = axes.pixel(mark, axes.low)[0]
    for x in sorted(curve.x, key=lambda x: (x != mark, x)):
        at = axes.pixel(x, axes.low)[0]
        if x == mark or (at - written > 60 and abs(at - marked) > 60):
            ink = _MARK if x == mark else FAINT_INK
            text.draw(draw, (at, _HEIGHT - _BOTTOM + 12), f"{x:g}", ink, "ma")
            written = written if x == mark else at
