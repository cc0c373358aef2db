"""The cluster model: fit once, apply anywhere, saved as plain arrays.

A fitted model can be named, merged, split and recoloured. Its centres form a tree, so that a change
of one cluster moves no segment of another, in any scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.clusters.arrays import DAMAGE, damage, numbers, plain_arrays, texts, to_npz
from alps_geo.clusters.legend import Legend
from alps_geo.clusters.projection import Projection
from alps_geo.clusters.tree import Assigned, CentreTree
from alps_geo.errors import RunError
from alps_geo.features.columns import batches
from alps_geo.features.registry import current_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.features.columns import Table

FORMAT_VERSION = 4

_EARLIER_NAMES: dict[int, dict[str, str]] = {
    3: {
        "names": "projection.column_names",
        "kinds": "projection.kinds",
        "mean": "projection.mean",
        "scale": "projection.scale",
        "projection": "projection.matrix",
        "centers": "tree.centers",
        "parents": "tree.parents",
        "leads_to": "tree.clusters",
        "ids": "legend.ids",
        "cluster_names": "legend.names",
        "colors": "legend.colors",
    },
    FORMAT_VERSION: {},
}
"""For each format that is read, the present names of arrays that had others."""


@dataclass(frozen=True)
class ClusterModel:
    """k-means clusters of segments.

    Attributes
    ----------
    features : tuple of str
        The features that the columns come from.
    projection : Projection
        Of the columns that are compared.
    tree : CentreTree
        Centres of the clusters.
    legend : Legend
        Ids, names and colours of the clusters.
    fitted_with : str
        Settings and weights that the segments were made with, as JSON: ``settings`` and
        ``sam_sha256``. Segments of other scenes have to be made in the same way to mean the same.

    Raises
    ------
    ValueError
        If the parts are not of one model.
    """

    features: tuple[str, ...]
    projection: Projection
    tree: CentreTree
    legend: Legend
    fitted_with: str = "{}"

    def __post_init__(self) -> None:
        projected, measured = self.projection.matrix.shape[1], self.tree.centers.shape[1]
        if projected != measured:
            raise ValueError(f"centres have {measured} columns, expected {projected}")
        if not np.array_equal(self.tree.ids, self.legend.ids):
            raise ValueError("clusters of the centres are not those of the legend")

    def __len__(self) -> int:
        return len(self.legend)

    @property
    def stamp(self) -> str:
        """A few characters that change when segments get other clusters, and by nothing else."""
        projection, tree = self.projection, self.tree
        digest = sha256()
        for array in (
            *(projection.mean, projection.scale, projection.matrix),
            *(tree.centers, tree.parents, tree.clusters),
            self.legend.ids,
        ):
            digest.update(array.tobytes())
        return digest.hexdigest()[:8]

    def named(self, names: Mapping[int, str]) -> ClusterModel:
        """Name clusters: see `Legend.named`."""
        return replace(self, legend=self.legend.named(names))

    def recolored(self, colors: Mapping[int, Color]) -> ClusterModel:
        """Give clusters other colours: see `Legend.recolored`."""
        return replace(self, legend=self.legend.recolored(colors))

    def merged(self, clusters: Sequence[int], name: str | None = None) -> ClusterModel:
        """Make one cluster of several: see `Legend.merged`."""
        legend = self.legend.merged(clusters, name)
        return replace(self, tree=self.tree.merged(clusters), legend=legend)

    def apply(self, table: Table) -> Assigned:
        """Find the cluster of each row.

        Raises
        ------
        RunError
            If the model does not know this kind of scene.
        """
        count, start = len(table), 0
        found = Assigned(
            np.empty(count, dtype=np.int64),
            np.empty(count, dtype=np.float32),
            np.empty(count, dtype=np.float32),
        )
        for columns in batches(table):
            rows = slice(start, start + len(columns))
            assigned = self.tree.apply(self.projection.project(columns))
            found.cluster[rows] = assigned.cluster
            found.confidence[rows] = assigned.confidence
            found.distance[rows] = assigned.distance
            start = rows.stop
        return found

    def covered_area(
        self, tables: Sequence[Table], areas: Sequence[NDArray[np.integer]]
    ) -> NDArray[np.float64]:
        """Add up the area of the segments of each cluster, in the order of the ids."""
        length = int(self.legend.ids[-1]) + 1
        covered = np.zeros(length)
        for table, area in zip(tables, areas, strict=True):
            covered += np.bincount(self.apply(table).cluster, weights=area, minlength=length)
        return covered[self.legend.ids]

    def to_bytes(self) -> bytes:
        """Serialise as an .npz of plain arrays."""
        projection, tree, legend = self.projection, self.tree, self.legend
        arrays: dict[str, Any] = {
            "format_version": np.array(FORMAT_VERSION),
            "features": np.array(self.features),
            "projection.column_names": np.array(projection.column_names),
            "projection.kinds": np.array(projection.kinds),
            "projection.mean": projection.mean,
            "projection.scale": projection.scale,
            "projection.matrix": projection.matrix,
            "tree.centers": tree.centers,
            "tree.parents": tree.parents,
            "tree.clusters": tree.clusters,
            "legend.ids": legend.ids,
            "legend.names": np.array([legend.names.get(i, "") for i in legend.palette]),
            "legend.colors": legend.colors,
            "fitted_with": np.array(self.fitted_with),
        }
        return to_npz(arrays)

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> ClusterModel:
        """Read a model that `to_bytes` wrote, of this format or the one before.

        Parameters
        ----------
        data : bytes
            The content of a file.
        where : str
            The source, as errors name it.

        Raises
        ------
        RunError
            If the data is no cluster model, or of another format.
        """
        try:
            arrays = _read_arrays(data, where)
            return cls(
                features=texts(arrays["features"]),
                projection=Projection(
                    column_names=current_names(texts(arrays["projection.column_names"])),
                    kinds=texts(arrays["projection.kinds"]),
                    mean=numbers(arrays["projection.mean"], np.float64),
                    scale=numbers(arrays["projection.scale"], np.float64),
                    matrix=numbers(arrays["projection.matrix"], np.float64),
                ),
                tree=CentreTree(
                    centers=numbers(arrays["tree.centers"], np.float64),
                    parents=numbers(arrays["tree.parents"], np.int64),
                    clusters=numbers(arrays["tree.clusters"], np.int64),
                ),
                legend=Legend.of_arrays(
                    numbers(arrays["legend.ids"], np.int64),
                    texts(arrays["legend.names"]),
                    numbers(arrays["legend.colors"], np.uint8),
                ),
                fitted_with=str(arrays["fitted_with"]),
            )
        except DAMAGE as error:
            raise RunError(
                f"{where}: not a cluster model ({damage(error)}); "
                "expected a clusters.npz of alps-geo"
            ) from error


def _read_arrays(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a stored model, by their names in the format of this version."""
    arrays = plain_arrays(data)
    version = arrays.pop("format_version").item()
    if version not in _EARLIER_NAMES:
        raise RunError(
            f"{where}: cluster model has format {version}, expected "
            f"{' or '.join(map(str, _EARLIER_NAMES))}; fit it again with this version"
        )
    names = _EARLIER_NAMES[version]
    return {names.get(name, name): array for name, array in arrays.items()}
