"""One picture of a result: the scene, its labels, and what the colours mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from alps_geo.errors import RunError
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.letters import lettering

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Color = tuple[int, int, int]
    Pixels = NDArray[np.uint8]

_Scalar = TypeVar("_Scalar", bound=np.generic)

# All in pixels of the picture.
_LONGEST_PANEL = 960
_SHORTEST_PANEL = 480
_THINNEST_PANEL = 56
_NARROWEST = 720
_MARGIN = 32
_GAP = 24
_PATCH = 18
_LINE = 28
_TEXT = 15
_TITLE = 22
_LONGEST_NAME = 36
_BETWEEN_COLUMNS = 40
_AFTER_PATCH = 10
_AFTER_NUMBER = 12
_BEFORE_SHARE = 16

# Lines of the legend below each other before a second column begins.
_FEWEST_LINES = 6

_CLUSTER, _SHARE = "cluster", "share"

_INK = (38, 42, 48)
_FAINT_INK = (120, 126, 134)
_FRAME = (176, 181, 188)
_PAPER = (255, 255, 255)
_UNLABELLED = (222, 222, 222)


@dataclass(frozen=True)
class _Entry:
    """One line of the legend: a cluster by its number and name, and its share of the scene."""

    color: Color
    number: str
    name: str
    share: str


def write_preview(
    path: Path,
    image: Pixels,
    labels: NDArray[np.integer],
    valid: NDArray[np.bool_],
    palette: Mapping[int, Color],
    names: Mapping[int, str] | None = None,
    title: str | None = None,
) -> None:
    """Draw the scene beside its labels, with a legend, as one PNG.

    Large scenes are drawn smaller, small ones larger pixel by pixel. Unlabelled pixels show the
    scene in faint grey, pixels without data are white. The same arrays give the same bytes.

    Parameters
    ----------
    path : pathlib.Path
        Where to write. A file that is there is replaced at the end.
    image : array (rows, cols, 3), uint8
        The scene, or an overview of it.
    labels : array (rows, cols), integer
        Clusters, 0 where there is none.
    valid : array (rows, cols), bool
        Where the scene has data. Shares are shares of these pixels.
    palette : mapping of cluster to (red, green, blue)
        All clusters that the legend lists, 0 to 255 each.
    names : mapping of cluster to str, optional
    title : str, optional
        Above the panels.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    rows, cols = _panel_shape(*labels.shape)
    scene = _scene_panel(image, valid, rows, cols)
    colored = _labels_panel(scene, _nearest(labels, rows, cols), palette)
    empty = ~_nearest(valid, rows, cols)
    panels = ("scene", _blank(scene, empty)), ("labels", _blank(colored, empty))
    picture = _compose(panels, _legend(labels, valid, palette, names or {}), title)
    with replacing(path) as part, run_errors(path):
        picture.save(part, format="PNG", optimize=True)


def write_picture(path: Path, image: Pixels, valid: NDArray[np.bool_]) -> None:
    """Keep the scene of a preview as a PNG, transparent where it has no data.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    image, valid
        As in `write_preview`.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    alpha = np.where(valid, np.uint8(255), np.uint8(0))
    with replacing(path) as part, run_errors(path):
        Image.fromarray(np.dstack([image, alpha])).save(part, format="PNG")


def read_picture(path: Path) -> tuple[Pixels, NDArray[np.bool_]]:
    """Read what `write_picture` wrote: image and valid mask.

    Raises
    ------
    RunError
        If it is absent or damaged.
    """
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
    except OSError as error:
        raise RunError(
            f"{path}: the picture of the scene cannot be read ({error}); expected that of a "
            "finished run: run alps-geo label there again with --force"
        ) from error
    return pixels[..., :3], pixels[..., 3] != 0


def _panel_shape(rows: int, cols: int) -> tuple[int, int]:
    """Shape to draw at: whole multiples of a small scene; a thin one is widened to be seen."""
    longest = max(rows, cols)
    scale = (
        _LONGEST_PANEL / longest
        if longest > _LONGEST_PANEL
        else max(1, round(_SHORTEST_PANEL / longest))
    )
    return max(round(rows * scale), _THINNEST_PANEL), max(round(cols * scale), _THINNEST_PANEL)


def _nearest(values: NDArray[_Scalar], rows: int, cols: int) -> NDArray[_Scalar]:
    row = np.arange(rows) * values.shape[0] // rows
    col = np.arange(cols) * values.shape[1] // cols
    nearest: NDArray[_Scalar] = values[row[:, None], col]
    return nearest


def _scene_panel(image: Pixels, valid: NDArray[np.bool_], rows: int, cols: int) -> Pixels:
    """Draw the scene at the given shape; smaller means averaged, without what has no data."""
    if rows >= image.shape[0] and cols >= image.shape[1]:
        return _nearest(image, rows, cols)
    weights = _shrunk(valid.astype(np.float32), rows, cols)
    sums = [_shrunk(image[..., band] * valid, rows, cols) for band in range(3)]
    return np.rint(np.stack(sums, axis=-1) / np.maximum(weights, 1e-6)[..., None]).astype(np.uint8)


def _shrunk(values: NDArray[np.generic], rows: int, cols: int) -> NDArray[np.float32]:
    whole = Image.fromarray(values.astype(np.float32))
    return np.asarray(whole.resize((cols, rows), Image.Resampling.BOX))


def _labels_panel(
    scene: Pixels, labels: NDArray[np.integer], palette: Mapping[int, Color]
) -> Pixels:
    grey = scene.mean(axis=-1, keepdims=True)
    # Between 200 and 245: paler than any colour, and never the white of pixels without data.
    panel: Pixels = np.rint(200 + grey * 45 / 255).astype(np.uint8).repeat(3, axis=-1)
    for cluster, color in palette.items():
        panel[labels == cluster] = color
    return panel


def _blank(panel: Pixels, empty: NDArray[np.bool_]) -> Pixels:
    return np.where(empty[..., None], np.uint8(255), panel)


def _legend(
    labels: NDArray[np.integer],
    valid: NDArray[np.bool_],
    palette: Mapping[int, Color],
    names: Mapping[int, str],
) -> list[_Entry]:
    found, counts = np.unique(labels[valid], return_counts=True)
    count = dict(zip(found.tolist(), counts.tolist(), strict=True))
    total = max(int(counts.sum()), 1)
    entries = [
        _Entry(color, str(cluster), _shortened(names.get(cluster, "")), _share(n, total))
        for cluster, color in sorted(palette.items())
        for n in [count.get(cluster, 0)]
    ]
    unlabelled = sum(n for cluster, n in count.items() if cluster not in palette)
    if unlabelled:
        entries.append(_Entry(_UNLABELLED, "", "unlabelled", _share(unlabelled, total)))
    return entries


def _share(count: int, total: int) -> str:
    """Percentage with one decimal; little shows as little, none as none."""
    percent = 100 * count / total
    if percent >= 0.05:
        return f"{percent:.1f}%"
    return "<0.1%" if count else "none"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1].rstrip() + "…"


def _compose(
    panels: tuple[tuple[str, Pixels], ...], legend: list[_Entry], title: str | None
) -> Image.Image:
    rows, cols = panels[0][1].shape[:2]
    panels_width = 2 * cols + _GAP
    inner = max(panels_width, _NARROWEST)
    columns = _Columns.of(legend, inner)
    top = _MARGIN + (_TITLE + _GAP if title else 0)
    legend_top = top + _LINE + rows + _GAP + _LINE
    height = legend_top + columns.lines * _LINE + _MARGIN
    picture = Image.new("RGB", (inner + 2 * _MARGIN, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    if title:
        lettering(_TITLE).draw(draw, (_MARGIN, _MARGIN), title, _INK)
    left = _MARGIN + (inner - panels_width) // 2
    for number, (caption, panel) in enumerate(panels):
        x, y = left + number * (cols + _GAP), top + _LINE
        lettering(_TEXT).draw(draw, (x, top), caption, _FAINT_INK)
        picture.paste(Image.fromarray(panel), (x, y))
        draw.rectangle((x - 1, y - 1, x + cols, y + rows), None, _FRAME)
    for index, entry in enumerate(legend):
        column, line = divmod(index, columns.lines)
        x, y = _MARGIN + column * columns.pitch, legend_top + line * _LINE
        if line == 0:
            _draw_head(draw, (x, y - _LINE), columns)
        _draw_entry(draw, (x, y), columns, entry)
    return picture


@dataclass(frozen=True)
class _Columns:
    """Layout of a legend: lines in a column, and positions in it."""

    lines: int
    pitch: int
    number_end: int
    name_start: int
    share_end: int

    @classmethod
    def of(cls, legend: list[_Entry], width: int) -> _Columns:
        """Make columns of some lines at least, and no more of them than fit."""
        number_end = _PATCH + _AFTER_PATCH + _widest([entry.number for entry in legend])
        names = [entry.name for entry in legend if entry.name]
        name_start = number_end + _AFTER_NUMBER
        name_end = name_start + _widest(names) if names else number_end
        shares = _widest([_SHARE, *(entry.share for entry in legend)])
        share_end = max(name_end, _widest([_CLUSTER])) + _BEFORE_SHARE + shares
        most = max(1, (width + _BETWEEN_COLUMNS) // (share_end + _BETWEEN_COLUMNS))
        lines = max(-(-len(legend) // most), min(len(legend), _FEWEST_LINES))
        return cls(lines, share_end + _BETWEEN_COLUMNS, number_end, name_start, share_end)


def _widest(texts: list[str]) -> int:
    return math.ceil(max(map(lettering(_TEXT).width, texts), default=0.0))


def _draw_head(draw: ImageDraw.ImageDraw, corner: tuple[int, int], columns: _Columns) -> None:
    text = lettering(_TEXT)
    x, middle = corner[0], corner[1] + _PATCH // 2
    text.draw(draw, (x, middle), _CLUSTER, _FAINT_INK, "lm")
    text.draw(draw, (x + columns.share_end, middle), _SHARE, _FAINT_INK, "rm")
    y = corner[1] + _PATCH + (_LINE - _PATCH) // 3
    draw.line((x, y, x + columns.share_end, y), _FRAME)


def _draw_entry(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], columns: _Columns, entry: _Entry
) -> None:
    text = lettering(_TEXT)
    x, y = corner
    draw.rectangle((x, y, x + _PATCH, y + _PATCH), entry.color, _FRAME)
    middle = y + _PATCH // 2
    text.draw(draw, (x + columns.number_end, middle), entry.number, _INK, "rm")
    name = columns.name_start if entry.number else _PATCH + _AFTER_PATCH
    text.draw(draw, (x + name, middle), entry.name, _INK, "lm")
    text.draw(draw, (x + columns.share_end, middle), entry.share, _FAINT_INK, "rm")
