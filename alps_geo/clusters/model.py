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

import numpy as np
from sklearn.cluster import KMeans

from alps_geo.clusters.colors import unused_colors
from alps_geo.clusters.threads import one_thread
from alps_geo.clusters.tree import SPLIT, Assigned, descend
from alps_geo.errors import RunError
from alps_geo.features.columns import batches
from alps_geo.features.kinds import check_known
from alps_geo.features.registry import current_names
from alps_geo.settings import MAX_CLUSTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color
    from alps_geo.features.columns import Columns, Table

FORMAT_VERSION = 3

_JOINERS = dict.fromkeys((0x200C, 0x200D))
"""Characters that Persian and Indic words are spelt with: they join letters, or keep them apart."""

FIT_ROWS = 50_000
"""Segments in the sample that k-means begins with, at most; its mini-batches go over all."""


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
        The kinds of scene that the model knows, m of them: see `alps_geo.features.columns.Columns`.
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
            if not name.translate(_JOINERS).isprintable():
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
            As in `alps_geo.clusters.fit.fit_clusters`.

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
        with one_thread():
            kmeans = KMeans(n_clusters=parts, random_state=seed, n_init=10).fit(rows)
        new = [cluster, *range(int(self.ids[-1]) + 1, highest + 1)]
        model = self._with_parts(cluster, np.asarray(kmeans.cluster_centers_, np.float64), new)
        covered = covered_area(model, tables, areas)[new]
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
                np.where(self.leads_to == cluster, SPLIT, self.leads_to),
                np.tile(np.array(ids, dtype=np.int64), len(leaves)),
            ),
            ids=np.append(self.ids, new),
            cluster_names=(*self.cluster_names, *("" for _ in new)),
            colors=np.vstack([self.colors, unused_colors(self.colors, len(new))]),
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
        return picked_rows(self, tables, np.flatnonzero(picked)), len(place)

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
        with one_thread():
            return np.asarray(standard @ self.projection)

    def standardize(self, columns: Columns) -> NDArray[np.float64]:
        """Return the columns of the model by the level and spread of their kind of scene.

        Shape (n, C); raises as `project`.
        """
        check_known(columns.kind, self.kinds)
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
        for columns in batches(table):
            rows = slice(start, start + len(columns))
            cluster, confidence, distance = descend(
                self.project(columns), self.centers, self.parents, self.leads_to
            )
            found.cluster[rows], found.confidence[rows] = cluster, confidence
            found.distance[rows] = distance
            start = rows.stop
        return found

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
        stored["names"] = current_names(stored["names"])
        stored["fitted_with"] = str(stored["fitted_with"])
        return cls(**stored)


def covered_area(
    model: ClusterModel, tables: Sequence[Table], areas: Sequence[NDArray[np.integer]]
) -> NDArray[np.float64]:
    """Add up the area of each cluster, by id."""
    length = int(model.ids[-1]) + 1
    covered = np.zeros(length)
    for table, area in zip(tables, areas, strict=True):
        covered += np.bincount(model.apply(table).cluster, weights=area, minlength=length)
    return covered


def picked_rows(
    model: ClusterModel, tables: Sequence[Table], picked: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Project some rows, by their ascending places in all tables one after the other."""
    parts, begin = [], 0
    for table in tables:
        for columns in batches(table):
            within = picked[slice(*np.searchsorted(picked, [begin, begin + len(columns)]))] - begin
            parts.append(model.project(replace(columns, values=columns.values[within])))
            begin += len(columns)
    return np.concatenate(parts)


def _ranges(ids: Sequence[int]) -> str:
    """List ascending ids for people: 1 to 4, 6, 9 to 11."""
    breaks = [0, *(i for i in range(1, len(ids)) if ids[i] != ids[i - 1] + 1), len(ids)]
    runs = [ids[start:stop] for start, stop in pairwise(breaks)]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
