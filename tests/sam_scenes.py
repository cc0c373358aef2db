"""Real scenes as 8-bit RGB, and how well two sets of masks agree; for tests of `alps_geo.sam`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio
from helpers import DATA
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rgb(name: str, height: int | None = None, width: int | None = None) -> NDArray[np.uint8]:
    """Read the first three bands, cut to size, and stretch what isn't 8-bit to 2-98 %."""
    with rasterio.open(DATA / name) as file:
        bands = file.read([1, 2, 3])[:, :height, :width].transpose(1, 2, 0)
    if bands.dtype != np.uint8:
        low, high = np.percentile(bands, (2, 98))
        bands = (np.clip((bands - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(bands)


def matched_iou(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Match masks one to one, so that their IoU is highest; give the IoU of each pair."""
    iou = _iou(masks, others)
    return np.asarray(iou[linear_sum_assignment(-iou)])


def best_iou(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give each mask's IoU with the most similar of the others."""
    return np.asarray(_iou(masks, others).max(axis=1))


def _iou(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    flat, other = (m.reshape(len(m), -1).astype(np.float64) for m in (masks, others))
    shared = flat @ other.T
    return np.asarray(shared / (flat.sum(1)[:, None] + other.sum(1) - shared))
