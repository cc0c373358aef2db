"""Panels of a preview: the scene, its labels, and the borders of its segments, as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from alps_geo.outputs.drawing import PanelLines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color

    Pixels = NDArray[np.uint8]

_Scalar = TypeVar("_Scalar", bound=np.generic)

LONGEST_PANEL = 960
"""Longest side of a panel, in pixels."""

BORDER = (255, 221, 0)
"""Colour of the borders of segments."""

_SHORTEST_PANEL = 480
_THINNEST_PANEL = 56
_SQUARE = 0.03
_MOST_STRETCHED = 16.0

# Sides of a mean segment in a panel, in pixels, from which its borders are drawn thicker.
_THICK = 28


def panel_shape(rows: int, cols: int, aspect: float = 1.0) -> tuple[int, int]:
    """Return the shape of a panel: a multiple of a small scene, wider than a thin one.

    Parameters
    ----------
    rows, cols : int
        Shape of the picture.
    aspect : float
        Height of its pixels over their width.
    """
    if abs(aspect - 1) > _SQUARE:
        stretched = float(np.clip(aspect, 1 / _MOST_STRETCHED, _MOST_STRETCHED))
        rows, cols = round(rows * max(stretched, 1)), round(cols * max(1 / stretched, 1))
    longest = max(rows, cols)
    scale = (
        LONGEST_PANEL / longest
        if longest > LONGEST_PANEL
        else max(1, round(_SHORTEST_PANEL / longest))
    )
    return max(round(rows * scale), _THINNEST_PANEL), max(round(cols * scale), _THINNEST_PANEL)


def nearest(values: NDArray[_Scalar], shape: tuple[int, int]) -> NDArray[_Scalar]:
    """Resample values to a shape by nearest neighbour."""
    rows, cols = (
        np.arange(new) * old // new for new, old in zip(shape, values.shape, strict=False)
    )
    found: NDArray[_Scalar] = values[rows[:, None], cols]
    return found


def scene_panel(image: Pixels, valid: NDArray[np.bool_], shape: tuple[int, int]) -> Pixels:
    """Draw a scene at a shape; where it is smaller, pixels with data are averaged.

    Pixels without data are white.
    """
    rows, cols = shape
    if rows >= image.shape[0] and cols >= image.shape[1]:
        panel = nearest(image, shape)
    else:
        weights = _shrunk(valid.astype(np.float32), shape)
        sums = [_shrunk(image[..., band] * valid, shape) for band in range(3)]
        mean = np.stack(sums, axis=-1) / np.maximum(weights, 1e-6)[..., None]
        panel = np.rint(mean).astype(np.uint8)
    return blank(panel, valid)


def labels_panel(
    scene: Pixels, labels: NDArray[np.integer], palette: Mapping[int, Color]
) -> Pixels:
    """Draw labels in their colours, and the panel of the scene in faint grey where there are none.

    Labels may have another shape than the panel.
    """
    grey = scene.mean(axis=-1, keepdims=True)
    # Between 200 and 245: paler than any colour, and never the white of pixels without data.
    panel: Pixels = np.rint(200 + grey * 45 / 255).astype(np.uint8).repeat(3, axis=-1)
    found = nearest(labels, panel.shape[:2])
    for cluster, color in palette.items():
        panel[found == cluster] = color
    return panel


def borders_panel(scene: Pixels, ids: NDArray[np.integer], valid: NDArray[np.bool_]) -> Pixels:
    """Draw the borders of segments over the panel of a scene.

    Parameters
    ----------
    scene : array (rows, cols, 3), uint8
        The panel.
    ids : array (H, W), integer
        Segments, 0 for none.
    valid : array (H, W), bool
        True where there are data; no border is drawn elsewhere.
    """
    shape = scene.shape[:2]
    found, here = nearest(ids, shape), nearest(valid, shape)
    lines = np.zeros(shape, np.bool_)
    across, down = found[:, 1:] != found[:, :-1], found[1:] != found[:-1]
    lines[:, 1:] |= across
    lines[1:] |= down
    if _is_thick(found, here):
        lines[:, :-1] |= across
        lines[:-1] |= down
    panel = scene.copy()
    panel[lines & here] = BORDER
    return panel


def border_lines(scene: Pixels, ids: NDArray[np.integer], valid: NDArray[np.bool_]) -> PanelLines:
    """Trace the borders of `borders_panel` as lines between pixels.

    Parameters
    ----------
    scene : array (rows, cols, 3), uint8
        The panel without borders.
    ids : array (H, W), integer
        Segments, 0 for none.
    valid : array (H, W), bool
        True where there are data; no border is traced elsewhere.
    """
    shape = scene.shape[:2]
    found, here = nearest(ids, shape), nearest(valid, shape)
    across = (found[:, 1:] != found[:, :-1]) & (here[:, 1:] | here[:, :-1])
    down = (found[1:] != found[:-1]) & (here[1:] | here[:-1])
    x, top, bottom = _runs(across.T)
    y, left, right = _runs(down)
    upright = np.stack([x + 1, top, x + 1, bottom], axis=1)
    level = np.stack([left, y + 1, right, y + 1], axis=1)
    width = 2 if _is_thick(found, here) else 1
    return PanelLines(scene, np.concatenate([upright, level]), BORDER, width)


def _runs(
    values: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return row, first column and column after the last of the runs of True in each row."""
    steps = np.diff(np.pad(values, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    return rows, starts, np.nonzero(steps == -1)[1]


def _is_thick(found: NDArray[np.integer], here: NDArray[np.bool_]) -> bool:
    return mean_side(int(here.sum()), len(np.unique(found))) >= _THICK


def mean_side(pixels: float, segments: int) -> float:
    """Return the side of a square of the mean size of segments."""
    return float(np.sqrt(pixels / max(segments, 1)))


def blank(panel: Pixels, valid: NDArray[np.bool_]) -> Pixels:
    """Make pixels of a panel white where there are no data."""
    here = nearest(valid, panel.shape[:2])
    return np.where(here[..., None], panel, np.uint8(255))


def _shrunk(values: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.float32]:
    whole = Image.fromarray(values.astype(np.float32))
    return np.asarray(whole.resize(shape[::-1], Image.Resampling.BOX))
