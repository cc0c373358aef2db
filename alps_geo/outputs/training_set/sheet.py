"""Contact sheet of a training set: some chips, and their masks over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from alps_geo.outputs.draw import (
    FAINT_INK,
    INK,
    Entry,
    Legend,
    LegendStyle,
    save_png,
    share_text,
    sheet,
    shortened,
)
from alps_geo.outputs.drawing import PAPER
from alps_geo.outputs.letters import lettering

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.outputs.letters import Lettering
    from alps_geo.outputs.training_set.chips import Chip, LabelledChip
    from alps_geo.outputs.training_set.classes import ClassTable

MOST_CHIPS = 12
"""Chips on the sheet, at most."""

_SIDE, _GAP, _MARGIN, _LINE, _COLUMNS = 240, 8, 32, 28, 3
_TEXT, _CAPTION = 15, 13
_OPACITY = 0.55
_FRAME = (176, 181, 188)
_LONGEST_NAME, _FEWEST_LETTERS = 36, 8


def shown_chips(chips: Sequence[Chip], splits: Sequence[str], seed: int) -> frozenset[int]:
    """Choose chips for the sheet, some of every split.

    Returns
    -------
    frozenset of int
        Their positions.
    """
    rng = np.random.default_rng(seed)
    members = [[i for i, chip in enumerate(chips) if chip.split == split] for split in splits]
    queues = [rng.permutation(each).tolist() for each in members]
    # Round robin, two turns for the first split, which is the largest.
    turns = [queues[0], *queues]
    chosen: list[int] = []
    while len(chosen) < MOST_CHIPS and any(queues):
        for queue in turns:
            if queue and len(chosen) < MOST_CHIPS:
                chosen.append(queue.pop())
    return frozenset(chosen)


def draw_pair(chip: LabelledChip, picture: NDArray[np.uint8], classes: ClassTable) -> Image.Image:
    """Draw a chip and, next to it, its mask over it; unlabelled pixels stay as they are."""
    colors = np.array([*classes.palette, [0, 0, 0]], np.float64)
    opacity = np.where(chip.numbers < 0, 0.0, _OPACITY)[..., None]
    over = picture * (1 - opacity) + colors[chip.numbers] * opacity
    pair = sheet(2 * _SIDE + 2, _SIDE)
    for number, panel in enumerate((picture, np.rint(over).astype(np.uint8))):
        small = Image.fromarray(panel)
        scale = _SIDE / max(small.size)
        size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
        resampling = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
        pair.paste(small.resize(size, resampling), (number * (_SIDE + 2), 0))
    return pair


def write_sheet(
    path: Path,
    title: str,
    pairs: Sequence[tuple[Chip, Image.Image]],
    classes: ClassTable,
    pixels: Sequence[int],
) -> None:
    """Write the sheet.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    title : str
        Above the chips.
    pairs : sequence of (Chip, PIL.Image.Image)
        Chips and drawings of them by `draw_pair`.
    classes : ClassTable
        Classes for the legend.
    pixels : sequence of int
        Pixels of each class in the set, and of those without a class.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    text = lettering(_TEXT)
    columns = min(_COLUMNS, len(pairs))
    across, down = 2 * _SIDE + 2 + 3 * _GAP, _SIDE + _LINE + 2 * _GAP
    inner = columns * across - 3 * _GAP
    rows = -(-len(pairs) // columns)
    style = LegendStyle(text, _LINE, 10, frame=_FRAME, heading="class")
    legend = Legend.in_columns(_entries(classes, pixels), style, inner)
    top = _MARGIN + _LINE + _GAP
    legend_top = top + rows * down + _LINE
    picture = sheet(inner + 2 * _MARGIN, legend_top + legend.lines * _LINE + _MARGIN)
    draw = ImageDraw.Draw(picture)
    text.draw(draw, (_MARGIN, _MARGIN), title, INK)
    for index, (chip, pair) in enumerate(pairs):
        row, column = divmod(index, columns)
        x, y = _MARGIN + column * across, top + row * down
        _draw_caption(draw, (x, y), chip, lettering(_CAPTION))
        picture.paste(pair, (x, y + _LINE - _GAP))
    legend.draw(draw, (_MARGIN, legend_top))
    save_png(path, picture)


def _draw_caption(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], chip: Chip, text: Lettering
) -> None:
    """Draw name and split above a pair; a long name is cut in its middle, where it says least."""
    name, split = chip.name, f"  {chip.split}"
    room = 2 * _SIDE - text.width(split)
    while text.width(name) > room and len(name) > _FEWEST_LETTERS:
        middle = len(name) // 2
        name = f"{name[: middle - 1]}…{name[middle + 1 :]}"
    text.draw(draw, at, name, INK)
    text.draw(draw, (at[0] + text.width(name), at[1]), split, FAINT_INK)


def _entries(classes: ClassTable, pixels: Sequence[int]) -> list[Entry]:
    total = max(sum(pixels), 1)
    entries = [
        Entry(each.color, shortened(each.name, _LONGEST_NAME), str(number), share_text(n, total))
        for number, (each, n) in enumerate(zip(classes.classes, pixels[:-1], strict=True))
    ]
    if pixels[-1]:
        entries.append(Entry(PAPER, "unlabelled", share=share_text(pixels[-1], total)))
    return entries
