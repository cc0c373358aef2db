"""Clusters of the segments in a GeoPackage, changed in place.

All changes of a file are one transaction: other programs see all of it or nothing, and SQLite
rolls it back after a killed process or a full disk. Only features whose clusters, names or
confidence the run itself changes are written. Geometries, further attributes, styles and features
that a person added stay as they are.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.outputs.gpkg.layer_styles import read_style, update_style
from alps_geo.outputs.gpkg.lock import check_columns, database_errors, exclusive
from alps_geo.outputs.gpkg.metadata import timestamp
from alps_geo.outputs.styles import CLUSTER_STYLE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.outputs.segment_styles import Style

WRITTEN = ("cluster", "cluster_name", "confidence")
"""Attributes that depend on the clusters."""

LAYER = "segments"
"""Layer of the segments."""

CLASS_LAYER = "classes"
"""Layer of the dissolved classes, and name of the styles by class."""

CLASS_COLUMNS = {"class": "TEXT", "class_confidence": "REAL", "class_margin": "REAL"}
"""Attributes of segments that depend on the classes, with their types in SQLite."""

SPACES = "' ' || char(9, 10, 11, 12, 13, 160)"
"""Characters around a name that are no part of it, in SQL."""

TOLERANCE = 1e-4
"""Confidences that differ by less are the same number, computed on another machine."""

_EDITED = f"""
    own.row = feature.rowid AND given.id = own.id AND (
        feature.cluster IS NOT given.cluster AND feature.cluster IS NOT given.old_cluster
        OR trim(ifnull(feature.cluster_name, ''), {SPACES}) NOT IN (given.name, given.old_name)
        AND NOT (given.adopted AND trim(ifnull(feature.cluster_name, ''), {SPACES})
            IN ('', given.name, CAST(given.cluster AS TEXT), CAST(given.old_cluster AS TEXT)))
        OR feature.confidence IS NOT given.confidence
        AND feature.confidence IS NOT given.old_confidence
        AND ifnull(abs(feature.confidence - given.confidence), 9) > {TOLERANCE}
        AND ifnull(abs(feature.confidence - given.old_confidence), 9) > {TOLERANCE}
    )
"""

_STALE = f"""
    {LAYER}.rowid = own.row AND given.id = own.id
    AND ({LAYER}.cluster, {LAYER}.cluster_name, {LAYER}.confidence)
    IS NOT (given.cluster, given.name, given.confidence)
"""


@dataclass(frozen=True)
class Given:
    """Clusters that a model gives the segments of a scene.

    Attributes
    ----------
    cluster : ndarray of int64, shape (n,)
        Cluster of each segment, by id.
    confidence : ndarray of float32, shape (n,)
        Confidence of each segment, by id.
    names : mapping of cluster to str
        Names of the clusters that have one.
    """

    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    names: Mapping[int, str]

    def differs(self, other: Given) -> NDArray[np.int64]:
        """Return the ids of the segments that two models give other values."""
        changed = (self.cluster != other.cluster) | (self.confidence != other.confidence)
        for cluster in np.unique(self.cluster).tolist():
            if self.names.get(cluster, "") != other.names.get(cluster, ""):
                changed |= self.cluster == cluster
        return np.flatnonzero(changed) + 1

    def rows(self, ids: NDArray[np.int64]) -> Iterator[tuple[int, str, float]]:
        """Yield cluster, its name and confidence of some segments."""
        clusters, confidences = self.cluster[ids - 1], self.confidence[ids - 1]
        for cluster, confidence in zip(clusters.tolist(), confidences.tolist(), strict=True):
            yield cluster, self.names.get(cluster, ""), confidence


@dataclass(frozen=True)
class Edits:
    """Features of a run that a person has given another cluster, name or confidence.

    Attributes
    ----------
    count : int
        Number of features.
    first : str
        Sentence on the first of them; empty if there is none.
    """

    count: int
    first: str


@dataclass(frozen=True)
class LockedSegments:
    """The segments in a GeoPackage, locked against all other programs.

    A feature is the run's if it is the first that has the ``segment_id`` of a segment: a copy comes
    after the original.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    database : sqlite3.Connection
        In a transaction.
    """

    path: Path
    database: sqlite3.Connection

    def check_columns(self, needed: Sequence[str]) -> None:
        """Check that the layer has the columns that a command reads or writes.

        Raises
        ------
        RunError
            If one was deleted or renamed, or the layer is absent.
        """
        check_columns(self.path, self.database, LAYER, needed)

    def compare(
        self,
        before: Given,
        after: Given,
        ids: NDArray[np.int64],
        *,
        adopted: Collection[int] = (),
        spare: bool = False,
    ) -> Edits:
        """Find edited features of some segments, and prepare their update.

        Parameters
        ----------
        before, after : Given
            Clusters now and after the change. A feature with either is not edited: a change that
            was cut short may have reached it or not.
        ids : ndarray of int64
            Ids of the segments.
        adopted : collection of int
            Segments that get the cluster that a person gave them. A feature of theirs whose name
            was emptied, or left at the number of a cluster, is not edited.
        spare : bool
            True leaves edited features alone, and doesn't count them, where the only change is a
            number in place of the name that their cluster lacks.
        """
        execute = self.database.execute
        with database_errors(self.path):
            execute(
                "CREATE TEMP TABLE given (id INTEGER PRIMARY KEY, cluster INTEGER, name TEXT, "
                "confidence REAL, old_cluster INTEGER, old_name TEXT, old_confidence REAL, "
                "stands_in INTEGER, adopted INTEGER)"
            )
            rows = zip(ids.tolist(), after.rows(ids), before.rows(ids), strict=True)
            self.database.executemany(
                "INSERT INTO given VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (segment, *new, *old, _stands_in(new, old), segment in adopted)
                    for segment, new, old in rows
                ),
            )
            execute("CREATE TEMP TABLE own (row INTEGER PRIMARY KEY, id INTEGER NOT NULL)")
            if not len(ids):
                return Edits(0, "")
            execute(
                f"INSERT INTO own SELECT min(feature.rowid), given.id FROM {LAYER} feature, given "
                "WHERE feature.segment_id = given.id GROUP BY given.id"
            )
            edited = f"FROM {LAYER} feature, own, given WHERE {_EDITED}"
            if spare:
                spared = f"SELECT own.row {edited} AND given.stands_in"
                execute(f"DELETE FROM own WHERE row IN ({spared})")
            count = execute(f"SELECT count(*) {edited}").fetchone()[0]
            first = execute(
                "SELECT given.id, feature.cluster, feature.cluster_name, feature.confidence, "
                "given.old_cluster, given.old_name, given.old_confidence, "
                "given.cluster, given.name, given.confidence "
                f"{edited} ORDER BY given.id LIMIT 1"
            ).fetchone()
        return Edits(count, _sentence(first) if first else "")

    def count_own(self) -> int:
        """Return how many of the segments that were compared have a feature."""
        return int(self.database.execute("SELECT count(*) FROM own").fetchone()[0])

    def style(self) -> tuple[str, str] | None:
        """Return QML and SLD of the style by cluster; None if a person removed it."""
        with database_errors(self.path):
            return read_style(self.database, LAYER, CLUSTER_STYLE)

    def update(self, style: Style, date: str) -> None:
        """Give the segments that were compared their clusters, and the layer its style.

        Parameters
        ----------
        style : Style
            The style by cluster, which a person may have removed.
        date : str
            Date of the change, in UTC by ISO 8601.

        Raises
        ------
        RunError
            If there is no room for it.
        """
        execute = self.database.execute
        with database_errors(self.path):
            # Written again, the file would have other bytes: SQLite counts changes in it.
            stale = f"SELECT EXISTS (SELECT * FROM {LAYER}, own, given WHERE {_STALE})"
            if self.count_own() and execute(stale).fetchone()[0]:
                with without_triggers(self.database):
                    execute(
                        f"UPDATE {LAYER} SET cluster = given.cluster, cluster_name = given.name, "
                        f"confidence = given.confidence FROM own, given WHERE {_STALE}"
                    )
                set_changed(self.database, LAYER, date)
            update_style(self.database, LAYER, style, timestamp(date))

    def commit(self) -> None:
        """Commit the changes, and unlock the file.

        Raises
        ------
        RunError
            If there is no room for it, or another program reads the file.
        """
        with database_errors(self.path):
            self.database.execute("COMMIT")


def set_changed(database: sqlite3.Connection, layer: str, date: str) -> None:
    """Note the date of the last change of a layer, in UTC by ISO 8601."""
    database.execute(
        "UPDATE gpkg_contents SET last_change = ? WHERE table_name = ?", [timestamp(date), layer]
    )


@contextmanager
def locked_segments(path: Path, cache: int = 2**21) -> Iterator[LockedSegments]:
    """Lock the segments of `alps_geo.outputs.gpkg.write.write_segments_gpkg` to change them.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    cache : int
        Bytes of its pages to hold in memory.

    Raises
    ------
    RunError
        If the file is absent or damaged, another program holds it, or it cannot be written.
    """
    with exclusive(path) as database:
        with database_errors(path):
            database.execute(f"PRAGMA cache_size = {-(cache // 1024)}")
        yield LockedSegments(path, database)


def _stands_in(new: tuple[int, str, float], old: tuple[int, str, float]) -> bool:
    """Return True if a number comes or goes as the name of a cluster, and all else is the same."""
    same = (new[0], new[2]) == (old[0], old[2])
    return same and {new[1], old[1]} == {"", str(new[0])}


def _sentence(row: Sequence[object]) -> str:
    """Return a sentence on the attribute in which a feature differs from its run."""
    segment, found, old, new = row[0], row[1:4], row[4:7], row[7:10]
    for name, one, *given in zip(WRITTEN, found, old, new, strict=True):
        if (str(one or "").strip() if name == "cluster_name" else one) not in given:
            return (
                f"{name} of segment {segment} is {_shown(one)}, and the run gave {_shown(given[0])}"
            )
    raise ValueError(f"segment {segment} is not edited")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "NULL" if value is None else repr(value)


@contextmanager
def without_triggers(database: sqlite3.Connection, layer: str = LAYER) -> Iterator[None]:
    """Remove the triggers of a layer for a change that leaves geometries alone.

    The triggers of the spatial index call functions that GDAL has and SQLite lacks.
    """
    triggers = database.execute(
        "SELECT name, sql FROM sqlite_master "
        "WHERE type = 'trigger' AND tbl_name = ? ORDER BY rowid",
        [layer],
    ).fetchall()
    for name, _ in triggers:
        database.execute('DROP TRIGGER "{}"'.format(name.replace('"', '""')))
    yield
    for _, statement in triggers:
        database.execute(statement)
