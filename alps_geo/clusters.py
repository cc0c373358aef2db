"""The cluster model: fit once, apply anywhere, saved as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import colorcet
import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from alps_geo.columns import group_of
from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.columns import Columns

    Color = tuple[int, int, int]

FORMAT_VERSION = 2

WEIGHTS = {
    "mean": 1.0,
    "contrast": 0.5,
    "index": 0.3,
    "spread": 0.3,
    "texture": 0.4,
    "context": 0.3,
    "shape": 0.3,
    "sam": 0.8,
}
"""How much each group of columns counts, however many columns it has."""

FIT_ROWS = 50_000
"""Segments in the sample that k-means begins with, at most; its mini-batches go over all."""

BATCH_ROWS = 16_384
"""Segments in a mini-batch."""

SAM_COMPONENTS = 16
"""Principal components that stand for SAM's embedding."""

_NO_SPREAD = 1e-9


@dataclass(frozen=True)
class ClusterModel:
    """k-means clusters of segments; cluster ids are 1..k.

    Attributes
    ----------
    features : tuple of str
        The features that the columns come from.
    names : tuple of str
        Names of the columns, C of them.
    kinds : tuple of str
        The kinds of scene that the model knows, m of them: see `alps_geo.columns.Columns`.
    mean, scale : ndarray of float64, shape (m, C)
        Columns are standardised to (column - mean) / scale of their kind of scene.
    projection : ndarray of float64, shape (C, P)
        Turns standardised columns into what is compared: each group by its weight.
    centers : ndarray of float64, shape (k, P)
        Projected centre of each cluster.
    colors : ndarray of uint8, shape (k, 3)
        Red, green, blue of each cluster.
    """

    features: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    projection: NDArray[np.float64]
    centers: NDArray[np.float64]
    colors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def palette(self) -> dict[int, Color]:
        """Colour of each cluster id."""
        return {i: (int(r), int(g), int(b)) for i, (r, g, b) in enumerate(self.colors, start=1)}

    def project(self, columns: Columns) -> NDArray[np.float64]:
        """Return what is compared, shape (n, P).

        Raises
        ------
        RunError
            If the model knows no such scene.
        """
        if columns.kind not in self.kinds:
            raise RunError(
                f"the clusters know scenes of {' and of '.join(self.kinds)}, and this is one of "
                f"{columns.kind}; expected the same bands and data type: fit clusters with it"
            )
        kind = self.kinds.index(columns.kind)
        standard = (columns.select(self.names) - self.mean[kind]) / self.scale[kind]
        return np.asarray(standard @ self.projection)

    def apply(self, columns: Columns) -> NDArray[np.int64]:
        """Cluster id, 1..k, of each segment."""
        if not len(columns):
            return np.empty(0, dtype=np.int64)
        nearest = pairwise_distances_argmin(self.project(columns), self.centers)
        return np.asarray(nearest, dtype=np.int64) + 1

    def to_bytes(self) -> bytes:
        """Serialise as an .npz of plain arrays."""
        buffer = BytesIO()
        arrays: dict[str, Any] = {
            field.name: np.array(getattr(self, field.name)) for field in fields(self)
        }
        np.savez(buffer, format_version=np.array(FORMAT_VERSION), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> ClusterModel:
        """Read what `to_bytes` wrote; `where` names the source in errors.

        Raises
        ------
        RunError
            If the data is no cluster model of this version.
        """
        try:
            with np.load(BytesIO(data), allow_pickle=False) as arrays:
                version = int(arrays["format_version"])
                if version != FORMAT_VERSION:
                    raise RunError(
                        f"{where}: cluster model has format {version}, expected {FORMAT_VERSION}; "
                        "fit it again with this version"
                    )
                stored: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)}
        except (BadZipFile, KeyError, ValueError, EOFError) as error:
            raise RunError(
                f"{where}: not a cluster model ({error}); expected a clusters.npz of alps-geo"
            ) from error
        for name in ("features", "names", "kinds"):
            stored[name] = tuple(stored[name].tolist())
        return cls(**stored)


def fit_clusters(
    tables: Sequence[Columns], area: NDArray[np.integer], clusters: int, seed: int
) -> ClusterModel:
    """Fit k-means (Lloyd 1982, doi 10.1109/TIT.1982.1056489) to weighted columns.

    Only columns that all scenes have are compared. Scenes of one kind share their standardisation,
    so that differences between them count; of several kinds each is standardised by itself, for
    their values have no common unit.

    Parameters
    ----------
    tables : sequence of Columns
        One table per scene.
    area : ndarray of int, shape (n,)
        Pixels of each segment, of all scenes in a row. Cluster ids are given by total area, the
        largest first; the segments themselves count alike.
    clusters : int
        Number of clusters.
    seed : int
        Seed of the initialisation, and of the sample of `FIT_ROWS` where there are more segments.

    Raises
    ------
    RunError
        If there are fewer segments than clusters, or no column that all scenes have.
    """
    if clusters > len(area):
        raise RunError(
            f"{clusters} clusters asked for, but there are only {len(area)} segments; "
            "ask for fewer clusters, or for more segments with a smaller tile size, lower "
            "thresholds, more points per side or --fill superpixels"
        )
    names = tuple(name for name in tables[0].names if all(name in t.names for t in tables))
    if not names:
        raise RunError(
            "the scenes have no feature in common (they have other bands); "
            "expected at least one: add sam or texture to --features"
        )
    kinds = tuple(dict.fromkeys(table.kind for table in tables))
    scalers = [
        StandardScaler().fit(np.concatenate([t.select(names) for t in tables if t.kind == kind]))
        for kind in kinds
    ]
    mean = np.stack([scaler.mean_ for scaler in scalers])
    scale = np.stack([scaler.scale_ for scaler in scalers])
    rows = np.concatenate(
        [scalers[kinds.index(table.kind)].transform(table.select(names)) for table in tables]
    )
    projection = group_projection(names, rows)
    compared = rows @ projection
    centers = _centers(compared, clusters, seed)
    assigned = pairwise_distances_argmin(compared, centers)
    covered = np.bincount(assigned, weights=area, minlength=clusters)
    order = np.argsort(-covered, kind="stable")
    return ClusterModel(
        features=tuple(tables[0].features),
        names=names,
        kinds=kinds,
        mean=mean,
        scale=scale,
        projection=projection,
        centers=centers[order],
        colors=default_colors(clusters),
    )


def _centers(rows: NDArray[np.float64], clusters: int, seed: int) -> NDArray[np.float64]:
    """Find the centres of mini-batch k-means, shape (clusters, P).

    Mini-batches (Sculley 2010, doi 10.1145/1772690.1772862) go over all rows. They begin where
    k-means on a sample has settled, the best of several beginnings: on label quality, mini-batches
    that stop early cost more than any choice of features.
    """
    sample = rows
    if len(rows) > FIT_ROWS:
        picked = np.random.default_rng(seed).choice(len(rows), FIT_ROWS, replace=False)
        sample = rows[np.sort(picked)]
    # Threads add up in the order in which they finish: with one, the same run gives the same bits.
    with threadpool_limits(limits=1):
        settled = KMeans(n_clusters=clusters, random_state=seed, n_init=10).fit(sample)
        kmeans = MiniBatchKMeans(
            n_clusters=clusters,
            init=settled.cluster_centers_,
            n_init=1,
            batch_size=BATCH_ROWS,
            reassignment_ratio=0,
            random_state=seed,
        ).fit(rows)
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)


def group_projection(names: Sequence[str], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh groups of columns against each other.

    Each group is scaled to its weight in `WEIGHTS`: the sum of the variances of what comes of it is
    the weight squared, however many columns there are. Means of the bands yield themselves and
    their contrast, the differences to the mean of all bands, which hold what colour says apart from
    brightness. SAM's embedding yields its principal components.

    Parameters
    ----------
    names : sequence of str
        Names of the C columns, ``group.column``.
    rows : ndarray of float64, shape (n, C)
        Standardised columns.

    Returns
    -------
    ndarray of float64, shape (C, P)
    """
    groups = np.array([group_of(name) for name in names])
    parts = []
    for group in dict.fromkeys(groups.tolist()):
        place = np.flatnonzero(groups == group)
        for weight, matrix in _group_matrices(group, rows[:, place]):
            spread = np.sqrt((rows[:, place] @ matrix).var(axis=0).sum())
            if spread > _NO_SPREAD:
                part = np.zeros((len(names), matrix.shape[1]))
                part[place] = matrix * (weight / spread)
                parts.append(part)
    return np.hstack(parts) if parts else np.eye(len(names))


def _group_matrices(
    group: str, rows: NDArray[np.float64]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Weight and matrix of each part that a group of standardised columns yields."""
    count = rows.shape[1]
    if group == "sam":
        # From the covariance, so that the number of segments does not matter.
        _, vectors = np.linalg.eigh(rows.T @ rows)
        yield WEIGHTS[group], vectors[:, ::-1][:, :SAM_COMPONENTS]
        return
    yield WEIGHTS[group], np.eye(count)
    if group == "mean" and count > 1:
        contrast = np.eye(count) - 1 / count
        spread = (rows @ contrast).std(axis=0)
        yield WEIGHTS["contrast"], contrast / np.where(spread > _NO_SPREAD, spread, np.inf)


def default_colors(count: int) -> NDArray[np.uint8]:
    """Colours that are easy to tell apart, shape (count, 3): Glasbey's sequence as in colorcet.

    Glasbey et al. 2007, doi 10.1002/col.20327, grown from the ten colours of D3's category10. The
    sequence has 256 colours and starts again after them.
    """
    glasbey = np.array(colorcet.glasbey_category10)
    colors: NDArray[np.uint8] = np.rint(255 * glasbey[np.arange(count) % len(glasbey)]).astype(
        np.uint8
    )
    return colors
