"""A picture of a measurement: map of agreement, and confusion of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from alps_geo.evaluate.agreement_map import NO_TRUTH, RIGHT, UNLABELLED, WRONG
from alps_geo.outputs.draw import (
    PATCH,
    Entry,
    Legend,
    LegendStyle,
    paste_row,
    sheet,
    shortened,
    width_of,
)
from alps_geo.outputs.drawing import PAPER
from alps_geo.outputs.letters import pillow_lettering

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.evaluate.quality import Quality
    from alps_geo.outputs.letters import Lettering

_INK, _GREY = (30, 30, 30), (110, 110, 110)

# Blue and orange differ for colour-blind people too.
_COLORS = {
    RIGHT: (33, 113, 181),
    WRONG: (241, 140, 53),
    UNLABELLED: (60, 60, 60),
    NO_TRUTH: (225, 225, 225),
}
_MEANINGS = {
    RIGHT: "right class",
    WRONG: "wrong class",
    UNLABELLED: "no label",
    NO_TRUTH: "no truth",
}

_MARGIN = 32
_TEXT_SIZE = 18
_LINE = 26
_AFTER_PATCH = 8
_CELL_MOST, _CELL_LEAST = 72, 8
_CELL_WITH_TEXT = 40
_MATRIX_MOST = 900
_NAME_MOST = 24
_MAP_LEAST = 480


def draw_quality(quality: Quality) -> Image.Image:
    """Draw the confusion matrix and, next to it, the map of agreement if there is one.

    Rows of the matrix are the classes of the truth, columns those of the majority map; a cell shows
    the share of its row.
    """
    parts = [_draw_matrix(quality)]
    if quality.agreement.size:
        parts.append(_draw_map(quality.agreement))
    head = _heading(quality)
    width = sum(part.width for part in parts) + _MARGIN * (len(parts) + 1)
    height = max(part.height for part in parts) + head.height + 3 * _MARGIN
    picture = sheet(max(width, head.width + 2 * _MARGIN), height)
    picture.paste(head, (_MARGIN, _MARGIN))
    paste_row(picture, parts, (_MARGIN, head.height + 2 * _MARGIN), _MARGIN)
    return picture


def _heading(quality: Quality) -> Image.Image:
    boundary = "   ".join(
        f"boundary F1 ({scores.tolerance} px) {scores.mean_f1:.2f}" for scores in quality.boundary
    )
    lines = [
        f"accuracy {quality.majority.accuracy:.1%}   mean IoU {quality.majority.mean_iou:.2f}   "
        f"coverage {quality.coverage:.1%}   {boundary}",
        "every cluster has the class that most of its pixels have",
    ]
    text = pillow_lettering(_TEXT_SIZE)
    image = sheet(width_of(lines, text), _LINE * len(lines))
    draw = ImageDraw.Draw(image)
    for number, (line, color) in enumerate(zip(lines, (_INK, _GREY), strict=True)):
        text.draw(draw, (0, number * _LINE), line, color)
    return image


def _draw_matrix(quality: Quality) -> Image.Image:
    confusion = quality.majority.confusion
    names = [*(shortened(name, _NAME_MOST) for name in quality.class_names), "no label"]
    if not confusion[:, -1].any():
        confusion, names = confusion[:, :-1], names[:-1]
    shares = confusion / confusion.sum(axis=1, keepdims=True)
    rows, cols = shares.shape
    cell = int(np.clip(_MATRIX_MOST // max(rows, cols), _CELL_LEAST, _CELL_MOST))
    text = pillow_lettering(min(_TEXT_SIZE, max(cell - 2, _CELL_LEAST)))
    room = max(width_of(names, text), 1) + 12
    top, left = room + _LINE, room + _LINE
    image = sheet(left + cols * cell + 1, top + rows * cell + 1)
    draw = ImageDraw.Draw(image)
    heading = pillow_lettering(_TEXT_SIZE)
    heading.draw(draw, (left, 0), "class in the map", _GREY)
    image.paste(_upright("class in the truth", heading, _GREY), (0, top))
    for col, name in enumerate(names):
        upright = _upright(name, text, _INK)
        at = (left + col * cell + (cell - upright.width) // 2, top - 6 - upright.height)
        image.paste(upright, at)
    for row in range(rows):
        middle = top + row * cell + cell // 2
        text.draw(draw, (left - 8, middle), names[row], _INK, "rm")
        for col in range(cols):
            corner = (left + col * cell, top + row * cell)
            _draw_cell(draw, corner, cell, float(shares[row, col]), text)
    return image


def _draw_cell(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    size: int,
    share: float,
    text: Lettering,
) -> None:
    left, top = corner
    shade = tuple(round(255 + share * (dark - 255)) for dark in _COLORS[RIGHT])
    draw.rectangle((left, top, left + size, top + size), fill=shade, outline=_COLORS[NO_TRUTH])
    if size >= _CELL_WITH_TEXT and share >= 0.005:
        ink = PAPER if share > 0.5 else _INK
        middle = (left + size // 2, top + size // 2)
        text.draw(draw, middle, f"{share:.0%}", ink, "mm")


def _draw_map(codes: NDArray[np.uint8]) -> Image.Image:
    palette = np.array([_COLORS[code] for code in sorted(_COLORS)], np.uint8)
    image = Image.fromarray(palette[codes])
    enlarged = max(_MAP_LEAST // max(image.size), 1)
    image = image.resize(
        (image.width * enlarged, image.height * enlarged), Image.Resampling.NEAREST
    )
    legend = _draw_legend(codes)
    both = sheet(max(image.width, legend.width), image.height + legend.height + 12)
    both.paste(image, (0, 0))
    both.paste(legend, (0, image.height + 12))
    return both


def _draw_legend(codes: NDArray[np.uint8]) -> Image.Image:
    """Draw the meanings of the colours that occur, one below the other."""
    entries = [Entry(_COLORS[code], name) for code, name in _MEANINGS.items() if code in codes]
    style = LegendStyle(pillow_lettering(_TEXT_SIZE), _LINE, _AFTER_PATCH, ink=_INK)
    legend = Legend.stacked(entries, style)
    image = sheet(legend.pitch + _AFTER_PATCH, _LINE * legend.lines)
    legend.draw(ImageDraw.Draw(image), (0, (_LINE - PATCH) // 2))
    return image


def _upright(text: str, lettering: Lettering, color: tuple[int, int, int]) -> Image.Image:
    """Draw a text that is read from below."""
    image = sheet(max(width_of([text], lettering), 1), _LINE)
    lettering.draw(ImageDraw.Draw(image), (0, _LINE // 2), text, color, "lm")
    return image.transpose(Image.Transpose.ROTATE_90)
