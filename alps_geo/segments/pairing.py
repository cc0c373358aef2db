"""Pairs of regions of two tiles that are one, and the groups that pairs make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import intersect, intersection
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.windows import within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.grid import Tile
    from alps_geo.segments.fragments import Objects

MATCH_IOU = 0.5

ALIKE = 1.0
"""Mean squared difference of the bands of two masks of one object, in variances of the scene."""


NO_PAIR = np.empty((0, 2), dtype=np.int64)


Pairs = tuple[list[int], "NDArray[np.int64]"]
"""Indices of two tiles, and pairs of numbers, one in each of them."""


def match_labels(
    first: NDArray[np.integer], second: NDArray[np.integer], min_iou: float = MATCH_IOU
) -> NDArray[np.int64]:
    """Pair the labels of two arrays of one shape whose IoU is above `min_iou`.

    With `min_iou` of one half or more, a label is in one pair at most.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Labels of `first` and `second`, ascending; 0 is never paired.
    """
    shape = (int(first.max(initial=0)) + 1, int(second.max(initial=0)) + 1)
    counts = sparse.coo_array(
        (np.ones(first.size, dtype=np.int64), (first.ravel(), second.ravel())), shape=shape
    ).tocsr()
    shared = counts[1:, 1:].tocoo()
    a, b = shared.coords
    union = counts.sum(axis=1)[1 + a] + counts.sum(axis=0)[1 + b] - shared.data
    keep = shared.data > min_iou * union
    return np.stack([a[keep], b[keep]], axis=1).astype(np.int64) + 1


@dataclass(frozen=True)
class View:
    """The objects of one tile and the mean band values of each.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel.
    object_of : ndarray of int64, shape (n + 1,)
        The object that each fragment is or is a part of, 1..k, by fragment; 0 for none.
    bands : ndarray of float64, shape (k + 1, B)
        Mean of each standardised band over each object that is a mask; NaN for others.
    """

    labels: NDArray[np.int32]
    object_of: NDArray[np.int64]
    bands: NDArray[np.float64]


def band_means(objects: Objects) -> NDArray[np.float64]:
    """Mean of each standardised band over each mask, shape (k + 1, B); NaN in row 0."""
    bands = objects.sums.shape[1] // 2
    means = objects.sums[:, 1 : 1 + bands] / objects.sums[:, :1]
    return np.vstack([np.full((1, bands), np.nan), means])


def match_views(tile: Tile, view: View, neighbour: Tile, their_view: View) -> NDArray[np.int64]:
    """Pair the views of one object in two tiles, shape (n, 2)."""
    # With an overlap of 0 they share no pixel.
    if not intersect(tile.window, neighbour.window):
        return NO_PAIR
    shared = intersection(tile.window, neighbour.window)
    pairs = match_labels(
        view.object_of[view.labels[within(shared, tile.window)]],
        their_view.object_of[their_view.labels[within(shared, neighbour.window)]],
    )
    difference = view.bands[pairs[:, 0]] - their_view.bands[pairs[:, 1]]
    # NaN, and so not unlike, where one of them is no mask.
    unlike: NDArray[np.bool_] = (difference**2).mean(axis=1) > ALIKE
    return pairs[~unlike]


def components(links: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    """Group linked nodes, 1..n by first appearance."""
    graph = sparse.coo_array((np.ones(len(links), np.int8), links.T), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    _, appearance, inverse = np.unique(component, return_index=True, return_inverse=True)
    order = np.empty(len(appearance), dtype=np.int64)
    order[np.argsort(appearance)] = np.arange(1, len(appearance) + 1)
    return np.asarray(order[inverse])
