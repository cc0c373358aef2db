"""Clusters of the segments in a GeoPackage, changed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.files import replacing, run_errors
from alps_geo.outputs.gpkg import FIELD, STYLE
from alps_geo.outputs.gpkg_read import check_closed
from alps_geo.outputs.style import polygons_qml, polygons_sld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class _Wanted:
    """Clusters, by segment id, as rows of a database."""

    cluster: list[int]
    confidence: list[float]
    names: Mapping[int, str]

    def row(self, segment: int) -> tuple[int, int, str, float]:
        """Segment, its cluster, the name of that, and the confidence."""
        cluster = self.cluster[segment - 1]
        return segment, cluster, self.names.get(cluster, ""), self.confidence[segment - 1]

    def rows(self) -> Iterator[tuple[int, int, str, float]]:
        return (self.row(segment) for segment in range(1, len(self.cluster) + 1))


def rewrite_segments_gpkg(
    path: Path,
    *,
    cluster: NDArray[np.integer],
    confidence: NDArray[np.floating],
    layer: str = "segments",
    palette: Mapping[int, tuple[int, int, int]],
    names: Mapping[int, str] | None = None,
) -> None:
    """Give segments other clusters, and the layer their style; all else stays to the byte.

    Geometries, further attributes and styles, also those that a user has added, stay as they are.

    Parameters
    ----------
    path : pathlib.Path
        What `write_segments_gpkg` wrote; replaced at the end.
    cluster : array (n,), integer
        Of each segment, by id.
    confidence : array (n,), floating
        Of each segment, by id.
    layer, palette, names
        As in `write_segments_gpkg`.

    Raises
    ------
    RunError
        If the file is absent, damaged, being written by another program, or cannot be written.
    """
    check_closed(path)
    segments = _Wanted(cluster.tolist(), confidence.tolist(), names or {})
    style = (polygons_qml(FIELD, palette, names), polygons_sld(FIELD, palette, names))
    with run_errors(path, sqlite3.Error), closing(sqlite3.connect(path)) as database:
        if _is_current(database, layer, segments, style):
            # Written again, it would have other bytes: SQLite counts changes in it.
            return
    with replacing(path) as part, run_errors(path, sqlite3.Error):
        shutil.copyfile(path, part)
        with closing(sqlite3.connect(part)) as database:
            _update(database, layer, segments, style)
            database.commit()


def rename_segments_gpkg(
    path: Path,
    *,
    layer: str = "segments",
    palette: Mapping[int, tuple[int, int, int]],
    names: Mapping[int, str] | None = None,
) -> None:
    """Give clusters other names and colours; every segment keeps its cluster.

    Parameters
    ----------
    path : pathlib.Path
        What `write_segments_gpkg` wrote; replaced at the end.
    layer, palette, names
        As in `write_segments_gpkg`.

    Raises
    ------
    RunError
        As `rewrite_segments_gpkg`.
    """
    check_closed(path)
    style = (polygons_qml(FIELD, palette, names), polygons_sld(FIELD, palette, names))
    wanted = [(cluster, (names or {}).get(cluster, "")) for cluster in palette]
    with replacing(path) as part, run_errors(path, sqlite3.Error):
        shutil.copyfile(path, part)
        with closing(sqlite3.connect(part)) as database:
            if _has_rows(database, layer):
                database.execute("CREATE TEMP TABLE wanted (id INTEGER PRIMARY KEY, name TEXT)")
                database.executemany("INSERT INTO wanted VALUES (?, ?)", wanted)
                with _without_triggers(database, layer):
                    database.execute(
                        f'UPDATE "{layer}" SET cluster_name = wanted.name FROM wanted '
                        "WHERE wanted.id = cluster AND cluster_name IS NOT wanted.name"
                    )
            _set_style(database, layer, style)
            database.commit()


def _is_current(
    database: sqlite3.Connection, layer: str, segments: _Wanted, style: tuple[str, str]
) -> bool:
    """Whether the layer has these clusters and this style already."""
    stored = database.execute(
        'SELECT "styleQML", "styleSLD" FROM layer_styles '
        'WHERE f_table_name = ? AND "styleName" = ?',
        [layer, STYLE],
    ).fetchall()
    if any(found != style for found in stored):
        return False
    return not _has_rows(database, layer) or all(
        segments.row(found[0]) == found
        for found in database.execute(
            f'SELECT segment_id, cluster, cluster_name, confidence FROM "{layer}"'
        )
    )


def _update(
    database: sqlite3.Connection, layer: str, segments: _Wanted, style: tuple[str, str]
) -> None:
    database.execute(
        "CREATE TEMP TABLE found "
        "(id INTEGER PRIMARY KEY, cluster INTEGER, name TEXT, confidence REAL)"
    )
    database.executemany("INSERT INTO found VALUES (?, ?, ?, ?)", segments.rows())
    if _has_rows(database, layer):
        with _without_triggers(database, layer):
            database.execute(
                f'UPDATE "{layer}" SET (cluster, cluster_name, confidence) = '
                "(SELECT cluster, name, confidence FROM found WHERE id = segment_id) "
                "WHERE segment_id IN (SELECT id FROM found)"
            )
    _set_style(database, layer, style)


def _set_style(database: sqlite3.Connection, layer: str, style: tuple[str, str]) -> None:
    database.execute(
        'UPDATE layer_styles SET "styleQML" = ?, "styleSLD" = ? '
        'WHERE f_table_name = ? AND "styleName" = ?',
        [*style, layer, STYLE],
    )


def _has_rows(database: sqlite3.Connection, layer: str) -> bool:
    """Whether there are polygons; a layer without any has not all attributes either."""
    return bool(database.execute(f'SELECT EXISTS (SELECT * FROM "{layer}")').fetchone()[0])


@contextmanager
def _without_triggers(database: sqlite3.Connection, table: str) -> Iterator[None]:
    """Take a table's triggers away for as long as no geometry changes.

    Those that keep the spatial index call functions that GDAL has and SQLite lacks.
    """
    triggers = database.execute(
        "SELECT name, sql FROM sqlite_master "
        "WHERE type = 'trigger' AND tbl_name = ? ORDER BY rowid",
        [table],
    ).fetchall()
    for name, _ in triggers:
        database.execute(f'DROP TRIGGER "{name}"')
    yield
    for _, statement in triggers:
        database.execute(statement)
