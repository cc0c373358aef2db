"""Layout of a preview: title, panels, scales and legend, all in proportion to its width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from alps_geo.outputs.draw import (
    FAINT_INK,
    INK,
    PATCH,
    Entry,
    Legend,
    LegendStyle,
    share_text,
    shortened,
)
from alps_geo.outputs.drawing import WIDTH_MM, Box, Drawing, Panel, Text
from alps_geo.outputs.ground_view import GroundView, ScaleStyle, scale_marks
from alps_geo.outputs.letters import lettering
from alps_geo.outputs.preview_panels import (
    blank,
    border_lines,
    borders_panel,
    labels_panel,
    panel_shape,
    scene_panel,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.legend import Legend as ClusterLegend
    from alps_geo.outputs.drawing import Mark, PanelLines
    from alps_geo.outputs.letters import Lettering

    Pixels = NDArray[np.uint8]

# Millimetres of a picture that is 25 cm wide: the text has 9 points, the title 14.
_MARGIN, _GAP, _SECTION = 6.0, 3.0, 5.0
_TEXT, _TITLE = 3.2, 5.0
_LINE, _PATCH, _SCALE = 5.6, 3.6, 3.6

_NARROWEST = 1200
"""Width of the narrowest picture, in pixels."""

_WIDE = 2.2
"""Width of a panel over its height from which panels stand below each other."""

_LONGEST_BAR = 0.35
"""Share of a panel's width that a scale bar may have."""

_LONGEST_NAME = 36
_FEWEST_LINES = 4
_FRAME = (150, 156, 164)
_UNLABELLED = (222, 222, 222)
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Detail:
    """A part of a scene in which segments can be told apart.

    Attributes
    ----------
    image : array (H, W, 3), uint8
        The part.
    valid : array (H, W), bool
        True where it has data.
    segments : array (H, W), integer
        Ids of segments, 0 for none.
    box : tuple of float
        Its (top, left, bottom, right) as shares of the scene, as drawn.
    """

    image: Pixels
    valid: NDArray[np.bool_]
    segments: NDArray[np.integer]
    box: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class MapPicture:
    """A labelled scene as a preview shows it.

    Attributes
    ----------
    image : array (H, W, 3), uint8
        The scene, or an overview of it.
    labels : array (H, W), integer
        Clusters or classes, 0 where there is none.
    valid : array (H, W), bool
        True where the scene has data. Shares are shares of these pixels.
    segments : array (H, W), integer, optional
        Ids of segments, 0 for none; without them, and without `detail`, no borders are shown.
    detail : Detail, optional
        Part whose borders are shown in place of those of the whole scene.
    crs : object, optional
        CRS of the scene, as pyproj takes it.
    transform : affine.Affine, optional
        From (col, row) of the picture to coordinates, or without a CRS to pixels of the scene;
        None for a picture that has no scale.
    """

    image: Pixels
    labels: NDArray[np.integer]
    valid: NDArray[np.bool_]
    segments: NDArray[np.integer] | None = None
    detail: Detail | None = None
    crs: object | None = None
    transform: Affine | None = None

    def view(
        self,
        shape: tuple[int, int],
        box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    ) -> GroundView | None:
        """Measure a panel that shows a part of the scene; None without a scale."""
        if self.transform is None:
            return None
        (rows, cols), (top, left, bottom, right) = self.valid.shape, box
        part = Affine.translation(left * cols, top * rows) @ Affine.scale(
            (right - left) * cols / shape[1], (bottom - top) * rows / shape[0]
        )
        return GroundView.of(self.crs, self.transform @ part, shape)


@dataclass(frozen=True)
class Captions:
    """Words above the panels and the legend of a preview."""

    scene: str = "scene"
    labels: str = "labels"
    segments: str = "segments"
    heading: str = "cluster"


@dataclass(frozen=True, eq=False)
class _Shown:
    """A panel with its caption, its scale if it has one below it, and a box in it."""

    caption: str
    pixels: Pixels
    lines: PanelLines | None = None
    view: GroundView | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a layout, in pixels."""

    width: int
    rows: int
    cols: int
    across: int

    @classmethod
    def of(cls, count: int, rows: int, cols: int) -> _Sizes:
        """Choose the width of a sheet of panels."""
        across = 1 if count > 1 and cols > _WIDE * rows else count
        room = WIDTH_MM - 2 * _MARGIN - (across - 1) * _GAP
        return cls(max(_NARROWEST, round(across * cols * WIDTH_MM / room)), rows, cols, across)

    def px(self, millimetres: float) -> int:
        """Return pixels of a length on a page."""
        return round(millimetres * self.width / WIDTH_MM)

    @property
    def inner(self) -> int:
        """Width between the margins."""
        return self.width - 2 * self.px(_MARGIN)


def preview_sheet(
    picture: MapPicture, clusters: ClusterLegend, title: str | None, captions: Captions
) -> Drawing:
    """Lay out a preview: title, panels with their scales, and the legend.

    Large scenes are drawn smaller, small ones larger pixel by pixel. Unlabelled pixels show the
    scene in faint grey, pixels without data are white.

    Parameters
    ----------
    picture : MapPicture
        The scene.
    clusters : alps_geo.clusters.legend.Legend
        Colours and names of all clusters that the legend lists.
    title : str or None
        Above the panels.
    captions : Captions
        Above each panel, and above the names in the legend.
    """
    panels = _panels(picture, clusters.palette, captions)
    sizes = _Sizes.of(len(panels), *panels[0].pixels.shape[:2])
    text, margin = lettering(sizes.px(_TEXT)), sizes.px(_MARGIN)
    marks: list[Mark] = []
    y = margin
    if title:
        large = lettering(sizes.px(_TITLE))
        marks.append(Text((margin, y), _fitting(title, large, sizes.inner), large, INK))
        y += sizes.px(_TITLE + _SECTION)
    placed, y = _place(panels, sizes, text, y)
    marks += placed
    if (view := panels[0].view) is not None:
        marks.append(Text((margin, y), _fitting(view.crs, text, sizes.inner), text, FAINT_INK))
        y += sizes.px(_LINE)
    y += sizes.px(_SECTION)
    legend = _legend(picture, clusters, captions.heading, sizes)
    y += legend.style.line
    marks += legend.marks((margin, y))
    height = y + legend.lines * legend.style.line + margin
    return Drawing(sizes.width, height, tuple(marks), title or "")


def _panels(
    picture: MapPicture, palette: Mapping[int, Color], captions: Captions
) -> tuple[_Shown, ...]:
    whole = picture.view(picture.valid.shape)
    rows, cols = picture.valid.shape
    shape = panel_shape(rows, cols, 1.0 if whole is None else whole.aspect)
    scene = scene_panel(picture.image, picture.valid, shape)
    labels = blank(labels_panel(scene, picture.labels, palette), picture.valid)
    detail = picture.detail
    box = None if detail is None else detail.box
    shown = [
        _Shown(captions.scene, scene, None, picture.view(shape), box),
        _Shown(captions.labels, labels),
    ]
    if detail is not None:
        part = scene_panel(detail.image, detail.valid, shape)
        borders = borders_panel(part, detail.segments, detail.valid)
        lines = border_lines(part, detail.segments, detail.valid)
        caption = f"{captions.segments}, in the frame"
        shown.append(_Shown(caption, borders, lines, picture.view(shape, detail.box)))
    elif picture.segments is not None:
        borders = borders_panel(scene, picture.segments, picture.valid)
        lines = border_lines(scene, picture.segments, picture.valid)
        shown.append(_Shown(captions.segments, borders, lines))
    return tuple(shown)


def _place(
    panels: Sequence[_Shown], sizes: _Sizes, text: Lettering, top: int
) -> tuple[list[Mark], int]:
    """Place panels next to or below each other; return their marks and the y below them."""
    marks: list[Mark] = []
    x = sizes.px(_MARGIN)
    scale = ScaleStyle(text, sizes.px(_SCALE), INK)
    below = scale.height + 2 * sizes.px(_GAP)
    y, deepest = top, top
    for number, panel in enumerate(panels):
        if number and sizes.across == 1:
            y = deepest + (0 if panels[number - 1].view else sizes.px(_GAP))
        corner = (x, y + sizes.px(_LINE))
        marks.append(Text((x, y), panel.caption, text, FAINT_INK))
        marks += _framed(panel, corner, sizes)
        deepest = max(deepest, corner[1] + sizes.rows)
        if panel.view is not None:
            start = (x, corner[1] + sizes.rows + sizes.px(_GAP))
            marks += scale_marks(panel.view, start, _LONGEST_BAR * sizes.cols, scale)
            deepest = max(deepest, corner[1] + sizes.rows + below)
        if sizes.across > 1:
            x += sizes.cols + sizes.px(_GAP)
    return marks, deepest


def _framed(panel: _Shown, corner: tuple[int, int], sizes: _Sizes) -> Iterator[Mark]:
    """Yield the pixels of a panel, the frame around them, and that of the part shown elsewhere."""
    x, y = corner
    yield Panel(corner, panel.pixels, panel.lines)
    yield Box((x - 1, y - 1), (x + sizes.cols, y + sizes.rows), None, _FRAME)
    if panel.box is not None:
        top, left, bottom, right = panel.box
        first = (x + round(left * sizes.cols), y + round(top * sizes.rows))
        last = (x + round(right * sizes.cols) - 1, y + round(bottom * sizes.rows) - 1)
        pen = max(2, sizes.px(0.35))
        yield Box(
            (first[0] - pen, first[1] - pen), (last[0] + pen, last[1] + pen), None, _BLACK, pen
        )
        yield Box(first, last, None, _WHITE, pen)


def _legend(picture: MapPicture, clusters: ClusterLegend, heading: str, sizes: _Sizes) -> Legend:
    style = LegendStyle(
        lettering(sizes.px(_TEXT)),
        sizes.px(_LINE),
        after_patch=sizes.px(10 * _PATCH / PATCH),
        frame=_FRAME,
        heading=heading,
        patch=sizes.px(_PATCH),
    )
    return Legend.in_columns(_entries(picture, clusters), style, sizes.inner, _FEWEST_LINES)


def _entries(picture: MapPicture, clusters: ClusterLegend) -> list[Entry]:
    found, counts = np.unique(picture.labels[picture.valid], return_counts=True)
    count = dict(zip(found.tolist(), counts.tolist(), strict=True))
    total = max(int(counts.sum()), 1)
    palette = clusters.palette
    entries = [
        Entry(
            color,
            shortened(clusters.names.get(cluster, ""), _LONGEST_NAME),
            str(cluster),
            share_text(count.get(cluster, 0), total),
        )
        for cluster, color in sorted(palette.items())
    ]
    unlabelled = sum(n for cluster, n in count.items() if cluster not in palette)
    if unlabelled:
        entries.append(Entry(_UNLABELLED, "unlabelled", share=share_text(unlabelled, total)))
    return entries


def _fitting(words: str, text: Lettering, width: int) -> str:
    """Shorten a text until it is no wider than a number of pixels."""
    longest = len(words)
    while longest > 1 and text.width(shortened(words, longest)) > width:
        longest -= 1
    return shortened(words, longest)
