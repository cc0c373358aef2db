"""k-means: the fit of a cluster model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.preprocessing import StandardScaler

from alps_geo.clusters.legend import Legend
from alps_geo.clusters.model import ClusterModel
from alps_geo.clusters.projection import Projection
from alps_geo.clusters.sampling import (
    ordered_batches,
    sample_rows,
    shuffled_batches,
)
from alps_geo.clusters.threads import one_thread
from alps_geo.clusters.tree import CentreTree
from alps_geo.errors import RunError
from alps_geo.features.columns import BATCH_ROWS, batches, group_of
from alps_geo.features.registry import find_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.columns import Table

COMPONENTS = 16
"""Principal components that stand for the embedding of SAM, or of another backbone."""

FIT_ROWS = 50_000
"""Segments in the sample that k-means begins with, at most; its mini-batches go over all."""

MAX_PASSES = 20
"""Passes of mini-batches over all segments, at most."""

_SETTLED = 1e-3
"""Passes end when one lowers the inertia by a smaller share than this."""

_NO_SPREAD = 1e-7
"""Standard deviations below this are nothing but rounding."""


@dataclass(frozen=True)
class Recipe:
    """Settings of k-means: mini-batches, their passes, raw or weighted columns.

    Attributes
    ----------
    batch_size : int
        Segments in a mini-batch.
    passes : int, optional
        Passes over all segments, from k-means++ on the first batch. If not given, mini-batches
        begin where k-means on a sample has settled, and pass until they settle too.
    raw : bool
        True if the columns are compared as they are, neither standardised nor weighted.
    in_order : bool
        True if a fit of so many passes takes its batches in the order of the rows, and moves
        centres of few rows elsewhere, as the published program of ALPS does.
    """

    batch_size: int = BATCH_ROWS
    passes: int | None = None
    raw: bool = False
    in_order: bool = False


DEFAULT_RECIPE = Recipe()


def fit_clusters(
    tables: Sequence[Table],
    areas: Sequence[NDArray[np.integer]],
    clusters: int,
    seed: int,
    *,
    recipe: Recipe = DEFAULT_RECIPE,
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
    recipe : Recipe
        Mini-batches, their passes, and raw or weighted columns.
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
            f"{clusters} clusters asked for, but the number of segments is {total}; "
            "ask for fewer clusters, or for more segments with a smaller tile size, lower "
            "thresholds, more points per side or --fill superpixels"
        )
    # A scene without segments has no level or spread, and may lack columns that others have.
    filled = [table for table in tables if len(table)]
    with one_thread():
        projection = _fit_projection(filled, raw=recipe.raw)
        centers = _fit_centers(projection, tables, clusters, seed, recipe)
        fitted = ClusterModel(
            features=tuple(filled[0].features),
            projection=projection,
            tree=CentreTree.flat(centers),
            legend=Legend.default(clusters),
            fitted_with=fitted_with,
        )
    order = np.argsort(-fitted.covered_area(tables, areas), kind="stable")
    return replace(fitted, tree=CentreTree.flat(centers[order]))


def _fit_projection(tables: Sequence[Table], *, raw: bool) -> Projection:
    """Fit the standardisation of the columns that all tables have, and weight their groups.

    Raises
    ------
    RunError
        If there is no such column.
    """
    names = tuple(name for name in tables[0].names if all(name in t.names for t in tables))
    if not names:
        raise RunError(
            "the scenes have no feature in common (they have other bands); "
            "expected at least one: add sam or texture to --features"
        )
    kinds = tuple(dict.fromkeys(table.kind for table in tables))
    shape = (len(kinds), len(names))
    identity = np.eye(len(names))
    if raw:
        return Projection(names, kinds, np.zeros(shape), np.ones(shape), identity)
    scalers = [_scaler([t for t in tables if t.kind == kind], names) for kind in kinds]
    mean = np.stack([scaler.mean_ for scaler in scalers])
    scale = np.stack([scaler.scale_ for scaler in scalers])
    standard = Projection(names, kinds, mean, scale, identity)
    return replace(standard, matrix=group_projection(names, _covariance(standard, tables)))


def _scaler(tables: Sequence[Table], names: Sequence[str]) -> StandardScaler:
    """Measure level and spread of the columns over all rows."""
    scaler = StandardScaler()
    for table in tables:
        for columns in batches(table):
            scaler.partial_fit(columns.select(names).astype(np.float64))
    return scaler


def _covariance(standard: Projection, tables: Sequence[Table]) -> NDArray[np.float64]:
    """Measure the covariance of the standardised columns: their mean is 0."""
    total, count = np.zeros((len(standard.column_names),) * 2), 0
    for table in tables:
        for columns in batches(table):
            rows = standard.standardize(columns)
            total += rows.T @ rows
            count += len(rows)
    return total / count


def _fit_centers(
    projection: Projection, tables: Sequence[Table], clusters: int, seed: int, recipe: Recipe
) -> NDArray[np.float64]:
    """Find the centres of mini-batch k-means, shape (clusters, P).

    Mini-batches (Sculley 2010, doi 10.1145/1772690.1772862) go over all rows, in passes until the
    inertia of a pass has settled. They begin where k-means on a sample has settled, the best of
    several beginnings: on label quality, mini-batches that stop early cost more than any choice of
    features.
    """
    size = max(recipe.batch_size, clusters)
    if recipe.in_order and recipe.passes is not None:
        return _fit_in_order(projection, tables, clusters, seed, size, recipe.passes)
    rng = np.random.default_rng(seed)
    begin: str | NDArray[np.float64] = "k-means++"
    if recipe.passes is None:
        sample = sample_rows(projection, tables, max(FIT_ROWS, clusters), rng)
        begin = KMeans(clusters, random_state=seed, n_init=10).fit(sample).cluster_centers_
    kmeans = MiniBatchKMeans(
        clusters, init=begin, n_init=1, reassignment_ratio=0, random_state=seed
    )
    before = np.inf
    for _ in range(recipe.passes or MAX_PASSES):
        inertia = 0.0
        for rows in shuffled_batches(projection, tables, size, rng):
            inertia += float(kmeans.partial_fit(rows).inertia_)
        if recipe.passes is None and inertia >= (1 - _SETTLED) * before:
            break
        before = inertia
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)


def _fit_in_order(
    projection: Projection,
    tables: Sequence[Table],
    clusters: int,
    seed: int,
    size: int,
    passes: int,
) -> NDArray[np.float64]:
    """Find the centres of mini-batches in the order of the rows, shape (clusters, P)."""
    kmeans = MiniBatchKMeans(clusters, n_init=1, batch_size=size, random_state=seed)
    for _ in range(passes):
        for rows in ordered_batches(projection, tables, size):
            kmeans.partial_fit(rows)
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)


def group_projection(names: Sequence[str], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight groups of columns against each other.

    Each group is scaled to the weight of its `alps_geo.features.group.Part`: the sum of the
    variances of its projected columns is the weight squared, however many columns there are. Means
    of the bands yield themselves and their contrast, the differences to the mean of all bands,
    which hold the colour apart from brightness. Embeddings yield their principal components.

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
        members = np.flatnonzero(groups == group)
        inside = covariance[np.ix_(members, members)]
        for weight, matrix in _group_matrices(group, inside):
            spread = np.sqrt(np.maximum(_variances(matrix, inside).sum(), 0))
            if spread > _NO_SPREAD:
                part = np.zeros((len(names), matrix.shape[1]))
                part[members] = matrix * (weight / spread)
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
