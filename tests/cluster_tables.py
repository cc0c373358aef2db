"""Tables of columns, and models fitted to them, that several test files of clusters use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.fit import fit_clusters
from alps_geo.clusters.overrides import NONE
from alps_geo.clusters.split import Members, fit_split
from alps_geo.features.columns import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.clusters.model import ClusterModel


def table(values: NDArray[np.float64], group: str = "texture", kind: str = "rgb") -> Columns:
    names = tuple(f"{group}.{i}" for i in range(values.shape[1]))
    return Columns(kind, ("texture",), names, values)


def blobs(per_cluster: int = 50) -> tuple[Columns, NDArray[np.int64]]:
    """Rows in five groups that lie far apart, and the group of each."""
    rng = np.random.default_rng(3)
    centers = rng.normal(scale=10, size=(5, 8))
    truth = np.repeat(np.arange(5), per_cluster)
    # Columns of very different size: without standardising, the first alone would decide.
    values = (centers[truth] + rng.normal(size=(len(truth), 8))) * 10.0 ** np.arange(4, -4, -1)
    return table(values), truth


def elsewhere() -> Columns:
    """Rows of another scene, all over and beyond where the clusters lie."""
    values, _ = blobs()
    rng = np.random.default_rng(8)
    return table(values.values[rng.permutation(250)] * rng.uniform(-1, 2, (250, 8)))


def fit(columns: Columns, clusters: int, seed: int = 0) -> ClusterModel:
    return fit_clusters([columns], [np.ones(len(columns), int)], clusters, seed).model


def split(model: ClusterModel, cluster: int, parts: int, columns: Columns) -> ClusterModel:
    nothing = np.full(len(columns), NONE)
    members = Members([columns], [np.ones(len(columns), int)], [nothing])
    parted, given = fit_split(model, cluster, parts, members, seed=0)
    assert (given[0] == nothing).all()
    return parted
