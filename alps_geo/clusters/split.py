"""The split of a cluster by k-means over its segments alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from alps_geo.clusters.fit import FIT_ROWS
from alps_geo.clusters.limits import MAX_CLUSTERS
from alps_geo.clusters.overrides import NONE
from alps_geo.clusters.sampling import picked_rows
from alps_geo.clusters.threads import one_thread
from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.features.columns import Table


@dataclass(frozen=True)
class Members:
    """Segments of all scenes of a run, with the clusters that a person gave some of them.

    Attributes
    ----------
    tables : sequence of Table
        One per scene.
    areas : sequence of ndarray of int, shape (n,)
        For each scene the pixels of the segment in each row of its table.
    given : sequence of ndarray of int64, shape (n,)
        For each scene the overriding cluster of each row, `NONE` where there is none.
    """

    tables: Sequence[Table]
    areas: Sequence[NDArray[np.integer]]
    given: Sequence[NDArray[np.int64]]

    def clusters(self, model: ClusterModel) -> list[NDArray[np.int64]]:
        """Find the cluster of each row, by its override or by a model."""
        return [
            np.where(given == NONE, model.apply(table).cluster, given)
            for table, given in zip(self.tables, self.given, strict=True)
        ]

    def covered_area(self, model: ClusterModel) -> NDArray[np.float64]:
        """Add up the area of the segments of each cluster, in the order of the ids."""
        length = int(model.legend.ids[-1]) + 1
        covered = np.zeros(length)
        for cluster, area in zip(self.clusters(model), self.areas, strict=True):
            covered += np.bincount(cluster, weights=area, minlength=length)
        return covered[model.legend.ids]


def fit_split(
    model: ClusterModel, cluster: int, parts: int, members: Members, seed: int
) -> tuple[ClusterModel, list[NDArray[np.int64]]]:
    """Split a cluster by k-means over its segments alone.

    The part of the largest area keeps id, name and colour; the others follow the highest id, by
    area, without names and with colours near to its own. A segment that a person gave the cluster
    goes to the nearest part.

    Parameters
    ----------
    model : ClusterModel
        The model with the cluster.
    cluster : int
        Its id.
    parts : int
        Number of parts, two at least.
    members : Members
        All segments.
    seed : int
        Seed of k-means, and of the sample of `FIT_ROWS` where the cluster has more segments.

    Returns
    -------
    model : ClusterModel
        With the parts.
    given : list of ndarray of int64
        The overriding clusters of all rows after the split, as in `Members`.

    Raises
    ------
    RunError
        If there is no such cluster, or it has not as many different segments as parts.
    """
    model.legend.check([cluster])
    if parts < 2:
        raise RunError(f"cluster {cluster} is to be split into {parts}, expected 2 at least")
    highest = int(model.legend.ids[-1]) + parts - 1
    if highest > MAX_CLUSTERS:
        raise RunError(
            f"cluster ids would go up to {highest}, expected {MAX_CLUSTERS} at most: "
            "ask for fewer parts"
        )
    centers = _fit_parts(model, cluster, parts, members, seed)
    legend = model.legend.extended(parts - 1, like=cluster)
    ids = [cluster, *legend.ids[len(model) :].tolist()]
    split, moved = _split(replace(model, legend=legend), cluster, centers, ids, members)
    covered = moved.covered_area(split)[np.searchsorted(legend.ids, ids)]
    order = np.argsort(-covered, kind="stable")
    split, moved = _split(replace(model, legend=legend), cluster, centers[order], ids, members)
    return split, list(moved.given)


def _fit_parts(
    model: ClusterModel, cluster: int, parts: int, members: Members, seed: int
) -> NDArray[np.float64]:
    """Find the centres of the parts by k-means, shape (parts, P)."""
    inside = [found == cluster for found in members.clusters(model)]
    found = np.flatnonzero(np.concatenate(inside))
    picked = found
    if len(found) > FIT_ROWS:
        rng = np.random.default_rng(seed)
        picked = np.sort(rng.choice(found, FIT_ROWS, replace=False))
    rows = picked_rows(model.projection, members.tables, picked)
    different = len(np.unique(rows, axis=0))
    if different < parts:
        count = f"{len(found)} segment{'s' * (len(found) != 1)}"
        if different < len(found):
            count = f"{different} different segment{'s' * (different != 1)}"
        raise RunError(
            f"cluster {cluster} has only {count}, and so it cannot be split into {parts}; "
            "ask for fewer parts"
        )
    with one_thread():
        kmeans = KMeans(n_clusters=parts, random_state=seed, n_init=10).fit(rows)
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)


def _split(
    model: ClusterModel,
    cluster: int,
    centers: NDArray[np.float64],
    ids: Sequence[int],
    members: Members,
) -> tuple[ClusterModel, Members]:
    """Put parts below a cluster, and move its overridden segments to the nearest of them."""
    split = replace(model, tree=model.tree.split(cluster, centers, ids))
    together = np.concatenate(members.given)
    held = np.flatnonzero(together == cluster)
    if len(held):
        rows = picked_rows(model.projection, members.tables, held)
        with one_thread():
            nearest = pairwise_distances_argmin(rows, centers)
        together[held] = np.array(ids)[nearest]
    ends = np.cumsum([len(given) for given in members.given])[:-1]
    return split, replace(members, given=np.split(together, ends))
