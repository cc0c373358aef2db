"""The cluster model: fit once, apply anywhere, saved as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import colorcet
import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from alps_geo.columns import group_of
from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.columns import Columns, Table

    Color = tuple[int, int, int]

FORMAT_VERSION = 3

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
"""Segments in a mini-batch, and rows that are read at once."""

SAM_COMPONENTS = 16
"""Principal components that stand for SAM's embedding."""

MAX_PASSES = 20
"""Passes of mini-batches over all segments, at most."""

_SETTLED = 1e-3
"""Passes end when one lowers the inertia by a smaller share than this."""

_RUN_ROWS = 256
"""Rows that a shuffled batch takes in one piece."""

_NO_SPREAD = 1e-7
"""Standard deviations below this are nothing but rounding."""


@dataclass(frozen=True)
class Assigned:
    """What clusters some segments were given.

    Attributes
    ----------
    cluster : ndarray of int64, shape (n,)
        1..k.
    confidence : ndarray of float32, shape (n,)
        The margin to the second nearest centre: 1 less the ratio of the distances to both. 0 is on
        the border between two clusters, 1 at the centre of one, or where there is but one.
    """

    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]

    def by_id(self, ids: NDArray[np.integer]) -> Assigned:
        """Put the rows in the order of the ids of their segments, which are 1..n in any order."""
        order = np.argsort(ids)
        return Assigned(self.cluster[order], self.confidence[order])


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
    fitted_with : str
        What the segments were made with, as JSON: ``settings`` and ``sam_sha256``. Segments of
        other scenes have to be made in the same way to mean the same.
    """

    features: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    projection: NDArray[np.float64]
    centers: NDArray[np.float64]
    colors: NDArray[np.uint8]
    fitted_with: str = "{}"

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
        # Threads add up in the order in which they finish: with one, rows that are read together
        # with others get the same bits.
        with threadpool_limits(limits=1):
            return np.asarray(standard @ self.projection)

    def apply(self, table: Table) -> Assigned:
        """Find the cluster of each row."""
        parts = [self._assign(rows) for rows in _batches(table)]
        return Assigned(
            np.concatenate([np.empty(0, dtype=np.int64), *(part.cluster for part in parts)]),
            np.concatenate([np.empty(0, dtype=np.float32), *(part.confidence for part in parts)]),
        )

    def _assign(self, columns: Columns) -> Assigned:
        distance = pairwise_distances(self.project(columns), self.centers)
        nearest = distance.argmin(axis=1)
        own = np.take_along_axis(distance, nearest[:, None], axis=1)[:, 0]
        np.put_along_axis(distance, nearest[:, None], np.inf, axis=1)
        second = distance.min(axis=1)
        confidence = 1 - own / np.maximum(second, np.finfo(np.float64).tiny)
        return Assigned(nearest.astype(np.int64) + 1, confidence.astype(np.float32))

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
        stored["fitted_with"] = str(stored["fitted_with"])
        return cls(**stored)


def fit_clusters(
    tables: Sequence[Table],
    areas: Sequence[NDArray[np.integer]],
    clusters: int,
    seed: int,
    *,
    batch_size: int = BATCH_ROWS,
    passes: int | None = None,
    fitted_with: str = "{}",
) -> ClusterModel:
    """Fit k-means (Lloyd 1982, doi 10.1109/TIT.1982.1056489) to weighted columns.

    Only columns that all scenes have are compared. Scenes of one kind share their standardisation,
    so that differences between them count; of several kinds each is standardised by itself, for
    their values have no common unit.

    Rows are read a batch at a time, several times over, so memory does not grow with their number.

    Parameters
    ----------
    tables : sequence of Table
        One per scene.
    areas : sequence of ndarray of int, shape (n,)
        For each scene the pixels of the segment in each row of its table. Cluster ids are given by
        total area, the largest first; the segments themselves count alike.
    clusters : int
        Number of clusters.
    seed : int
        Seed of the initialisation, of the sample of `FIT_ROWS` where there are more segments, and
        of the order of the batches.
    batch_size : int
        Segments in a mini-batch.
    passes : int, optional
        Passes over all segments, from k-means++ on the first batch. If not given, mini-batches
        begin where k-means on a sample has settled, and pass until they settle too.
    fitted_with : str
        Kept in the model as it is.

    Raises
    ------
    RunError
        If there are fewer segments than clusters, or no column that all scenes have.
    """
    total = sum(len(table) for table in tables)
    if clusters > total:
        raise RunError(
            f"{clusters} clusters asked for, but there are only {total} segments; "
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
    # Threads add up in the order in which they finish: with one, the same run gives the same bits.
    with threadpool_limits(limits=1):
        scalers = [_scaler([t for t in tables if t.kind == kind], names) for kind in kinds]
        mean = np.stack([scaler.mean_ for scaler in scalers])
        scale = np.stack([scaler.scale_ for scaler in scalers])
        standard = ClusterModel(
            features=tuple(tables[0].features),
            names=names,
            kinds=kinds,
            mean=mean,
            scale=scale,
            projection=np.eye(len(names)),
            centers=np.empty((0, len(names))),
            colors=default_colors(clusters),
            fitted_with=fitted_with,
        )
        projection = group_projection(names, _covariance(standard, tables))
        projected = replace(standard, projection=projection)
        size = max(batch_size, clusters)
        fitted = replace(
            projected, centers=_centers(projected, tables, clusters, seed, size, passes)
        )
    covered = np.zeros(clusters)
    for table, area in zip(tables, areas, strict=True):
        covered += np.bincount(fitted.apply(table).cluster, weights=area, minlength=clusters + 1)[
            1:
        ]
    order = np.argsort(-covered, kind="stable")
    return replace(fitted, centers=fitted.centers[order])


def _batches(table: Table) -> Iterator[Columns]:
    return (
        table.read(start, min(start + BATCH_ROWS, len(table)))
        for start in range(0, len(table), BATCH_ROWS)
    )


def _scaler(tables: Sequence[Table], names: Sequence[str]) -> StandardScaler:
    """Measure level and spread of the columns over all rows."""
    scaler = StandardScaler()
    for table in tables:
        for columns in _batches(table):
            scaler.partial_fit(columns.select(names).astype(np.float64))
    return scaler


def _covariance(standard: ClusterModel, tables: Sequence[Table]) -> NDArray[np.float64]:
    """Measure the covariance of the standardised columns: their mean is 0."""
    total, count = np.zeros((len(standard.names),) * 2), 0
    for table in tables:
        for columns in _batches(table):
            rows = standard.project(columns)
            total += rows.T @ rows
            count += len(rows)
    return total / count


def _centers(
    model: ClusterModel,
    tables: Sequence[Table],
    clusters: int,
    seed: int,
    batch_size: int,
    passes: int | None,
) -> NDArray[np.float64]:
    """Find the centres of mini-batch k-means, shape (clusters, P).

    Mini-batches (Sculley 2010, doi 10.1145/1772690.1772862) go over all rows, in passes until the
    inertia of a pass has settled. They begin where k-means on a sample has settled, the best of
    several beginnings: on label quality, mini-batches that stop early cost more than any choice of
    features.
    """
    rng = np.random.default_rng(seed)
    begin: str | NDArray[np.float64] = "k-means++"
    if passes is None:
        sample = _sample(model, tables, max(FIT_ROWS, clusters), rng)
        begin = KMeans(clusters, random_state=seed, n_init=10).fit(sample).cluster_centers_
    kmeans = MiniBatchKMeans(
        clusters, init=begin, n_init=1, reassignment_ratio=0, random_state=seed
    )
    before = np.inf
    for _ in range(passes or MAX_PASSES):
        inertia = 0.0
        for rows in _shuffled_batches(model, tables, batch_size, rng):
            inertia += float(kmeans.partial_fit(rows).inertia_)
        if passes is None and inertia >= (1 - _SETTLED) * before:
            break
        before = inertia
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)


def _sample(
    model: ClusterModel, tables: Sequence[Table], size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw up to `size` of the projected rows of all tables."""
    total = sum(len(table) for table in tables)
    picked = np.sort(rng.choice(total, size, replace=False)) if total > size else np.arange(total)
    parts, begin = [], 0
    for table in tables:
        for columns in _batches(table):
            within = picked[slice(*np.searchsorted(picked, [begin, begin + len(columns)]))] - begin
            parts.append(model.project(replace(columns, values=columns.values[within])))
            begin += len(columns)
    return np.concatenate(parts)


def _shuffled_batches(
    model: ClusterModel, tables: Sequence[Table], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Give the projected rows of all tables once, in batches of `size` or a little more.

    Each batch is made of many short runs of rows from anywhere, which a disk reads well. The last
    batch takes what is left, so that none is small.
    """
    runs = [
        (table, start, min(start + _RUN_ROWS, len(table)))
        for table in tables
        for start in range(0, len(table), _RUN_ROWS)
    ]
    left = sum(len(table) for table in tables)
    batch: list[NDArray[np.float64]] = []
    rows = 0
    for index in rng.permutation(len(runs)):
        table, start, stop = runs[index]
        batch.append(model.project(table.read(start, stop)))
        rows += stop - start
        left -= stop - start
        if (rows >= size and left >= size) or not left:
            yield np.concatenate(batch)
            batch, rows = [], 0


def group_projection(names: Sequence[str], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh groups of columns against each other.

    Each group is scaled to its weight in `WEIGHTS`: the sum of the variances of what comes of it is
    the weight squared, however many columns there are. Means of the bands yield themselves and
    their contrast, the differences to the mean of all bands, which hold what colour says apart from
    brightness. SAM's embedding yields its principal components.

    Parameters
    ----------
    names : sequence of str
        Names of the C columns, ``group.column``.
    covariance : ndarray of float64, shape (C, C)
        Of the standardised columns.

    Returns
    -------
    ndarray of float64, shape (C, P)
    """
    groups = np.array([group_of(name) for name in names])
    parts = []
    for group in dict.fromkeys(groups.tolist()):
        place = np.flatnonzero(groups == group)
        inside = covariance[np.ix_(place, place)]
        for weight, matrix in _group_matrices(group, inside):
            spread = np.sqrt(np.maximum(_variances(matrix, inside).sum(), 0))
            if spread > _NO_SPREAD:
                part = np.zeros((len(names), matrix.shape[1]))
                part[place] = matrix * (weight / spread)
                parts.append(part)
    return np.hstack(parts) if parts else np.eye(len(names))


def _variances(matrix: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of each column that `matrix` makes of columns of this covariance."""
    return np.asarray(((covariance @ matrix) * matrix).sum(axis=0))


def _group_matrices(
    group: str, covariance: NDArray[np.float64]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Weight and matrix of each part that a group of standardised columns yields."""
    count = len(covariance)
    if group == "sam":
        _, vectors = np.linalg.eigh(covariance)
        yield WEIGHTS[group], vectors[:, ::-1][:, :SAM_COMPONENTS]
        return
    yield WEIGHTS[group], np.eye(count)
    if group == "mean" and count > 1:
        contrast = np.eye(count) - 1 / count
        spread = np.sqrt(np.maximum(_variances(contrast, covariance), 0))
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
