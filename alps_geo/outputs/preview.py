"""The output of a picture: the scene, its labels, and the meaning of the colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from alps_geo.errors import RunError
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.draw import (
    FAINT_INK,
    INK,
    Entry,
    Legend,
    LegendStyle,
    paste_row,
    save_png,
    share_text,
    sheet,
    shortened,
)
from alps_geo.outputs.letters import lettering
from alps_geo.outputs.names import LABELS
from alps_geo.outputs.output import Output, check_present
from alps_geo.scene import read_overview
from alps_geo.scene.placed import north_up
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.legend import Legend as ClusterLegend
    from alps_geo.outputs.output import LabelledScene, SceneSource

    Pixels = NDArray[np.uint8]

_Scalar = TypeVar("_Scalar", bound=np.generic)

PREVIEW_SIZE = 1024
"""Longest side of each picture in the preview, in pixels."""

PICTURE = "picture.png"
"""The scene as the preview shows it, stored with the segments: another preview is drawn of it."""

_FILE = "preview.png"

# All in pixels of the picture.
_LONGEST_PANEL = 960
_SHORTEST_PANEL = 480
_THINNEST_PANEL = 56
_NARROWEST = 720
_MARGIN = 32
_GAP = 24
_LINE = 28
_TEXT = 15
_TITLE = 22
_LONGEST_NAME = 36
_AFTER_PATCH = 10

_FRAME = (176, 181, 188)
_UNLABELLED = (222, 222, 222)


class Preview(Output):
    """``preview.png``: the scene and its labels at a glance."""

    files = (_FILE,)
    needs = (LABELS,)

    def check(self, labelled: LabelledScene) -> None:
        """Check that the picture of the scene is there."""
        check_present(labelled.segments_folder / PICTURE)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        """Store the picture of the scene, and draw the preview."""
        pixels = read_overview(source.scene, PREVIEW_SIZE)
        write_picture(labelled.segments_folder / PICTURE, pixels.image, pixels.valid)
        self.rewrite(labelled)

    def rewrite(self, labelled: LabelledScene) -> None:
        """Draw the preview from the picture of the scene and ``labels.tif``."""
        image, valid = read_picture(labelled.segments_folder / PICTURE)
        with opened(str(labelled.folder / LABELS)) as raster:
            labels = raster.read(1, out_shape=valid.shape)
            order = north_up(raster.transform)
        write_preview(
            labelled.folder / _FILE,
            image[order],
            labels[order],
            valid[order],
            labelled.model.legend,
            title=labelled.title,
        )

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        """Draw the preview again."""
        self.rewrite(labelled)


def write_preview(
    path: Path,
    image: Pixels,
    labels: NDArray[np.integer],
    valid: NDArray[np.bool_],
    clusters: ClusterLegend,
    *,
    title: str | None = None,
    captions: tuple[str, str, str] = ("scene", "labels", "cluster"),
) -> None:
    """Draw the scene next to its labels, with a legend, as one PNG.

    Large scenes are drawn smaller, small ones larger pixel by pixel. Unlabelled pixels show the
    scene in faint grey, pixels without data are white. The same arrays give the same bytes.

    Parameters
    ----------
    path : pathlib.Path
        File to write. One that is there is replaced at the end.
    image : array (rows, cols, 3), uint8
        The scene, or an overview of it.
    labels : array (rows, cols), integer
        Clusters, 0 where there is none.
    valid : array (rows, cols), bool
        True where the scene has data. Shares are shares of these pixels.
    clusters : alps_geo.clusters.legend.Legend
        Colours and names of all clusters that the legend lists.
    title : str, optional
        Above the panels.
    captions : tuple of str
        Above each panel, and above the names in the legend.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    rows, cols = _panel_shape(*labels.shape)
    scene = _scene_panel(image, valid, rows, cols)
    colored = _labels_panel(scene, _nearest(labels, rows, cols), clusters.palette)
    empty = ~_nearest(valid, rows, cols)
    panels = tuple(zip(captions[:2], (_blank(scene, empty), _blank(colored, empty)), strict=True))
    entries = _entries(labels, valid, clusters.palette, clusters.names)
    save_png(path, _compose(panels, entries, title, captions[2]))


def write_picture(path: Path, image: Pixels, valid: NDArray[np.bool_]) -> None:
    """Keep the scene of a preview as a PNG, transparent where it has no data.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    image, valid
        Scene and valid mask, as for `write_preview`.

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
    """Return the shape of a panel: a multiple of a small scene, wider than a thin one."""
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
    """Draw the scene at the given shape; where it is smaller, pixels with data are averaged."""
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


def _entries(
    labels: NDArray[np.integer],
    valid: NDArray[np.bool_],
    palette: Mapping[int, Color],
    names: Mapping[int, str],
) -> list[Entry]:
    found, counts = np.unique(labels[valid], return_counts=True)
    count = dict(zip(found.tolist(), counts.tolist(), strict=True))
    total = max(int(counts.sum()), 1)
    entries = [
        Entry(
            color,
            shortened(names.get(cluster, ""), _LONGEST_NAME),
            str(cluster),
            share_text(n, total),
        )
        for cluster, color in sorted(palette.items())
        for n in [count.get(cluster, 0)]
    ]
    unlabelled = sum(n for cluster, n in count.items() if cluster not in palette)
    if unlabelled:
        entries.append(Entry(_UNLABELLED, "unlabelled", share=share_text(unlabelled, total)))
    return entries


def _compose(
    panels: tuple[tuple[str, Pixels], ...],
    entries: Sequence[Entry],
    title: str | None,
    heading: str,
) -> Image.Image:
    """Lay out title, panels and legend, from top to bottom."""
    rows, cols = panels[0][1].shape[:2]
    panels_width = 2 * cols + _GAP
    inner = max(panels_width, _NARROWEST)
    text = lettering(_TEXT)
    style = LegendStyle(text, _LINE, _AFTER_PATCH, frame=_FRAME, heading=heading)
    legend = Legend.in_columns(entries, style, inner)
    top = _MARGIN + (_TITLE + _GAP if title else 0)
    legend_top = top + _LINE + rows + _GAP + _LINE
    picture = sheet(inner + 2 * _MARGIN, legend_top + legend.lines * _LINE + _MARGIN)
    draw = ImageDraw.Draw(picture)
    if title:
        lettering(_TITLE).draw(draw, (_MARGIN, _MARGIN), title, INK)
    left = _MARGIN + (inner - panels_width) // 2
    images = [Image.fromarray(panel) for _, panel in panels]
    corners = paste_row(picture, images, (left, top + _LINE), _GAP)
    for (caption, _), (x, y) in zip(panels, corners, strict=True):
        text.draw(draw, (x, top), caption, FAINT_INK)
        draw.rectangle((x - 1, y - 1, x + cols, y + rows), None, _FRAME)
    legend.draw(draw, (_MARGIN, legend_top))
    return picture
