"""Curves over a number, one below the other, as one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from alps_geo.files import replacing, run_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_INK, _FAINT_INK, _GRID, _PAPER = (38, 42, 48), (120, 126, 134), (228, 230, 233), (255, 255, 255)
_LINE, _MARK = (31, 119, 180), (214, 69, 65)

# In pixels of a picture that is drawn twice as large and then made smaller, for smooth lines.
_SCALE = 2
_WIDTH, _HEIGHT = 1800, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 160, 50, 76, 70
_TEXT = 30
_DOT = 7


@dataclass(frozen=True)
class Curve:
    """A curve, with what is uncertain about it.

    Attributes
    ----------
    title : str
        What it shows.
    x, y : tuple of float
        Its points, by ascending x.
    error : tuple of float
        Half the length of a bar through each point; empty for none.
    """

    title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] = ()


def write_curves(path: Path, curves: Sequence[Curve], *, mark: float, across: str) -> None:
    """Draw curves as a PNG.

    Parameters
    ----------
    path : pathlib.Path
        Where to write; a file that is there is replaced at the end.
    curves : sequence of Curve
        All of the same x.
    mark : float
        The x that a line through all of them marks.
    across : str
        What x is.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    picture = Image.new("RGB", (_WIDTH, _HEIGHT * len(curves)), _PAPER)
    for number, curve in enumerate(curves):
        panel = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
        _draw(ImageDraw.Draw(panel), curve, mark, across)
        picture.paste(panel, (0, number * _HEIGHT))
    smooth = picture.resize(
        (picture.width // _SCALE, picture.height // _SCALE), Image.Resampling.LANCZOS
    )
    with replacing(path) as part, run_errors(path):
        smooth.save(part, format="PNG", optimize=True)


def _draw(draw: ImageDraw.ImageDraw, curve: Curve, mark: float, across: str) -> None:
    font = ImageFont.load_default(_TEXT)
    error = curve.error or (0.0,) * len(curve.y)
    low = min(y - e for y, e in zip(curve.y, error, strict=True))
    high = max(y + e for y, e in zip(curve.y, error, strict=True))
    spread = (high - low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        width = (curve.x[-1] - curve.x[0]) or 1.0
        right = _LEFT + (x - curve.x[0]) / width * (_WIDTH - _LEFT - _RIGHT)
        return right, _HEIGHT - _BOTTOM - (y - low) / spread * (_HEIGHT - _TOP - _BOTTOM)

    draw.text((_LEFT, 18), curve.title, _INK, font)
    for level in (low, (low + high) / 2, high):
        left, height = place(curve.x[0], level)
        draw.line((left, height, _WIDTH - _RIGHT, height), _GRID, 2)
        draw.text((left - 16, height), f"{level:.3g}", _FAINT_INK, font, anchor="rm")
    marked = place(mark, low)[0]
    draw.line((marked, _TOP - 8, marked, _HEIGHT - _BOTTOM), _MARK, 4)
    written = float("-inf")
    for x in sorted(curve.x, key=lambda x: (x != mark, x)):
        at = place(x, low)[0]
        text = f"{x:g}"
        # The marked number first; of the others those that there is room for.
        if x == mark or (at - written > 60 and abs(at - marked) > 60):
            ink = _MARK if x == mark else _FAINT_INK
            draw.text((at, _HEIGHT - _BOTTOM + 12), text, ink, font, anchor="ma")
            written = written if x == mark else at
    draw.text((_LEFT - 16, _HEIGHT - _BOTTOM + 12), across, _FAINT_INK, font, anchor="ra")
    points = [place(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
    draw.line(points, _LINE, 4, joint="curve")
    for (x, y), value, bar in zip(points, curve.y, error, strict=True):
        if bar:
            up, down = place(0, value + bar)[1], place(0, value - bar)[1]
            draw.line((x, up, x, down), _LINE, 3)
        draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), _LINE)
