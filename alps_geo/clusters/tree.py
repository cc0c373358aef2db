"""The tree of cluster centres, and the clusters that it gives to rows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import pairwise_distances

from alps_geo.clusters.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TOP = -1
"""Parent of the centres that k-means found first, before any cluster was split."""

SPLIT = 0
"""Stands in for the cluster of a centre with others below it; no cluster has this id."""

_CHUNK_ROWS = 4096
"""Rows whose distances to all centres are in memory at once."""


@dataclass(frozen=True)
class Assigned:
    """Clusters of n segments.

    Attributes
    ----------
    cluster : ndarray of int64, shape (n,)
        Cluster ids.
    confidence : ndarray of float32, shape (n,)
        The margin to the next cluster: 1 less the ratio of the distances to the nearest centre and
        to the nearest of another cluster; the smallest of all choices on the way down the tree. 0
        is on the border between two clusters, 1 at the centre of one, or where there is but one.
    distance : ndarray of float32, shape (n,)
        To the centre that was reached, in units of the projected columns.
    """

    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    distance: NDArray[np.float32]

    @classmethod
    def empty(cls, count: int) -> Assigned:
        """Return room for the clusters of so many segments."""
        return cls(np.empty(count, np.int64), *np.empty((2, count), np.float32))

    def put(self, rows: slice, part: Assigned) -> None:
        """Fill some rows."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)

    def by_id(self, ids: NDArray[np.integer]) -> Assigned:
        """Put the rows in the order of the ids of their segments, which are 1..n in any order."""
        position = ids.astype(np.int64) - 1
        ordered = Assigned(*(np.empty_like(getattr(self, field.name)) for field in fields(self)))
        for field in fields(self):
            getattr(ordered, field.name)[position] = getattr(self, field.name)
        return ordered


@dataclass(frozen=True)
class CentreTree:
    """Cluster centres, some of them below others.

    A row goes to the nearest of the topmost centres, then to the nearest of those below it, and so
    on. A cluster that is split keeps its centres, which then lead to the new ones below them;
    clusters that are merged keep all their centres. So a split or merged cluster takes exactly the
    rows that it took before, in any scene.

    Attributes
    ----------
    centers : ndarray of float64, shape (n, P)
        Projected centres.
    parents : ndarray of int64, shape (n,)
        The index of the centre above each, which comes before it; `TOP` for the topmost.
    clusters : ndarray of int64, shape (n,)
        The cluster of each centre; `SPLIT` where others lie below it.

    Raises
    ------
    ValueError
        If the arrays make no tree.
    """

    centers: NDArray[np.float64]
    parents: NDArray[np.int64]
    clusters: NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.centers)
        if self.centers.ndim != 2 or {self.parents.shape, self.clusters.shape} != {(count,)}:
            raise ValueError(
                f"centres have shape {self.centers.shape}, their parents {self.parents.shape} and "
                f"clusters {self.clusters.shape}, expected one of each for every centre"
            )
        if not ((self.parents >= TOP) & (self.parents < np.arange(count))).all():
            raise ValueError("a centre comes before its parent, expected it after that")
        above = np.isin(np.arange(count), self.parents)
        if (self.clusters < SPLIT).any() or ((self.clusters == SPLIT) != above).any():
            raise ValueError("expected a cluster for each centre without others below it")

    @classmethod
    def flat(cls, centers: NDArray[np.float64]) -> CentreTree:
        """Make a tree of one cluster for each centre, 1..n in their order."""
        return cls.grouped(centers, np.arange(1, len(centers) + 1))

    @classmethod
    def grouped(cls, centers: NDArray[np.float64], clusters: NDArray[np.int64]) -> CentreTree:
        """Make a tree of centres (n, P) and the cluster of each, several of which may be one."""
        return cls(centers, np.full(len(centers), TOP, dtype=np.int64), clusters)

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids of the clusters, ascending."""
        return np.unique(self.clusters[self.clusters != SPLIT])

    def apply(self, rows: NDArray[np.float64]) -> Assigned:
        """Find the cluster of each projected row, shape (m, P)."""
        found = Assigned.empty(len(rows))
        with one_thread():
            for start in range(0, len(rows), _CHUNK_ROWS):
                part = slice(start, start + _CHUNK_ROWS)
                of_part = self._descend(rows[part], TOP)
                found.cluster[part], found.confidence[part], found.distance[part] = of_part
        return found

    def ordered(self, keys: NDArray[np.float64]) -> CentreTree:
        """Give the clusters 1..k new ids, the first to that of the least of `keys`, shape (k,)."""
        position = np.empty(len(keys) + 1, dtype=np.int64)
        position[1 + np.argsort(keys, kind="stable")] = np.arange(1, len(keys) + 1)
        position[SPLIT] = SPLIT
        return replace(self, clusters=position[self.clusters])

    def merged(self, clusters: Sequence[int]) -> CentreTree:
        """Lead all centres of some clusters, by their ids, to the one of the lowest id."""
        together = np.isin(self.clusters, clusters)
        return replace(self, clusters=np.where(together, min(clusters), self.clusters))

    def split(self, cluster: int, centers: NDArray[np.float64], ids: Sequence[int]) -> CentreTree:
        """Put one new centre for each part below every centre of a cluster.

        Parameters
        ----------
        cluster : int
            Its id.
        centers : ndarray of float64, shape (p, P)
            Centres of the parts.
        ids : sequence of int
            Cluster ids of the p parts.
        """
        leaves = np.flatnonzero(self.clusters == cluster)
        return CentreTree(
            centers=np.vstack([self.centers, np.tile(centers, (len(leaves), 1))]),
            parents=np.append(self.parents, np.repeat(leaves, len(ids))),
            clusters=np.append(
                np.where(self.clusters == cluster, SPLIT, self.clusters),
                np.tile(np.array(ids, dtype=np.int64), len(leaves)),
            ),
        )

    def _descend(
        self, rows: NDArray[np.float64], parent: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Follow the nearest centres below one; cluster, confidence and distance in the end."""
        below = np.flatnonzero(self.parents == parent)
        # Measured apart from all others, so that these distances have the same bits after a split.
        near = pairwise_distances(rows, self.centers[below])
        nearest = near.argmin(axis=1)
        own = np.take_along_axis(near, nearest[:, None], axis=1)[:, 0]
        surest, end = np.ones(len(rows)), own.copy()
        # The cluster that each centre would give; the nearest centre of another sets the margin.
        reached = np.broadcast_to(self.clusters[below], near.shape)
        split = np.flatnonzero(self.clusters[below] == SPLIT)
        if len(split):
            reached = reached.copy()
        for position in split:
            reached[:, position], sure, last = self._descend(rows, int(below[position]))
            here = nearest == position
            surest[here], end[here] = sure[here], last[here]
        cluster = np.take_along_axis(reached, nearest[:, None], axis=1)
        near[reached == cluster] = np.inf
        margin = 1 - own / np.maximum(near.min(axis=1), np.finfo(np.float64).tiny)
        return cluster[:, 0], np.minimum(margin, surest), end
