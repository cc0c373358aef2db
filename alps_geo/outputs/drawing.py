"""Drawings: marks on paper, which each format of pictures draws in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, ImageDraw

from alps_geo.outputs.letters import warn_of_missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.outputs.letters import Lettering

    Point: TypeAlias = tuple[float, float]

PAPER = (255, 255, 255)

WIDTH_MM = 250
"""Width of a drawing on a page, in millimetres."""


@dataclass(frozen=True, eq=False)
class PanelLines:
    """Lines over a panel, which vector formats draw in place of pixels.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (rows, cols, 3)
        The panel without them.
    ends : ndarray of int64, shape (n, 4)
        x and y of the start and of the end of each line, in pixels from the panel's corner.
    ink : Color
        Their colour.
    width : int
        Their width, in pixels.
    """

    pixels: NDArray[np.uint8]
    ends: NDArray[np.int64]
    ink: Color
    width: int


@dataclass(frozen=True, eq=False)
class Panel:
    """Pixels (rows, cols, 3), uint8, with their upper left corner at (x, y), and lines in them."""

    corner: tuple[int, int]
    pixels: NDArray[np.uint8]
    lines: PanelLines | None = None

    @property
    def bare(self) -> NDArray[np.uint8]:
        """The pixels without the lines."""
        return self.pixels if self.lines is None else self.lines.pixels


@dataclass(frozen=True)
class Box:
    """A rectangle from (x, y) to (x, y), both included, filled, framed or both."""

    first: Point
    last: Point
    fill: Color | None = None
    frame: Color | None = None
    width: int = 1


@dataclass(frozen=True)
class Line:
    """A straight line from (x, y) to (x, y)."""

    start: Point
    end: Point
    ink: Color
    width: int = 1


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    corners: tuple[Point, ...]
    fill: Color


@dataclass(frozen=True)
class Text:
    """A line of text whose anchor, as Pillow names them, lies at (x, y)."""

    at: Point
    text: str
    lettering: Lettering
    ink: Color
    anchor: str = "la"

    @property
    def baseline(self) -> float:
        """The y of its baseline."""
        return self.at[1] + self.lettering.above_baseline(self.anchor)


Mark: TypeAlias = Panel | Box | Line | Area | Text


@dataclass(frozen=True)
class Drawing:
    """Marks on white paper, the last on top.

    Attributes
    ----------
    width, height : int
        Of the paper, in pixels.
    marks : tuple of Mark
        All of them, in pixels from the upper left corner.
    title : str
        Title of the file, in formats that have one.
    """

    width: int
    height: int
    marks: tuple[Mark, ...]
    title: str = ""

    @property
    def pixels_per_inch(self) -> float:
        """Resolution of a picture that is `WIDTH_MM` wide."""
        return self.width / WIDTH_MM * 25.4

    def to_picture(self) -> Image.Image:
        """Draw the marks as pixels."""
        picture = Image.new("RGB", (self.width, self.height), PAPER)
        for mark in self.marks:
            if isinstance(mark, Panel):
                picture.paste(Image.fromarray(mark.pixels), mark.corner)
        paint(ImageDraw.Draw(picture), self.marks)
        return picture

    def to_png(self) -> bytes:
        """Draw the marks as a PNG."""
        dpi = self.pixels_per_inch
        file = BytesIO()
        self.to_picture().save(file, format="PNG", dpi=(dpi, dpi))
        return file.getvalue()

    def warn(self) -> None:
        """Log a warning if a text has letters that no typeface has."""
        warn_of_missing(mark.text for mark in self.marks if isinstance(mark, Text))


def paint(draw: ImageDraw.ImageDraw, marks: Iterable[Mark]) -> None:
    """Draw marks other than panels on a picture."""
    for mark in marks:
        if isinstance(mark, Text):
            mark.lettering.draw(draw, mark.at, mark.text, mark.ink, mark.anchor)
        elif isinstance(mark, Box):
            draw.rectangle((*mark.first, *mark.last), mark.fill, mark.frame, mark.width)
        elif isinstance(mark, Line):
            draw.line((*mark.start, *mark.end), mark.ink, mark.width)
        elif isinstance(mark, Area):
            draw.polygon(mark.corners, mark.fill)
