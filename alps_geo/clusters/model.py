"""The cluster model: fit once, apply anywhere, saved as plain arrays.

A fitted model can be named, merged, split and recoloured. Its centres form a tree, so that a change
of one cluster moves no segment of another, in any scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.clusters.arrays import damage, numbers, plain_arrays, texts, to_npz
from alps_geo.clusters.legend import Legend
from alps_geo.clusters.passes import map_rows, row_ranges
from alps_geo.clusters.projection import Projection
from alps_geo.clusters.tree import Assigned, CentreTree
from alps_geo.errors import RunError
from alps_geo.features.mapping import HERE
from alps_geo.files import ARRAYS_DAMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.features.columns import Columns, Table
    from alps_geo.features.mapping import Mapper

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

_WITHOUT_CENTRE = "without_centre"
"""Beginning of the names of the arrays of clusters without a centre."""


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
        Ids, names and colours of the clusters. Clusters without a centre are a person's: segments
        are in them by their overrides alone.
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
        if not np.isin(self.tree.ids, self.legend.ids).all():
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

    def centre_digest(self, cluster: int) -> str | None:
        """Return a digest of the centres of a cluster; None if it has none.

        Clusters of two models with one digest are the same cluster.
        """
        centers = self.tree.centers[self.tree.clusters == cluster]
        if not len(centers):
            return None
        projection, digest = self.projection, sha256()
        for array in (projection.mean, projection.scale, projection.matrix, centers):
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    def apply(self, table: Table) -> Assigned:
        """Find the cluster of each row.

        Raises
        ------
        RunError
            If the model does not know this kind of scene.
        """
        (found,) = self.apply_to_all([table])
        return found

    def apply_to_all(self, tables: Sequence[Table], mapper: Mapper = HERE) -> tuple[Assigned, ...]:
        """Find the clusters of the rows of several tables; raises as `apply`."""
        found = tuple(Assigned.empty(len(table)) for table in tables)
        parts = map_rows(self._apply_to_columns, tables, mapper)
        for rows, part in zip(row_ranges(tables), parts, strict=True):
            found[rows.table].put(slice(rows.start, rows.stop), part)
        return found

    def _apply_to_columns(self, columns: Columns) -> Assigned:
        return self.tree.apply(self.projection.project(columns))

    def to_bytes(self) -> bytes:
        """Serialise as an .npz of plain arrays.

        Clusters without a centre have arrays of their own, which earlier versions pass over.
        """
        tree = self.tree
        legend = self.legend.kept(tree.ids.tolist())
        without = self.legend.kept(self.legend.palette.keys() - legend.palette.keys())
        arrays: dict[str, Any] = {
            "format_version": np.array(FORMAT_VERSION),
            "features": np.array(self.features),
            **self.projection.to_arrays(),
            "tree.centers": tree.centers,
            "tree.parents": tree.parents,
            "tree.clusters": tree.clusters,
            **_legend_arrays("legend", legend),
            **(_legend_arrays(_WITHOUT_CENTRE, without) if len(without) else {}),
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
            tree = CentreTree(
                centers=numbers(arrays["tree.centers"], np.float64),
                parents=numbers(arrays["tree.parents"], np.int64),
                clusters=numbers(arrays["tree.clusters"], np.int64),
            )
            return cls(
                features=texts(arrays["features"]),
                projection=Projection.of_arrays(arrays),
                tree=tree,
                legend=_read_legend(arrays, tree),
                fitted_with=str(arrays["fitted_with"]),
            )
        except ARRAYS_DAMAGE as error:
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


def _legend_arrays(prefix: str, legend: Legend) -> dict[str, NDArray[Any]]:
    return {
        f"{prefix}.ids": legend.ids,
        f"{prefix}.names": np.array([legend.names.get(i, "") for i in legend.palette]),
        f"{prefix}.colors": legend.colors,
    }


def _read_legend(arrays: Mapping[str, NDArray[Any]], tree: CentreTree) -> Legend:
    """Read the legend of the clusters with centres, and of those without."""
    legend = _legend_of("legend", arrays)
    if not np.array_equal(legend.ids, tree.ids):
        raise ValueError("clusters of the centres are not those of the legend")
    if f"{_WITHOUT_CENTRE}.ids" not in arrays:
        return legend
    without = _legend_of(_WITHOUT_CENTRE, arrays)
    if both := legend.palette.keys() & without.palette.keys():
        raise ValueError(f"clusters {sorted(both)} have centres and have none")
    palette = {**legend.palette, **without.palette}
    names = {**legend.names, **without.names}
    return Legend(dict(sorted(palette.items())), dict(sorted(names.items())))


def _legend_of(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Legend:
    return Legend.of_arrays(
        numbers(arrays[f"{prefix}.ids"], np.int64),
        texts(arrays[f"{prefix}.names"]),
        numbers(arrays[f"{prefix}.colors"], np.uint8),
    )
