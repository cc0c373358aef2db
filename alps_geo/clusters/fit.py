"""k-means: the fit of a cluster model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from alps_geo.clusters.legend import Legend
from alps_geo.clusters.model import ClusterModel
from alps_geo.clusters.passes import map_rows
from alps_geo.clusters.sampling import ordered_batches, sample_rows, shuffled_batches
from alps_geo.clusters.scaling import fit_projection
from alps_geo.clusters.small import put_together, small_number
from alps_geo.clusters.threads import one_thread
from alps_geo.clusters.tree import CentreTree
from alps_geo.errors import RunError
from alps_geo.features.columns import BATCH_ROWS
from alps_geo.features.mapping import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.projection import Projection
    from alps_geo.clusters.tree import Assigned
    from alps_geo.features.columns import Columns, Table
    from alps_geo.features.mapping import Mapper

FIT_ROWS = 50_000
"""Segments in the sample that k-means begins with, at most; its mini-batches go over all."""

MANY = 100
"""k-means on the sample begins once if it is to find more clusters, and else ten times."""

MAX_PASSES = 20
"""Passes of mini-batches over all segments, at most."""

_SETTLED = 1e-3
"""Passes end when one lowers the inertia by a smaller share than this."""


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
    small : int
        Small clusters that are found first for each cluster, see `alps_geo.clusters.small`; 1 for
        plain k-means.
    """

    batch_size: int = BATCH_ROWS
    passes: int | None = None
    raw: bool = False
    in_order: bool = False
    small: int = 1


DEFAULT_RECIPE = Recipe()


@dataclass(frozen=True)
class FittedClusters:
    """A cluster model and the clusters that it gives the rows of tables.

    Attributes
    ----------
    model : ClusterModel
        The model.
    assigned : tuple of Assigned
        For each table the clusters of its rows, in their order.
    """

    model: ClusterModel
    assigned: tuple[Assigned, ...]


@dataclass(frozen=True)
class _Rows:
    """Projected rows of all tables, a pass at a time."""

    projection: Projection
    tables: Sequence[Table]
    mapper: Mapper

    def sample(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw up to `size` rows, in their order."""
        return sample_rows(self.projection, self.tables, size, rng, self.mapper)

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        """Yield all rows in random batches."""
        return shuffled_batches(self.projection, self.tables, size, rng, self.mapper)

    def ordered(self, size: int) -> Iterator[NDArray[np.float64]]:
        """Yield all rows in batches, in their order."""
        return ordered_batches(self.projection, self.tables, size, self.mapper)

    def counted(self, centers: NDArray[np.float64]) -> NDArray[np.int64]:
        """Count the rows whose nearest centre is each, shape (clusters,)."""
        count = partial(_counted, self.projection, CentreTree.flat(centers))
        total = np.zeros(len(centers), dtype=np.int64)
        for part in map_rows(count, self.tables, self.mapper):
            total += part
        return total


def fit_clusters(
    tables: Sequence[Table],
    areas: Sequence[NDArray[np.integer]],
    clusters: int,
    seed: int,
    *,
    recipe: Recipe = DEFAULT_RECIPE,
    fitted_with: str = "{}",
    mapper: Mapper = HERE,
) -> FittedClusters:
    """Fit k-means (Lloyd 1982, doi 10.1109/TIT.1982.1056489) to weighted columns.

    Only columns that all scenes with segments have are compared. Scenes of one kind share their
    standardisation, so that differences between them count; of several kinds each is standardised
    by itself, for their values have no common unit.

    Rows are read a batch at a time, several times over; memory holds the cluster of each alone.

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
    mapper : Mapper
        Maps the work on ranges of rows, which the fit puts together in their order.

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
            "thresholds, more --points, --fill superpixels or --no-merge"
        )
    # A scene without segments has no level or spread, and may lack columns that others have.
    filled = [table for table in tables if len(table)]
    with one_thread():
        projection = fit_projection(filled, raw=recipe.raw, mapper=mapper)
        fitted = ClusterModel(
            features=tuple(filled[0].features),
            projection=projection,
            tree=_fit_tree(_Rows(projection, tables, mapper), clusters, seed, recipe),
            legend=Legend.default(clusters),
            fitted_with=fitted_with,
        )
        assigned = fitted.apply_to_all(tables, mapper)
    return _by_area(fitted, assigned, areas)


def _by_area(
    fitted: ClusterModel, assigned: Sequence[Assigned], areas: Sequence[NDArray[np.integer]]
) -> FittedClusters:
    """Give the clusters the ids 1..k by the area that they cover, the largest first."""
    length = len(fitted) + 1
    covered = np.zeros(length)
    for each, area in zip(assigned, areas, strict=True):
        covered += np.bincount(each.cluster, weights=area, minlength=length)
    tree = fitted.tree.ordered(-covered[1:])
    renumbered = np.zeros(length, dtype=np.int64)
    renumbered[fitted.tree.clusters] = tree.clusters
    return FittedClusters(
        replace(fitted, tree=tree),
        tuple(replace(each, cluster=renumbered[each.cluster]) for each in assigned),
    )


def _fit_tree(rows: _Rows, clusters: int, seed: int, recipe: Recipe) -> CentreTree:
    """Find the centres of clusters: of small ones that are put together, where rows suffice."""
    small = small_number(clusters, sum(map(len, rows.tables)), recipe.small)
    if small > clusters:
        with warnings.catch_warnings():
            # Of rows that are alike there are fewer small clusters, which is no harm.
            warnings.simplefilter("ignore", ConvergenceWarning)
            centers = _fit_centers(rows, small, seed, recipe)
        group = put_together(centers, rows.counted(centers), clusters, seed)
        if group is not None:
            return CentreTree.grouped(centers, group + 1)
    return CentreTree.flat(_fit_centers(rows, clusters, seed, recipe))


def _counted(projection: Projection, tree: CentreTree, columns: Columns) -> NDArray[np.int64]:
    """Count the rows of some columns in each cluster 1..k, shape (k,)."""
    nearest = tree.apply(projection.project(columns)).cluster - 1
    return np.bincount(nearest, minlength=len(tree.centers))


def _fit_centers(rows: _Rows, clusters: int, seed: int, recipe: Recipe) -> NDArray[np.float64]:
    """Find the centres of mini-batch k-means, shape (clusters, P).

    Mini-batches (Sculley 2010, doi 10.1145/1772690.1772862) go over all rows, in passes until the
    inertia of a pass has settled. They begin where k-means on a sample has settled, the best of
    several beginnings: on label quality, mini-batches that stop early cost more than any choice of
    features.
    """
    size = max(recipe.batch_size, clusters)
    if recipe.in_order and recipe.passes is not None:
        return _fit_in_order(rows, clusters, seed, size, recipe.passes)
    rng = np.random.default_rng(seed)
    begin: str | NDArray[np.float64] = "k-means++"
    if recipe.passes is None:
        sample = rows.sample(max(FIT_ROWS, clusters), rng)
        # Among very many centres, one beginning is as good as another.
        beginnings = 10 if clusters <= MANY else 1
        kmeans = KMeans(clusters, random_state=seed, n_init=beginnings)
        begin = kmeans.fit(sample).cluster_centers_
    batched = MiniBatchKMeans(
        clusters, init=begin, n_init=1, reassignment_ratio=0, random_state=seed
    )
    before = np.inf
    for _ in range(recipe.passes or MAX_PASSES):
        inertia = 0.0
        for batch in rows.shuffled(size, rng):
            inertia += float(batched.partial_fit(batch).inertia_)
        if recipe.passes is None and inertia >= (1 - _SETTLED) * before:
            break
        before = inertia
    return np.asarray(batched.cluster_centers_, dtype=np.float64)


def _fit_in_order(
    rows: _Rows, clusters: int, seed: int, size: int, passes: int
) -> NDArray[np.float64]:
    """Find the centres of mini-batches in the order of the rows, shape (clusters, P)."""
    kmeans = MiniBatchKMeans(clusters, n_init=1, batch_size=size, random_state=seed)
    for _ in range(passes):
        for batch in rows.ordered(size):
            kmeans.partial_fit(batch)
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)
