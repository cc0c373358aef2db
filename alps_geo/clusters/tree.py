"""The tree of cluster centres, and the clusters that it gives to rows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import pairwise_distances

from alps_geo.clusters.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP = -1
"""Parent of the centres that k-means found first, before any cluster was split."""

SPLIT = 0
"""Cluster of a centre that others have taken the place of; no cluster has this id."""


@dataclass(frozen=True)
class Assigned:
    """Clusters of some segments.

    Attributes
    ----------
    cluster : ndarray of int64, shape (n,)
        Cluster ids.
    confidence : ndarray of float32, shape (n,)
        The margin to the next cluster: 1 less the ratio of the distances to the nearest centre and
        to the nearest that leads to another cluster; the smallest of all choices on the way down
        the tree. 0 is on the border between two clusters, 1 at the centre of one, or where there is
        but one.
    distance : ndarray of float32, shape (n,)
        To the centre that was reached, in units of what is compared.
    """

    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    distance: NDArray[np.float32]

    def by_id(self, ids: NDArray[np.integer]) -> Assigned:
        """Put the rows in the order of the ids of their segments, which are 1..n in any order."""
        place = ids.astype(np.int64) - 1
        ordered = Assigned(*(np.empty_like(getattr(self, field.name)) for field in fields(self)))
        for field in fields(self):
            getattr(ordered, field.name)[place] = getattr(self, field.name)
        return ordered


def descend(
    rows: NDArray[np.float64],
    centers: NDArray[np.float64],
    parents: NDArray[np.int64],
    leads_to: NDArray[np.int64],
    parent: int = TOP,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Follow the nearest centres below one: cluster, confidence and distance in the end.

    Parameters
    ----------
    rows : ndarray of float64, shape (m, P)
        Projected columns.
    centers, parents, leads_to : ndarray
        As in `alps_geo.clusters.model.ClusterModel`.
    parent : int
        Row of the centre to start below.

    Returns
    -------
    cluster : ndarray of int64, shape (m,)
    confidence, distance : ndarray of float64, shape (m,)
        As in `Assigned`.
    """
    below = np.flatnonzero(parents == parent)
    # Measured apart from all others, so that these distances have the same bits after a split.
    with one_thread():
        near = pairwise_distances(rows, centers[below])
    nearest = near.argmin(axis=1)
    own = np.take_along_axis(near, nearest[:, None], axis=1)[:, 0]
    surest, end = np.ones(len(rows)), own.copy()
    # The cluster that each centre would give; the nearest centre of another one sets the margin.
    reached = np.broadcast_to(leads_to[below], near.shape)
    if (leads_to[below] == SPLIT).any():
        reached = reached.copy()
    for place in np.flatnonzero(leads_to[below] == SPLIT):
        reached[:, place], sure, last = descend(rows, centers, parents, leads_to, int(below[place]))
        here = nearest == place
        surest[here], end[here] = sure[here], last[here]
    cluster = np.take_along_axis(reached, nearest[:, None], axis=1)
    near[reached == cluster] = np.inf
    margin = 1 - own / np.maximum(near.min(axis=1), np.finfo(np.float64).tiny)
    return cluster[:, 0], np.minimum(margin, surest), end
