"""Lines of text in any script, drawn alike everywhere: with typefaces and shaping of our own.

Pillow draws text that needs neither of them, as it always has. For all else HarfBuzz places and
draws the glyphs: it joins Arabic letters, orders Indic vowels and stacks marks, which Pillow does
only where a system library is there. Letters that our typefaces lack are drawn in those of the
system; where it has none either, a sign stands in their place, and one warning is logged.
"""

from __future__ import annotations

import logging
import math
import unicodedata
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import uharfbuzz as hb
from bidi import get_display
from PIL import Image, ImageFont

from alps_geo.outputs.typefaces import (
    LATIN,
    Typeface,
    shipped_typefaces,
    typeface_data,
    typeface_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray
    from PIL import ImageDraw

UNWRITABLE = "(letters that no typeface here has)"
"""Drawn in place of a text whose letters are in no typeface."""

_MISSING = "\ufffd"

_LOG = logging.getLogger("alps_geo")

_told: set[str] = set()

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
        left = int(at[0]) - {"l": 0, "m": line.width // 2, "r": line.width}[anchor[0]]
        baseline = int(at[1]) + self.above_baseline(anchor)
        draw.bitmap((left + line.left, baseline - line.above), Image.fromarray(line.pixels), ink)

    def above_baseline(self, anchor: str) -> int:
        """Return the pixels from an anchor down to the baseline."""
        ascent, descent = _latin(self.size).getmetrics()
        return {"a": ascent, "m": (ascent - descent) // 2}[anchor[1]]


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
    data = BytesIO(typeface_data(LATIN))
    return ImageFont.truetype(data, size, layout_engine=ImageFont.Layout.BASIC)


def _stands_alone(text: str) -> bool:
    """Return True for text that is drawn letter by letter, left to right, in one typeface."""
    return all(
        shipped_typefaces()[0].has(letter)
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


@dataclass(frozen=True, eq=False)
class Glyph:
    """A shape of a typeface in a line of text, placed.

    Attributes
    ----------
    typeface : Typeface
        The typeface.
    number : int
        Its number there.
    x, y : float
        Its origin, from the start of the line on its baseline, in pixels; y upwards.
    text : str
        The letters that it stands for; empty if another glyph does.
    """

    typeface: Typeface
    number: int
    x: float
    y: float
    text: str


def shape(text: str, size: int) -> tuple[list[Glyph], float]:
    """Choose and place the glyphs of a line of text; return them and its length in pixels."""
    glyphs: list[Glyph] = []
    x, scale = 0, size * _UNITS
    for typeface, run, leftwards in _runs(writable(text)):
        font = hb.Font(typeface.face)
        font.scale = (scale, scale)
        buffer = hb.Buffer()
        buffer.add_str(run)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if leftwards else "ltr"
        hb.shape(font, buffer)
        texts = _texts(run, [info.cluster for info in buffer.glyph_infos])
        for info, at, letters in zip(
            buffer.glyph_infos, buffer.glyph_positions, texts, strict=True
        ):
            place = (x + at.x_offset) / _UNITS, at.y_offset / _UNITS
            glyphs.append(Glyph(typeface, info.codepoint, *place, letters))
            x += at.x_advance
    return glyphs, x / _UNITS


def _texts(run: str, starts: list[int]) -> list[str]:
    """Return the letters of each glyph, of which several may stand for the same ones."""
    ends = dict(zip(sorted(set(starts)), [*sorted(set(starts))[1:], len(run)], strict=True))
    seen: set[int] = set()
    texts = []
    for start in starts:
        texts.append("" if start in seen else run[start : ends[start]])
        seen.add(start)
    return texts


@cache
def _shaped(text: str, size: int) -> _Line:
    """Shape and draw a text whose letters may be of any script."""
    raster = hb.RasterDraw()
    glyphs, length = shape(text, size)
    for glyph in glyphs:
        font = hb.Font(glyph.typeface.face)
        font.scale = (size * _UNITS, size * _UNITS)
        raster.transform = (1 / _UNITS, 0, 0, 1 / _UNITS, glyph.x, glyph.y)
        raster.draw_glyph(font, glyph.number)
    image = raster.render()
    box = image.extents
    rows = np.frombuffer(image.buffer, np.uint8).reshape(box.height, box.stride)
    # Rows are counted upwards.
    pixels = np.ascontiguousarray(rows[::-1, : box.width])
    return _Line(pixels, box.x_origin, box.y_origin + box.height, math.ceil(length))


def missing_letters(text: str) -> set[str]:
    """Return the letters of a text that no typeface has, here or on the system."""
    return {letter for letter in text if not _is_known(letter)}


def warn_of_missing(texts: Iterable[str]) -> None:
    """Log a warning of letters that no typeface has, one for all of them, and none twice."""
    missing = set().union(*map(missing_letters, texts)) - _told
    if missing:
        _told.update(missing)
        codes = ", ".join(f"U+{ord(letter):04X}" for letter in sorted(missing)[:8])
        more = ", …" if len(missing) > 8 else ""
        _LOG.warning(
            "no typeface here has %s%s: %s is drawn in the place of each; install a typeface that "
            "has them, such as Noto Sans, and give the names again",
            *(codes, more, _MISSING),
        )


def writable(text: str) -> str:
    """Put a sign in the place of letters that no typeface has, here or on the system."""
    found = "".join(letter if _is_known(letter) else _MISSING for letter in text)
    return found if found.strip(_MISSING + " ") else UNWRITABLE


def _is_known(letter: str) -> bool:
    # Signs that join letters, or keep them apart, need no glyph.
    return unicodedata.category(letter) == "Cf" or typeface_of(letter) is not None


def _runs(text: str) -> Iterator[tuple[Typeface, str, bool]]:
    """Cut a text into runs of one typeface and one direction, from left to right.

    Yields the typeface, the letters in the order in which they are read, and whether they run to
    the left.
    """
    for leftwards, run in _directed(get_display(text)):
        parts: list[tuple[Typeface, str]] = []
        for letter in reversed(run) if leftwards else run:
            found = _typeface(letter, parts[-1][0] if parts else shipped_typefaces()[0])
            if parts and parts[-1][0] is found:
                parts[-1] = found, parts[-1][1] + letter
            else:
                parts.append((found, letter))
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


def _typeface(letter: str, current: Typeface) -> Typeface:
    """Choose a typeface for a letter; signs and marks stay in that of the letters before them."""
    is_letter = unicodedata.category(letter).startswith("L")
    if not is_letter and current.has(letter):
        return current
    return typeface_of(letter) or current
