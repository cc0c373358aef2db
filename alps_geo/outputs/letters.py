"""Lines of text in any script, drawn alike everywhere: with typefaces and shaping of our own.

Pillow draws text that needs neither of them, as it always has. For all else HarfBuzz places and
draws the glyphs: it joins Arabic letters, orders Indic vowels and stacks marks, which Pillow does
only where a system library is there.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import uharfbuzz as hb
from bidi import get_display
from PIL import Image, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from PIL import ImageDraw

_LATIN = "DejaVuSans.ttf"
_SCRIPTS = (
    *("Devanagari", "Bengali", "Tamil", "Telugu", "Kannada", "Malayalam", "Gujarati", "Gurmukhi"),
    *("Oriya", "Sinhala", "Thai", "Lao", "Khmer", "Myanmar", "Ethiopic"),
)
# The first that has a letter draws it. The last has Chinese, Japanese and Korean.
_TYPEFACES = (
    _LATIN,
    *(f"NotoSans{script}-Regular.ttf" for script in _SCRIPTS),
    "DroidSansFallback.ttf",
)

UNWRITABLE = "(letters that no typeface here has)"
"""Drawn in place of a text whose letters are in no typeface."""

_MISSING = "\ufffd"

# HarfBuzz's units per pixel.
_UNITS = 64


@dataclass(frozen=True, eq=False)
class Lettering:
    """Text of one size on pictures.

    Attributes
    ----------
    font : PIL.ImageFont.FreeTypeFont or PIL.ImageFont.ImageFont
        Draws plain text.
    size : int
        In pixels.
    is_plain : callable
        Returns True for a text that `font` draws correctly.
    """

    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    size: int
    is_plain: Callable[[str], bool]

    def width(self, text: str) -> float:
        """Measure a line of text, in pixels."""
        return self.font.getlength(text) if self.is_plain(text) else _shaped(text, self.size).width

    def draw(
        self,
        draw: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        ink: tuple[int, int, int],
        anchor: str = "la",
    ) -> None:
        """Draw a line of text so that its anchor, as Pillow names them, lies at (x, y)."""
        if self.is_plain(text):
            draw.text(at, text, ink, self.font, anchor=anchor)
            return
        line = _shaped(text, self.size)
        ascent, descent = _latin(self.size).getmetrics()
        left = int(at[0]) - {"l": 0, "m": line.width // 2, "r": line.width}[anchor[0]]
        baseline = int(at[1]) + {"a": ascent, "m": (ascent - descent) // 2}[anchor[1]]
        draw.bitmap((left + line.left, baseline - line.above), Image.fromarray(line.pixels), ink)


@cache
def lettering(size: int) -> Lettering:
    """Return lettering in DejaVu Sans, with other typefaces for letters that it lacks."""
    return Lettering(_latin(size), size, _stands_alone)


@cache
def pillow_lettering(size: int) -> Lettering:
    """Return lettering in Pillow's own typeface for ASCII, in ours for all else."""
    return Lettering(ImageFont.load_default(size), size, str.isascii)


@cache
def _latin(size: int) -> ImageFont.FreeTypeFont:
    # Laid out by Pillow itself, so that pictures don't depend on what else is installed.
    data = BytesIO(_data(_LATIN))
    return ImageFont.truetype(data, size, layout_engine=ImageFont.Layout.BASIC)


def _stands_alone(text: str) -> bool:
    """Return True for text that is drawn letter by letter, left to right, in one typeface."""
    return all(
        ord(letter) in _letters(_LATIN)
        and not _runs_left(letter)
        and not unicodedata.category(letter).startswith("M")
        for letter in text
    )


@dataclass(frozen=True, eq=False)
class _Line:
    """A line of text, drawn.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W)
        Its ink.
    left, above : int
        Columns from its start to the first of `pixels`; rows from the first to the baseline.
    width : int
        Pixels from its start to its end.
    """

    pixels: NDArray[np.uint8]
    left: int
    above: int
    width: int


@cache
def _shaped(text: str, size: int) -> _Line:
    """Shape and draw a text whose letters may be of any script."""
    raster = hb.RasterDraw()
    x = 0
    for name, run, leftwards in _runs(_writable(text)):
        font = hb.Font(_face(name))
        font.scale = (size * _UNITS, size * _UNITS)
        buffer = hb.Buffer()
        buffer.add_str(run)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if leftwards else "ltr"
        hb.shape(font, buffer)
        for glyph, at in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            shift = (x + at.x_offset) / _UNITS, at.y_offset / _UNITS
            raster.transform = (1 / _UNITS, 0, 0, 1 / _UNITS, *shift)
            raster.draw_glyph(font, glyph.codepoint)
            x += at.x_advance
    image = raster.render()
    box = image.extents
    rows = np.frombuffer(image.buffer, np.uint8).reshape(box.height, box.stride)
    # Rows are counted upwards.
    pixels = np.ascontiguousarray(rows[::-1, : box.width])
    return _Line(pixels, box.x_origin, box.y_origin + box.height, -(-x // _UNITS))


def _writable(text: str) -> str:
    """Put a sign in the place of letters that no typeface has."""
    found = "".join(letter if _is_known(letter) else _MISSING for letter in text)
    return found if found.strip(_MISSING + " ") else UNWRITABLE


def _is_known(letter: str) -> bool:
    # Signs that join letters, or keep them apart, need no glyph.
    return unicodedata.category(letter) == "Cf" or any(
        ord(letter) in _letters(name) for name in _TYPEFACES
    )


def _runs(text: str) -> Iterator[tuple[str, str, bool]]:
    """Cut a text into runs of one typeface and one direction, from left to right.

    Yields the typeface, the letters in the order in which they are read, and whether they run to
    the left.
    """
    for leftwards, run in _directed(get_display(text)):
        parts: list[tuple[str, str]] = []
        for letter in reversed(run) if leftwards else run:
            name = _typeface(letter, parts[-1][0] if parts else _LATIN)
            if parts and parts[-1][0] == name:
                parts[-1] = name, parts[-1][1] + letter
            else:
                parts.append((name, letter))
        yield from ((*part, leftwards) for part in (reversed(parts) if leftwards else parts))


def _directed(visual: str) -> Iterator[tuple[bool, str]]:
    """Cut a text in the order of display where its direction changes."""
    directions = []
    # From right to left, for there a mark comes before its letter if that runs to the left.
    leftwards = False
    for letter in reversed(visual):
        if unicodedata.bidirectional(letter) not in ("NSM", "BN"):
            leftwards = _runs_left(letter)
        directions.append(leftwards)
    directed = zip(reversed(directions), visual, strict=True)
    for direction, letters in groupby(directed, key=itemgetter(0)):
        yield direction, "".join(letter for _, letter in letters)


def _runs_left(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in ("R", "AL")


def _typeface(letter: str, current: str) -> str:
    """Choose a typeface for a letter; signs and marks stay in that of the letters before them."""
    is_letter = unicodedata.category(letter).startswith("L")
    names = _TYPEFACES if is_letter else (current, *_TYPEFACES)
    return next((name for name in names if ord(letter) in _letters(name)), current)


@cache
def _letters(name: str) -> frozenset[int]:
    return frozenset(_face(name).unicodes)


@cache
def _face(name: str) -> hb.Face:
    return hb.Face(hb.Blob(_data(name)))


def _data(name: str) -> bytes:
    return (files("alps_geo.outputs.data") / name).read_bytes()
