"""Masks as (N, H, W) arrays, to and from the stored form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects

from alps_geo.masks.tile_masks import TileMasks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def packed(
    masks: NDArray[np.bool_],
    predicted_iou: NDArray[np.float32],
    stability_score: NDArray[np.float32],
) -> TileMasks:
    """Pack (N, H, W) bool masks; an empty mask gets the empty bbox (0, 0, 0, 0)."""
    nothing = (slice(0, 0), slice(0, 0))
    boxes = [(find_objects(mask.astype(np.uint8)) or [nothing])[0] for mask in masks]
    height, width = masks.shape[1:]
    return TileMasks.of(
        (height, width),
        [[rows.start, cols.start, rows.stop, cols.stop] for rows, cols in boxes],
        [np.packbits(mask[box]) for mask, box in zip(masks, boxes, strict=True)],
        predicted_iou,
        stability_score,
    )


def unpacked(masks: TileMasks) -> NDArray[np.bool_]:
    """All masks at the size of the window: (N, H, W) bool."""
    dense = np.zeros((len(masks), *masks.shape), dtype=np.bool_)
    for index in range(len(masks)):
        dense[index][masks.slices(index)] = masks.mask(index)
    return dense
