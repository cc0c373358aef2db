"""From points to the filtered, deduplicated masks of one image.

The steps and their order are those of segment_anything's `SamAutomaticMaskGenerator`, and so are
the results; the computations differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from alps_geo.errors import SettingsError
from alps_geo.sam import batches, memory, rounds
from alps_geo.sam.frame import Frame
from alps_geo.sam.packed import join
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from alps_geo.sam.model import SamModel
    from alps_geo.sam.packed import PackedMasks


@torch.inference_mode()
def generate_masks(
    model: SamModel,
    embedding: Tensor,
    shape: tuple[int, int],
    settings: MaskSettings = MaskSettings(),  # noqa: B008 - frozen, so safe to share
    valid: NDArray[np.bool_] | None = None,
    points: NDArray[np.float64] | None = None,
) -> PackedMasks:
    """Find the masks of one image.

    Parameters
    ----------
    model : SamModel
        From `alps_geo.sam.model.load_model`.
    embedding : (1, 256, 64, 64) float32
        The encoded image, from `SamModel.encode` or `encode_many`.
    shape : (int, int)
        Height and width of the image, in pixels.
    settings : MaskSettings
        Points and thresholds.
    valid : (H, W) bool, optional
        True where there is data; points elsewhere are skipped before the decoder.
    points : (P, 2) float64, optional
        (row, col) of points inside the image, in pixels: segment_anything's ``point_grids``. By
        default the grid of the settings. Without points there are no masks.

    Returns
    -------
    PackedMasks
        Best predicted IoU first, as segment_anything orders them. The same input gives the same
        masks in the same order. Masks without a pixel are left out.

    Raises
    ------
    SettingsError
        If the valid mask has another shape or dtype, or if there are neither points nor a grid.
    ModelMemoryError
        If memory does not suffice for a single point.
    """
    if valid is not None and (valid.shape != shape or valid.dtype != np.bool_):
        raise SettingsError(
            f"the valid mask is {valid.dtype} of shape {valid.shape}, expected bool of {shape}"
        )
    if points is None:
        points = _grid(shape, settings.points_per_side)
    if valid is not None:
        rows, cols = points.astype(np.int64).T
        points = np.compress(valid[rows, cols], points, axis=0)
    if not len(points):
        return join([])
    keys = model.decoder.prepare(embedding)
    frame = Frame(*shape)
    inputs = (points * frame.scale)[:, ::-1].astype(np.float32)
    decode = batches.decoded_masks
    if memory.wants_large_batches(embedding):
        decode = rounds.decoded_masks
    found = decode(model, keys, frame, inputs, settings)
    return found[_best_boxes(found.bbox, found.predicted_iou, settings.box_nms_thresh)]


def _grid(shape: tuple[int, int], per_side: int | None) -> NDArray[np.float64]:
    """Place a grid of (row, col) points, in pixels."""
    if per_side is None:
        raise SettingsError("points_per_side is None and no points are given; expected either")
    half = 1 / (2 * per_side)
    along = np.linspace(half, 1 - half, per_side)
    row, col = np.meshgrid(along, along, indexing="ij")
    return np.stack([row.ravel(), col.ravel()], axis=1) * shape


def _best_boxes(
    bbox: NDArray[np.int64], scores: NDArray[np.float32], threshold: float
) -> NDArray[np.int64]:
    """Pick the masks that survive non-maximum suppression by box, best first."""
    top, left, bottom, right = _inclusive(bbox).T.astype(np.float32)
    area = (bottom - top) * (right - left)
    # torchvision's suppression leaves the order of equal scores open.
    rest = np.argsort(-scores, kind="stable")
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        shared = height.clip(min=0) * width.clip(min=0)
        union = (area[best] + area[rest] - shared).clip(min=np.finfo(np.float32).tiny)
        rest = rest[(shared / union).astype(np.float64) <= threshold]
    return np.array(kept, dtype=np.int64)


def _inclusive(bbox: NDArray[np.int64]) -> NDArray[np.int64]:
    """Boxes as segment_anything measures them: to the last row and column, not one beyond."""
    return np.where(bbox.any(axis=1, keepdims=True), bbox - np.array([0, 0, 1, 1]), bbox)
