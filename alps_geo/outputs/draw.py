"""Parts of all pictures: paper, short texts, legends and rows of panels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from alps_geo.files import replacing, run_errors
from alps_geo.outputs.drawing import PAPER, Box, Line, Text, paint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from PIL import ImageDraw

    from alps_geo.clusters.colors import Color
    from alps_geo.outputs.drawing import Mark
    from alps_geo.outputs.letters import Lettering

INK, FAINT_INK = (38, 42, 48), (96, 102, 110)

PATCH = 18
"""Side of a patch of colour in a legend, in pixels."""

# In pixels where a patch has the usual size, else in proportion.
_AFTER_NUMBER, _BEFORE_SHARE, _BETWEEN_COLUMNS = 12, 16, 40
# Lines of a legend below each other before a second column begins.
_FEWEST_LINES = 6
_SHARE = "share"


def sheet(width: int, height: int) -> Image.Image:
    """Return an empty picture."""
    return Image.new("RGB", (width, height), PAPER)


def save_png(path: Path, picture: Image.Image) -> None:
    """Write a picture as a small PNG, whole or not at all.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    with replacing(path) as part, run_errors(path):
        picture.save(part, format="PNG", optimize=True)


def shortened(text: str, longest: int) -> str:
    """Cut a text to a number of letters, an ellipsis included."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def share_text(count: int, total: int) -> str:
    """Write a percentage with one decimal, a small one as <0.1%, zero as none."""
    percent = 100 * count / total
    if percent >= 0.05:
        return f"{percent:.1f}%"
    return "<0.1%" if count else "none"


def width_of(texts: Iterable[str], text: Lettering) -> int:
    """Return the width of the widest text, in pixels; 0 for none."""
    return math.ceil(max(map(text.width, texts), default=0.0))


def paste_row(
    picture: Image.Image, panels: Sequence[Image.Image], corner: tuple[int, int], gap: int
) -> list[tuple[int, int]]:
    """Paste panels next to each other, and return their upper left corners (x, y)."""
    x, y = corner
    corners = []
    for panel in panels:
        picture.paste(panel, (x, y))
        corners.append((x, y))
        x += panel.width + gap
    return corners


@dataclass(frozen=True)
class Entry:
    """A line of a legend: a colour, its meaning, and where known a number and a share."""

    color: Color
    name: str
    number: str = ""
    share: str = ""


@dataclass(frozen=True)
class LegendStyle:
    """Look of a legend.

    Attributes
    ----------
    text : Lettering
        Lettering of all its texts.
    line : int
        Pixels from one line to the next.
    after_patch : int
        Pixels between a patch of colour and the text.
    ink, faint_ink : (red, green, blue)
        Of names and numbers; of shares and headings.
    frame : (red, green, blue), optional
        Around patches, and below headings.
    heading : str
        Above the names of a legend in columns.
    patch : int
        Side of a patch of colour, in pixels.
    """

    text: Lettering
    line: int
    after_patch: int
    ink: Color = INK
    faint_ink: Color = FAINT_INK
    frame: Color | None = None
    heading: str = "cluster"
    patch: int = PATCH

    def gap(self, pixels: int) -> int:
        """Scale a distance as the patches are."""
        return round(pixels * self.patch / PATCH)


@dataclass(frozen=True)
class Legend:
    """A legend, laid out in columns.

    Attributes
    ----------
    entries : sequence of Entry
        Lines of the legend, down the first column, then down the second.
    style : LegendStyle
        Look of the legend.
    lines : int
        Lines in a column.
    pitch : int
        Pixels from one column to the next.
    number_end, name_start, share_end : int
        Positions in a column, in pixels.
    has_heading : bool
        True if the columns have headings, in a line above.
    """

    entries: Sequence[Entry]
    style: LegendStyle
    lines: int
    pitch: int
    number_end: int
    name_start: int
    share_end: int
    has_heading: bool

    @classmethod
    def in_columns(
        cls, entries: Sequence[Entry], style: LegendStyle, width: int, fewest: int = _FEWEST_LINES
    ) -> Legend:
        """Make as many columns as fit into a width, each of some lines at least, `fewest`."""
        text, between = style.text, style.gap(_BETWEEN_COLUMNS)
        number_end = style.patch + style.after_patch
        number_end += width_of((each.number for each in entries), text)
        names = [entry.name for entry in entries if entry.name]
        name_start = number_end + style.gap(_AFTER_NUMBER)
        name_end = name_start + width_of(names, text) if names else number_end
        shares = width_of([_SHARE, *(entry.share for entry in entries)], text)
        heading = width_of([style.heading], text)
        share_end = max(name_end, heading) + style.gap(_BEFORE_SHARE) + shares
        most = max(1, (width + between) // (share_end + between))
        lines = max(-(-len(entries) // most), min(len(entries), fewest))
        return cls(
            entries, style, lines, share_end + between, number_end, name_start, share_end, True
        )

    @classmethod
    def stacked(cls, entries: Sequence[Entry], style: LegendStyle) -> Legend:
        """Make one column of colours and names alone."""
        start = style.patch + style.after_patch
        end = start + width_of((entry.name for entry in entries), style.text)
        return cls(entries, style, len(entries), end, start, start, end, False)

    def draw(self, draw: ImageDraw.ImageDraw, corner: tuple[int, int]) -> None:
        """Draw the legend; `corner` is that of the first patch, headings lie above it."""
        paint(draw, self.marks(corner))

    def marks(self, corner: tuple[int, int]) -> Iterator[Mark]:
        """Yield the marks of the legend, with its first patch at a corner."""
        for index, entry in enumerate(self.entries):
            column, line = divmod(index, self.lines)
            x, y = corner[0] + column * self.pitch, corner[1] + line * self.style.line
            if line == 0 and self.has_heading:
                yield from self._heading(x, y - self.style.line)
            yield from self._entry(x, y, entry)

    def _heading(self, x: int, y: int) -> Iterator[Mark]:
        style, patch = self.style, self.style.patch
        text, ink, middle = style.text, style.faint_ink, y + patch // 2
        yield Text((x, middle), style.heading, text, ink, "lm")
        yield Text((x + self.share_end, middle), _SHARE, text, ink, "rm")
        below = y + patch + (style.line - patch) // 3
        yield Line((x, below), (x + self.share_end, below), style.frame or style.faint_ink)

    def _entry(self, x: int, y: int, entry: Entry) -> Iterator[Mark]:
        style, patch = self.style, self.style.patch
        middle = y + patch // 2
        yield Box((x, y), (x + patch, y + patch), entry.color, style.frame)
        start = self.name_start if entry.number else patch + style.after_patch
        for text, at, ink, anchor in (
            (entry.number, self.number_end, style.ink, "rm"),
            (entry.name, start, style.ink, "lm"),
            (entry.share, self.share_end, style.faint_ink, "rm"),
        ):
            if text:
                yield Text((x + at, middle), text, style.text, ink, anchor)
