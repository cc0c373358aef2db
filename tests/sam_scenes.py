"""Real scenes as 8-bit RGB, their masks, and the agreement of masks; for tests of SAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio
from helpers import DATA
from scipy.optimize import linear_sum_assignment

from alps_geo.masks.sam1 import tile_masks
from alps_geo.sam.generate import generate_masks
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from alps_geo.masks.tile_masks import TileMasks
    from alps_geo.sam.model import SamModel


def rgb(name: str, height: int | None = None, width: int | None = None) -> NDArray[np.uint8]:
    """Read the first three bands, cut to size, and stretch what isn't 8-bit to 2-98 %."""
    with rasterio.open(DATA / name) as file:
        bands = file.read([1, 2, 3])[:, :height, :width].transpose(1, 2, 0)
    if bands.dtype != np.uint8:
        low, high = np.percentile(bands, (2, 98))
        bands = (np.clip((bands - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(bands)


def masks_of(
    model: SamModel,
    image: NDArray[np.uint8],
    settings: MaskSettings = MaskSettings(),  # noqa: B008 - frozen, so safe to share
    valid: NDArray[np.bool_] | None = None,
    embedding: Tensor | None = None,
    points: NDArray[np.float64] | None = None,
) -> TileMasks:
    """Encode an image, unless it has been, and find its masks."""
    shape = image.shape[0], image.shape[1]
    embedding = model.encode(image) if embedding is None else embedding
    return tile_masks(generate_masks(model, embedding, shape, settings, valid, points), shape)


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
