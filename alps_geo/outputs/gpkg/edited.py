"""Edits of the clusters in a GeoPackage of segments, found feature by feature."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alps_geo.errors import RunError
from alps_geo.outputs.gpkg.lock import check_columns, connected, database_errors
from alps_geo.outputs.gpkg.update import LAYER, TOLERANCE, WRITTEN

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from alps_geo.outputs.gpkg.update import Given

_KNOWN = "typeof(segment_id) = 'integer' AND segment_id BETWEEN 1 AND ?"

_UNKNOWN = f"""
    SELECT segment_id FROM {LAYER} WHERE segment_id IS NOT NULL AND NOT ({_KNOWN}) ORDER BY rowid
"""

# The first feature of an id is the run's; a copy comes after it.
_OWN = f"""
    SELECT segment_id, cluster, cluster_name, confidence, min(rowid) FROM {LAYER}
    WHERE {_KNOWN} GROUP BY segment_id
"""


@dataclass(frozen=True)
class Edit:
    """One feature that a person has given another cluster or name.

    Attributes
    ----------
    segment : int
        Id of the segment.
    before : int
        Cluster that the run gave it.
    cluster : object
        Value of ``cluster``, of whatever type.
    name : str
        Value of ``cluster_name`` without spaces around it; empty if it says no more than the
        number of a cluster without a name.
    """

    segment: int
    before: int
    cluster: object
    name: str


@dataclass(frozen=True)
class FoundEdits:
    """Edits of the features of one scene.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    edits : tuple of Edit
        By segment id.
    staying : mapping of int to int
        For each cluster, the number of features that the person has left in it.
    drawn, copied, deleted : int
        Features that are of no segment, second features of a segment, and segments without one.
    unknown : tuple of object
        Values of ``segment_id`` that are of no segment and not empty, in the order of the file.
    sure : int
        Features whose confidence alone was edited.
    """

    path: Path
    edits: tuple[Edit, ...]
    staying: Mapping[int, int]
    drawn: int
    copied: int
    deleted: int
    unknown: tuple[object, ...]
    sure: int


def find_edits(path: Path, given: Given, names: Mapping[int, str]) -> FoundEdits:
    """Find the edits of the clusters in a file.

    Parameters
    ----------
    path : pathlib.Path
        File of `alps_geo.outputs.gpkg.write.write_segments_gpkg`.
    given : Given
        Values that the run gave its segments.
    names : mapping of int to str
        Names of the clusters that have one.

    Raises
    ------
    RunError
        If the file cannot be read, or lacks a column, or if features of one segment contradict
        each other.
    """
    count = len(given.cluster)
    clusters, confidences = given.cluster.tolist(), given.confidence.tolist()
    edits, staying, own, sure = [], dict.fromkeys(clusters, 0), 0, 0
    with connected(path) as database, database_errors(path):
        # Earlier versions wrote a layer without features with few of its columns.
        check_columns(path, database, LAYER, ["segment_id", *WRITTEN] if count else [])
        (total,) = database.execute(f"SELECT count(*) FROM {LAYER}").fetchone()
        if not count:
            return FoundEdits(path, (), {}, total, 0, 0, (), 0)
        (known,) = database.execute(f"SELECT count(*) FROM {LAYER} WHERE {_KNOWN}", [count])
        unknown = tuple(i for (i,) in database.execute(_UNKNOWN, [count]))
        for segment, cluster, shown, confidence, _ in database.execute(_OWN, [count]):
            own += 1
            before = clusters[segment - 1]
            name = _meant(shown, before, cluster, names)
            staying[before] += cluster == before
            if cluster != before or name != names.get(before, ""):
                edits.append(Edit(segment, before, cluster, name))
            else:
                sure += _differs(confidence, confidences[segment - 1])
        decided = None if own < count else {edit.segment for edit in edits}
        for segment, several in _several(database, WRITTEN[:2], count, decided).items():
            meant = [
                (cluster, _meant(shown, clusters[segment - 1], cluster, names))
                for cluster, shown in several
            ]
            _check_same(path, segment, meant, "cluster or cluster_name")
    drawn, copied, deleted = total - known[0], known[0] - own, count - own
    return FoundEdits(path, tuple(edits), staying, drawn, copied, deleted, unknown, sure)


def _meant(shown: object, before: int, cluster: object, names: Mapping[int, str]) -> str:
    """Return the name that a feature shows, without a number that stands in for one."""
    text = "" if shown is None else str(shown).strip()
    stands_in = text in (str(before), str(cluster))
    return "" if stands_in and text not in names.values() else text


def _several(
    database: sqlite3.Connection,
    columns: Sequence[str],
    count: int,
    decided: Collection[int] | None,
) -> dict[int, list[tuple[Any, ...]]]:
    """Read columns of segments with several features, of some segments or all, by segment id."""
    chosen = f"SELECT segment_id FROM {LAYER} WHERE {_KNOWN} GROUP BY 1 HAVING count(*) > 1"
    query = (
        f"SELECT segment_id, {', '.join(columns)} FROM {LAYER} "
        f"WHERE segment_id IN ({chosen}) ORDER BY rowid"
    )
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for segment, *values in database.execute(query, [count]):
        if decided is None or segment in decided:
            found[segment].append(tuple(values))
    return found


def _check_same(path: Path, segment: int, values: Sequence[object], columns: str) -> None:
    """Check that the features of a segment say the same, so that it is plain what to adopt.

    A copy that is left behind by later changes is no contradiction, and so this is asked of edited
    segments alone, or where a segment has no feature: another may have got its id by mistake.
    """
    if len(set(values)) > 1:
        raise RunError(
            f"{path}: {len(values)} features have segment_id {segment}, and differ in {columns}; "
            "expected one feature for each segment: give the others back their own segment_id, "
            "empty it, or delete them"
        )


def _differs(found: object, given: float) -> bool:
    return not isinstance(found, int | float) or abs(found - given) > TOLERANCE


def find_class_edits(path: Path, names: Sequence[str]) -> dict[int, object]:
    """Find the segments to which a person has given another class.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    names : sequence of str
        The class that the run gave each segment, by id.

    Returns
    -------
    dict of int to object
        Value of ``class`` of each of them, of whatever type, by segment id.

    Raises
    ------
    RunError
        If the file cannot be read, or lacks the column, or if features of one segment contradict
        each other.
    """
    if not names:
        return {}
    with connected(path) as database, database_errors(path):
        check_columns(path, database, LAYER, ["segment_id", "class"])
        query = f"SELECT segment_id, class, min(rowid) FROM {LAYER} WHERE {_KNOWN} GROUP BY 1"
        own = {segment: found for segment, found, _ in database.execute(query, [len(names)])}
        edits = {
            segment: found
            for segment, found in own.items()
            if _stripped(found) != names[segment - 1]
        }
        decided = None if len(own) < len(names) else edits
        for segment, several in _several(database, ["class"], len(names), decided).items():
            # A copy from before the classification has no class.
            given = [_stripped(found) for (found,) in several if found is not None]
            _check_same(path, segment, given, "class")
    return edits


def _stripped(found: object) -> object:
    return found.strip() if isinstance(found, str) else found
