"""Fitting a cluster model: columns standardised and weighed, mini-batch k-means over all rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.preprocessing import StandardScaler

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.model import (
    FIT_ROWS,
    ClusterModel,
    covered_area,
    picked_rows,
)
from alps_geo.clusters.threads import one_thread
from alps_geo.clusters.tree import TOP
from alps_geo.errors import RunError
from alps_geo.features.columns import BATCH_ROWS, batches, group_of
from alps_geo.features.registry import find_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.columns import Table

COMPONENTS = 16
"""Principal components that stand for the embedding of SAM, or of another backbone."""

MAX_PASSES = 20
"""Passes of mini-batches over all segments, at most."""

_SETTLED = 1e-3
"""Passes end when one lowers the inertia by a smaller share than this."""

_RUN_ROWS = 256
"""Rows that a shuffled batch takes in one piece."""

_NO_SPREAD = 1e-7
"""Standard deviations below this are nothing but rounding."""


def fit_clusters(
    tables: Sequence[Table],
    areas: Sequence[NDArray[np.integer]],
    clusters: int,
    seed: int,
    *,
    batch_size: int = BATCH_ROWS,
    passes: int | None = None,
    raw: bool = False,
    fitted_with: str = "{}",
) -> ClusterModel:
    """Fit k-means (Lloyd 1982, doi 10.1109/TIT.1982.1056489) to weighted columns.

    Only columns that all scenes with segments have are compared. Scenes of one kind share their
    standardisation, so that differences between them count; of several kinds each is standardised
    by itself, for their values have no common unit.

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
    raw : bool
        Whether the columns are compared as they are, neither standardised nor weighed.
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
    # A scene without segments has no level or spread, and may lack columns that others have.
    filled = [table for table in tables if len(table)]
    names = tuple(name for name in filled[0].names if all(name in t.names for t in filled))
    if not names:
        raise RunError(
            "the scenes have no feature in common (they have other bands); "
            "expected at least one: add sam or texture to --features"
        )
    kinds = tuple(dict.fromkeys(table.kind for table in filled))
    with one_thread():
        mean, scale = np.zeros((len(kinds), len(names))), np.ones((len(kinds), len(names)))
        if not raw:
            scalers = [_scaler([t for t in filled if t.kind == kind], names) for kind in kinds]
            mean = np.stack([scaler.mean_ for scaler in scalers])
            scale = np.stack([scaler.scale_ for scaler in scalers])
        standard = ClusterModel(
            features=tuple(filled[0].features),
            names=names,
            kinds=kinds,
            mean=mean,
            scale=scale,
            projection=np.eye(len(names)),
            centers=np.empty((0, len(names))),
            parents=np.full(clusters, TOP, dtype=np.int64),
            leads_to=np.arange(1, clusters + 1),
            ids=np.arange(1, clusters + 1),
            cluster_names=("",) * clusters,
            colors=default_colors(clusters),
            fitted_with=fitted_with,
        )
        projected = standard
        if not raw:
            projection = group_projection(names, _covariance(standard, tables))
            projected = replace(standard, projection=projection)
        size = max(batch_size, clusters)
        fitted = replace(
            projected, centers=_centers(projected, tables, clusters, seed, size, passes)
        )
    order = np.argsort(-covered_area(fitted, tables, areas)[1:], kind="stable")
    return replace(fitted, centers=fitted.centers[order])


def _scaler(tables: Sequence[Table], names: Sequence[str]) -> StandardScaler:
    """Measure level and spread of the columns over all rows."""
    scaler = StandardScaler()
    for table in tables:
        for columns in batches(table):
            scaler.partial_fit(columns.select(names).astype(np.float64))
    return scaler


def _covariance(standard: ClusterModel, tables: Sequence[Table]) -> NDArray[np.float64]:
    """Measure the covariance of the standardised columns: their mean is 0."""
    total, count = np.zeros((len(standard.names),) * 2), 0
    for table in tables:
        for columns in batches(table):
            rows = standard.standardize(columns)
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
        sample = sample_rows(model, tables, max(FIT_ROWS, clusters), rng)
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


def sample_rows(
    model: ClusterModel, tables: Sequence[Table], size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw up to `size` of the projected rows of all tables, in their order; shape (n, P)."""
    total = sum(len(table) for table in tables)
    picked = np.sort(rng.choice(total, size, replace=False)) if total > size else np.arange(total)
    return picked_rows(model, tables, picked)


def _shuffled_batches(
    model: ClusterModel, tables: Sequence[Table], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Give the projected rows of all tables once, in batches of `size` or a little more.

    Each batch is made of many short runs of rows from anywhere, which a disk reads well. The last
    batch takes what is left, so that none is small.
    """
    runs = [
        (place, start, min(start + _RUN_ROWS, len(table)))
        for place, table in enumerate(tables)
        for start in range(0, len(table), _RUN_ROWS)
    ]
    left = sum(len(table) for table in tables)
    batch: list[tuple[int, int, int]] = []
    rows = 0
    for index in rng.permutation(len(runs)):
        _, start, stop = runs[index]
        batch.append(runs[index])
        rows += stop - start
        left -= stop - start
        if (rows >= size and left >= size) or not left:
            yield _project_runs(model, tables, batch)
            batch, rows = [], 0


def _project_runs(
    model: ClusterModel, tables: Sequence[Table], runs: Sequence[tuple[int, int, int]]
) -> NDArray[np.float64]:
    """Project runs of rows: (place of their table, start, stop).

    All runs of a table at once, for by themselves they are too short to be quick.
    """
    projected = []
    for place in sorted({place for place, _, _ in runs}):
        parts = [tables[place].read(start, stop) for of, start, stop in runs if of == place]
        values = np.concatenate([part.values for part in parts])
        projected.append(model.project(replace(parts[0], values=values)))
    return np.concatenate(projected)


def group_projection(names: Sequence[str], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh groups of columns against each other.

    Each group is scaled to the weight of its `alps_geo.features.group.Part`: the sum of the
    variances of its projected columns is the weight squared, however many columns there are. Means
    of the bands yield themselves and their contrast, the differences to the mean of all bands,
    which hold what colour says apart from brightness. Embeddings yield their principal components.

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
    part = find_part(group)
    if part.is_embedding:
        _, vectors = np.linalg.eigh(covariance)
        yield part.weight, vectors[:, ::-1][:, :COMPONENTS]
        return
    yield part.weight, np.eye(count)
    if part.contrast is not None and count > 1:
        contrast = np.eye(count) - 1 / count
        spread = np.sqrt(np.maximum(_variances(contrast, covariance), 0))
        yield part.contrast, contrast / np.where(spread > _NO_SPREAD, spread, np.inf)
