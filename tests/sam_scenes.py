"""Real scenes as 8-bit RGB, and how well two sets of masks agree; for tests of `alps_geo.sam`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"


def rgb(name: str, height: int | None = None, width: int | None = None) -> NDArray[np.uint8]:
    """Read the first three bands, cut to size, and stretch what isn't 8-bit to 2-98 %."""
    with rasterio.open(DATA / name) as file:
        bands = file.read([1, 2, 3])[:, :height, :width].transpose(1, 2, 0)
    if bands.dtype != np.uint8:
        low, high = np.percentile(bands, (2, 98))
        bands = (np.clip((bands - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(bands)


def best_iou(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give each mask's IoU with the most similar of the others."""
    flat, other = (m.reshape(len(m), -1).astype(np.float64) for m in (masks, others))
    shared = flat @ other.T
    iou = shared / (flat.sum(1)[:, None] + other.sum(1) - shared)
    return np.asarray(iou.max(axis=1))
