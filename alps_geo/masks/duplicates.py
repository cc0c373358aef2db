"""Duplicates among the masks of one tile that were found in several views of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.masks.tile_masks import TileMasks

DUPLICATE_IOU = 0.7
"""Masks of two views are duplicates if their IoU is above this, as SAM has it for boxes."""


def best_first(masks: TileMasks) -> NDArray[np.int64]:
    """Order masks by predicted IoU, then stability score, then index; the best is first."""
    return np.lexsort((-masks.stability_score, -masks.predicted_iou)).astype(np.int64)


def without_duplicates(masks: TileMasks, view: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pick the masks that are no duplicate of a better one of another view.

    Parameters
    ----------
    masks : TileMasks
        The masks of all views.
    view : ndarray of int, shape (N,)
        View that each was found in. Masks of one view are never duplicates of each other: the
        generator has compared them.

    Returns
    -------
    ndarray of int64
        Indices of the masks that remain, best first; see `best_first`.
    """
    rest = best_first(masks)
    kept = []
    while len(rest):
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        near = rest[(view[rest] != view[best]) & (_most_iou(masks, best, rest) > DUPLICATE_IOU)]
        inside = masks.mask(best)
        same = [
            index for index in near.tolist() if _iou(masks, best, inside, index) > DUPLICATE_IOU
        ]
        rest = rest[~np.isin(rest, same)]
    return np.array(kept, dtype=np.int64)


def _most_iou(masks: TileMasks, best: int, rest: NDArray[np.integer]) -> NDArray[np.float64]:
    """Largest IoU that a mask and others can have, by their boxes and areas."""
    low = np.maximum(masks.bbox[best, :2], masks.bbox[rest, :2])
    high = np.minimum(masks.bbox[best, 2:], masks.bbox[rest, 2:])
    boxes = (high - low).clip(min=0).prod(axis=1, dtype=np.int64)
    shared = np.minimum(np.minimum(boxes, masks.area[best]), masks.area[rest])
    return np.asarray(shared / (masks.area[best] + masks.area[rest] - shared).clip(min=1))


def _iou(masks: TileMasks, first: int, inside: NDArray[np.bool_], second: int) -> float:
    """IoU of two masks whose boxes overlap; `inside` is the first, cropped to its box."""
    boxes = masks.bbox[[first, second]]
    low, high = boxes[:, :2].max(axis=0), boxes[:, 2:].min(axis=0)
    crops = [
        mask[tuple(map(slice, low - box[:2], high - box[:2]))]
        for mask, box in zip((inside, masks.mask(second)), boxes, strict=True)
    ]
    shared = np.count_nonzero(crops[0] & crops[1])
    return shared / int(masks.area[[first, second]].sum() - shared)
