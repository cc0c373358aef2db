"""The cluster model: fit once, apply anywhere, saved as plain arrays.

A fitted model can be named, merged, split and recoloured. Its centres form a tree, so that a change
of one cluster moves no segment of another, in any scene.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from hashlib import sha256
from io import BytesIO
from itertools import pairwise
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
from alps_geo.settings import MAX_CLUSTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    "timm": 0.8,
}
"""How much each group of columns counts, however many columns it has."""

FIT_ROWS = 50_000
"""Segments in the sample that k-means begins with, at most; its mini-batches go over all."""

BATCH_ROWS = 16_384
"""Segments in a mini-batch, and rows that are read at once."""

COMPONENTS = 16
"""Principal components that stand for the embedding of SAM, or of another backbone."""

MAX_PASSES = 20
"""Passes of mini-batches over all segments, at most."""

_SETTLED = 1e-3
"""Passes end when one lowers the inertia by a smaller share than this."""

_RUN_ROWS = 256
"""Rows that a shuffled batch takes in one piece."""

_TOP = -1
"""Parent of the centres that k-means found first, before any cluster was split."""

_SPLIT = 0
"""Cluster of a centre that others have taken the place of; no cluster has this id."""

_NO_SPREAD = 1e-7
"""Standard deviations below this are nothing but rounding."""


@dataclass(frozen=True)
class Assigned:
    """What clusters some segments were given.

    Attributes
    ----------
    cluster : ndarray of int64, shape (n,)
        Cluster ids.
    confidence : ndarray of float32, shape (n,)
        The margin to the next cluster: 1 less the ratio of the distances to the nearest centre and
        to the nearest that leads to another cluster; the smallest of all choices on the way down
        the tree. 0 is on the border between two clusters, 1 at the centre of one, or where there is
        but one.
    distance : ndarray of float32, shape (n,)
        To the centre that was reached, in units of what is compared.
    """

    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    distance: NDArray[np.float32]

    def by_id(self, ids: NDArray[np.integer]) -> Assigned:
        """Put the rows in the order of the ids of their segments, which are 1..n in any order."""
        place = ids.astype(np.int64) - 1
        ordered = Assigned(*(np.empty_like(getattr(self, field.name)) for field in fields(self)))
        for field in fields(self):
            getattr(ordered, field.name)[place] = getattr(self, field.name)
        return ordered


@dataclass(frozen=True)
class ClusterModel:
    """k-means clusters of segments.

    A new model has clusters 1..k, one centre each. A cluster that is split keeps its centres, but
    only to lead to new ones below them: a segment goes to the nearest of the topmost centres, then
    to the nearest of those below it, and so on. Clusters that are merged keep all their centres. So
    a split or merged cluster takes exactly the segments that it took before, in any scene.

    Merging leaves gaps in the ids: the cluster keeps the lowest of them, and all other clusters
    keep theirs, because a user's styles, filters and notes, and the names that are about to be
    given, speak of ids. For the same reason a split cluster keeps its id for the largest part, and
    new ids follow the highest.

    Attributes
    ----------
    features : tuple of str
        The features that the columns come from.
    names : tuple of str
        Names of the columns, C of them.
    kinds : tuple of str
        The kinds of scene that the model knows, m of them: see `alps_geo.columns.Columns`.
    mean, scale : ndarray of float64, shape (m, C)
        Columns are standardised to (column - mean) / scale of their kind of scene; 0 and 1 where
        they are compared as they are.
    projection : ndarray of float64, shape (C, P)
        Turns standardised columns into what is compared: each group by its weight.
    centers : ndarray of float64, shape (n, P)
        Projected centres.
    parents : ndarray of int64, shape (n,)
        The row of the centre above each, which comes before it; -1 for the topmost.
    leads_to : ndarray of int64, shape (n,)
        The cluster of each centre; 0 where others lie below it.
    ids : ndarray of int64, shape (k,)
        Ids of the clusters, ascending, from 1.
    cluster_names : tuple of str
        Name of each cluster; empty for one without.
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
    parents: NDArray[np.int64]
    leads_to: NDArray[np.int64]
    ids: NDArray[np.int64]
    cluster_names: tuple[str, ...]
    colors: NDArray[np.uint8]
    fitted_with: str = "{}"

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def palette(self) -> dict[int, Color]:
        """Colour of each cluster id."""
        return {
            int(i): (int(r), int(g), int(b))
            for i, (r, g, b) in zip(self.ids, self.colors, strict=True)
        }

    @property
    def stamp(self) -> str:
        """A few characters that change when segments get other clusters, and by nothing else."""
        digest = sha256()
        for name in ("mean", "scale", "projection", "centers", "parents", "leads_to", "ids"):
            digest.update(getattr(self, name).tobytes())
        return digest.hexdigest()[:8]

    @property
    def legend(self) -> dict[int, str]:
        """Name of each cluster id that has one."""
        named = zip(self.ids, self.cluster_names, strict=True)
        return {int(cluster): name for cluster, name in named if name}

    def named(self, names: Mapping[int, str]) -> ClusterModel:
        """Give clusters names; an empty one takes a name away.

        Several clusters may have one name: they are often parts of one class.

        Raises
        ------
        RunError
            If there is no such cluster, or a name is not one line of text.
        """
        self._check(names)
        for cluster, name in names.items():
            if not name.isprintable():
                raise RunError(
                    f"the name {name!r} of cluster {cluster} holds characters that cannot be "
                    "shown, expected one line of text"
                )
        found = dict(zip(self.ids.tolist(), self.cluster_names, strict=True)) | dict(names)
        return replace(self, cluster_names=tuple(found[cluster].strip() for cluster in found))

    def recolored(self, colors: Mapping[int, Color]) -> ClusterModel:
        """Give clusters other colours: red, green, blue.

        Raises
        ------
        RunError
            If there is no such cluster.
        """
        self._check(colors)
        found = self.palette | dict(colors)
        return replace(self, colors=np.array(list(found.values()), dtype=np.uint8))

    def merged(self, clusters: Sequence[int], name: str | None = None) -> ClusterModel:
        """Make one cluster of several: the one of the lowest id, with its colour.

        Parameters
        ----------
        clusters : sequence of int
            Their ids, two at least.
        name : str, optional
            Of what they become; else the name of the first of them, by id, that has one.

        Raises
        ------
        RunError
            If there is no such cluster, or but one.
        """
        self._check(clusters)
        together = sorted(set(clusters))
        if len(together) < 2:
            listed = " ".join(map(str, together)) or "none"
            raise RunError(f"clusters to merge: {listed}; expected two different ones at least")
        kept = together[0]
        if name is None:
            name = next((self.legend[i] for i in together if i in self.legend), "")
        stays = ~np.isin(self.ids, together[1:])
        merged = replace(
            self,
            leads_to=np.where(np.isin(self.leads_to, together), kept, self.leads_to),
            ids=self.ids[stays],
            cluster_names=tuple(np.array(self.cluster_names, dtype=object)[stays]),
            colors=self.colors[stays],
        )
        return merged.named({kept: name})

    def split(
        self,
        cluster: int,
        parts: int,
        tables: Sequence[Table],
        areas: Sequence[NDArray[np.integer]],
        seed: int,
    ) -> ClusterModel:
        """Make several clusters of one, by k-means over its segments alone.

        The part of the largest area keeps id, name and colour; the others follow the highest id, by
        area, without names.

        Parameters
        ----------
        cluster : int
            Its id.
        parts : int
            What it is to become, two at least.
        tables, areas, seed
            As in `fit_clusters`.

        Raises
        ------
        RunError
            If there is no such cluster, or it has not as many different segments as parts.
        """
        self._check([cluster])
        if parts < 2:
            raise RunError(f"cluster {cluster} is to be split into {parts}, expected 2 at least")
        highest = int(self.ids[-1]) + parts - 1
        if highest > MAX_CLUSTERS:
            raise RunError(
                f"cluster ids would go up to {highest}, expected {MAX_CLUSTERS} at most: "
                "ask for fewer parts"
            )
        rows, count = self._members(cluster, tables, np.random.default_rng(seed))
        different = len(np.unique(rows, axis=0))
        if different < parts:
            found = f"{count} segments" if different == count else f"{different} different segments"
            raise RunError(
                f"cluster {cluster} has only {found}, and so it cannot be split into {parts}; "
                "ask for fewer parts"
            )
        with threadpool_limits(limits=1):
            kmeans = KMeans(n_clusters=parts, random_state=seed, n_init=10).fit(rows)
        new = [cluster, *range(int(self.ids[-1]) + 1, highest + 1)]
        model = self._with_parts(cluster, np.asarray(kmeans.cluster_centers_, np.float64), new)
        covered = _covered(model, tables, areas)[new]
        order = np.argsort(-covered, kind="stable")
        ranked = kmeans.cluster_centers_[order].astype(np.float64)
        return self._with_parts(cluster, ranked, new)

    def _with_parts(
        self, cluster: int, centers: NDArray[np.float64], ids: Sequence[int]
    ) -> ClusterModel:
        """Put one centre for each id below every centre of a cluster."""
        leaves = np.flatnonzero(self.leads_to == cluster)
        new = np.array(ids[1:], dtype=np.int64)
        return replace(
            self,
            centers=np.vstack([self.centers, np.tile(centers, (len(leaves), 1))]),
            parents=np.append(self.parents, np.repeat(leaves, len(ids))),
            leads_to=np.append(
                np.where(self.leads_to == cluster, _SPLIT, self.leads_to),
                np.tile(np.array(ids, dtype=np.int64), len(leaves)),
            ),
            ids=np.append(self.ids, new),
            cluster_names=(*self.cluster_names, *("" for _ in new)),
            colors=np.vstack([self.colors, _unused_colors(self.colors, len(new))]),
        )

    def _members(
        self, cluster: int, tables: Sequence[Table], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], int]:
        """Project the segments of a cluster, of very many a sample; and count them."""
        inside = [self.apply(table).cluster == cluster for table in tables]
        place = np.flatnonzero(np.concatenate(inside))
        picked = np.zeros(sum(len(table) for table in tables), dtype=np.bool_)
        many = len(place) > FIT_ROWS
        picked[rng.choice(place, FIT_ROWS, replace=False) if many else place] = True
        return _picked(self, tables, np.flatnonzero(picked)), len(place)

    def _check(self, clusters: Iterable[int]) -> None:
        known = set(self.ids.tolist())
        if unknown := sorted(set(clusters) - known):
            raise RunError(
                f"there is no cluster {', '.join(map(str, unknown))}; "
                f"expected some of {_ranges(self.ids.tolist())}"
            )

    def project(self, columns: Columns) -> NDArray[np.float64]:
        """Return what is compared, shape (n, P).

        Raises
        ------
        RunError
            If the model knows no such scene.
        """
        standard = self.standardize(columns)
        # Threads add up in the order in which they finish: with one, rows that are read together
        # with others get the same bits.
        with threadpool_limits(limits=1):
            return np.asarray(standard @ self.projection)

    def standardize(self, columns: Columns) -> NDArray[np.float64]:
        """Return the columns of the model by the level and spread of their kind of scene.

        Shape (n, C); raises as `project`.
        """
        if columns.kind not in self.kinds:
            raise RunError(
                f"the clusters know scenes of {' and of '.join(self.kinds)}, and this is one of "
                f"{columns.kind}; expected the same bands and data type: fit clusters with it"
            )
        kind = self.kinds.index(columns.kind)
        standard = columns.select(self.names) - self.mean[kind]
        standard /= self.scale[kind]
        return np.asarray(standard)

    def apply(self, table: Table) -> Assigned:
        """Find the cluster of each row."""
        count, start = len(table), 0
        found = Assigned(
            np.empty(count, dtype=np.int64),
            np.empty(count, dtype=np.float32),
            np.empty(count, dtype=np.float32),
        )
        for columns in _batches(table):
            rows = slice(start, start + len(columns))
            cluster, confidence, distance = self._descend(self.project(columns), _TOP)
            found.cluster[rows], found.confidence[rows] = cluster, confidence
            found.distance[rows] = distance
            start = rows.stop
        return found

    def _descend(
        self, rows: NDArray[np.float64], parent: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Follow the nearest centres below one: cluster, confidence and distance in the end."""
        below = np.flatnonzero(self.parents == parent)
        # Measured apart from all others, so that these distances have the same bits after a split.
        near = pairwise_distances(rows, self.centers[below])
        nearest = near.argmin(axis=1)
        own = np.take_along_axis(near, nearest[:, None], axis=1)[:, 0]
        surest, end = np.ones(len(rows)), own.copy()
        # What a row reaches if it goes to each centre: those that lead it elsewhere are its border.
        reached = np.broadcast_to(self.leads_to[below], near.shape)
        if (self.leads_to[below] == _SPLIT).any():
            reached = reached.copy()
        for place in np.flatnonzero(self.leads_to[below] == _SPLIT):
            reached[:, place], sure, last = self._descend(rows, int(below[place]))
            here = nearest == place
            surest[here], end[here] = sure[here], last[here]
        cluster = np.take_along_axis(reached, nearest[:, None], axis=1)
        near[reached == cluster] = np.inf
        margin = 1 - own / np.maximum(near.min(axis=1), np.finfo(np.float64).tiny)
        return cluster[:, 0], np.minimum(margin, surest), end

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
        for name in ("features", "names", "kinds", "cluster_names"):
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
    raw: bool = False,
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
    names = tuple(name for name in tables[0].names if all(name in t.names for t in tables))
    if not names:
        raise RunError(
            "the scenes have no feature in common (they have other bands); "
            "expected at least one: add sam or texture to --features"
        )
    kinds = tuple(dict.fromkeys(table.kind for table in tables))
    # Threads add up in the order in which they finish: with one, the same run gives the same bits.
    with threadpool_limits(limits=1):
        mean, scale = np.zeros((len(kinds), len(names))), np.ones((len(kinds), len(names)))
        if not raw:
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
            parents=np.full(clusters, _TOP, dtype=np.int64),
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
    order = np.argsort(-_covered(fitted, tables, areas)[1:], kind="stable")
    return replace(fitted, centers=fitted.centers[order])


def _covered(
    model: ClusterModel, tables: Sequence[Table], areas: Sequence[NDArray[np.integer]]
) -> NDArray[np.float64]:
    """Add up the area of each cluster, by id."""
    length = int(model.ids[-1]) + 1
    covered = np.zeros(length)
    for table, area in zip(tables, areas, strict=True):
        covered += np.bincount(model.apply(table).cluster, weights=area, minlength=length)
    return covered


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
    return _picked(model, tables, picked)


def _picked(
    model: ClusterModel, tables: Sequence[Table], picked: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Project some rows, by their ascending places in all tables one after the other."""
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

    Each group is scaled to its weight in `WEIGHTS`: the sum of the variances of what comes of it is
    the weight squared, however many columns there are. Means of the bands yield themselves and
    their contrast, the differences to the mean of all bands, which hold what colour says apart from
    brightness. Embeddings yield their principal components.

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
    if group in ("sam", "timm"):
        _, vectors = np.linalg.eigh(covariance)
        yield WEIGHTS[group], vectors[:, ::-1][:, :COMPONENTS]
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


def _unused_colors(used: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Take the next default colours that no cluster has, as long as there are any."""
    candidates = default_colors(256 + count)
    fresh = ~(candidates[:, None] == used[None]).all(axis=2).any(axis=1)
    return np.concatenate([candidates[fresh], candidates])[:count]


def _ranges(ids: Sequence[int]) -> str:
    """List ascending ids for people: 1 to 4, 6, 9 to 11."""
    breaks = [0, *(i for i in range(1, len(ids)) if ids[i] != ids[i - 1] + 1), len(ids)]
    runs = [ids[start:stop] for start, stop in pairwise(breaks)]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
