"""GeoPackages of segments that QGIS opens in their clusters' colours."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pyogrio
from pyogrio._err import CPLE_BaseError
from pyogrio.errors import DataLayerError, DataSourceError

from alps_geo.errors import DiskError, RunError
from alps_geo.files import replacing, run_errors, unwritable
from alps_geo.outputs.style import polygons_qml, polygons_sld
from alps_geo.outputs.wkt2 import create_layer, needs_wkt2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import shapely
    from numpy.typing import NDArray

# Every date in the file: the same polygons give the same bytes, whenever they are written.
_DATE = "2000-01-01T00:00:00.000Z"
_GEOMETRY = "geom"
_FIELD = "cluster"
_STYLE = "clusters"
_ERRORS = (DataLayerError, DataSourceError, CPLE_BaseError, sqlite3.Error)
# GeoPackage's own number for a plane that is tied to no place.
_UNDEFINED_CARTESIAN = -1


def write_segments_gpkg(
    path: Path,
    batches: Iterable[gpd.GeoDataFrame],
    *,
    crs: object | None,
    layer: str = "segments",
    palette: Mapping[int, tuple[int, int, int]],
    names: Mapping[int, str] | None = None,
) -> None:
    """Write segments as a GeoPackage layer with a spatial index and a default style.

    Memory holds one batch at a time. The style is stored as QGIS stores it, in the table
    `layer_styles`, where GeoServer finds its SLD too. Dates in the file are 2000-01-01, so that the
    same segments give the same bytes.

    Parameters
    ----------
    path : pathlib.Path
        Where to write. A file that is there is replaced at the end.
    batches : iterable of geopandas.GeoDataFrame
        Polygons and multipolygons, which become multipolygons, with the same columns in every
        batch; `cluster` among them, which the style goes by.
    crs : anything that geopandas takes, or None
        None becomes GeoPackage's undefined Cartesian system.
    layer : str
    palette : mapping of cluster to (red, green, blue)
        0 to 255 each.
    names : mapping of cluster to str, optional

    Raises
    ------
    RunError
        If the file cannot be written whole, as on a full disk.
    """
    with replacing(path) as part, _ogr_options():
        count = 0
        for batch in _at_least_one(batches):
            with run_errors(path, *_ERRORS):
                _append(part, batch.set_crs(crs, allow_override=True), layer)
            count += len(batch)
        with run_errors(path, *_ERRORS), closing(sqlite3.connect(part)) as database:
            stored = database.execute(f'SELECT count(*) FROM "{layer}"').fetchone()[0]
            _add_style(database, layer, palette, names)
        if stored != count:
            raise DiskError(unwritable(path, f"{stored} of {count} polygons were stored"))


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
    style = (polygons_qml(_FIELD, palette, names), polygons_sld(_FIELD, palette, names))
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
    style = (polygons_qml(_FIELD, palette, names), polygons_sld(_FIELD, palette, names))
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
        [layer, _STYLE],
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
        [*style, layer, _STYLE],
    )


def _has_rows(database: sqlite3.Connection, layer: str) -> bool:
    """Whether there are polygons; a layer without any has not all attributes either."""
    return bool(database.execute(f'SELECT EXISTS (SELECT * FROM "{layer}")').fetchone()[0])


def read_attribute(
    path: Path, name: str, count: int, layer: str = "segments"
) -> NDArray[np.float64] | None:
    """Read a number of each segment, by id; None if the layer has no such attribute.

    Parameters
    ----------
    path : pathlib.Path
        What `write_segments_gpkg` wrote.
    name : str
        Of the attribute.
    count : int
        How many segments there are; 0 for those that the layer lacks.
    layer : str

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    values = np.zeros(count)
    try:
        with closing(sqlite3.connect(path)) as database:
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{layer}")')]
            if name not in columns:
                return None
            for segment, value in database.execute(f'SELECT segment_id, "{name}" FROM "{layer}"'):
                values[segment - 1] = value
    except sqlite3.Error as error:
        raise RunError(_unreadable(path, str(error))) from error
    return values


def read_geometries(
    path: Path, segments: Sequence[int], layer: str = "segments"
) -> dict[int, shapely.Geometry]:
    """Read the polygons of some segments, by id; those that the layer lacks are left out.

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    listed = ", ".join(map(str, segments)) or "NULL"
    try:
        found = pyogrio.read_dataframe(
            path, layer=layer, columns=["segment_id"], where=f"segment_id IN ({listed})"
        )
    except _ERRORS as error:
        raise RunError(_unreadable(path, " ".join(str(error).split()))) from error
    return dict(zip(found["segment_id"].tolist(), found.geometry, strict=True))


def check_closed(path: Path) -> None:
    """Make sure that a GeoPackage is there, and that no program keeps changes of it apart from it.

    Raises
    ------
    RunError
        If it is absent, or there are such changes.
    """
    if not path.is_file():
        raise RunError(_unreadable(path, "it is absent"))
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise RunError(
            f"{path}: another program is writing it ({log.name} lies beside it); "
            "close it there, and give the command again"
        )


def _unreadable(path: Path, reason: str) -> str:
    return (
        f"{path}: the segments cannot be read ({reason}); expected those of a finished run: "
        "run alps-geo label there again with --force"
    )


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


def _at_least_one(batches: Iterable[gpd.GeoDataFrame]) -> Iterator[gpd.GeoDataFrame]:
    """Give an empty batch where there is none: the layer exists all the same."""
    none = True
    for batch in batches:
        yield batch
        none = False
    if none:
        yield gpd.GeoDataFrame({"segment_id": [], _FIELD: []}, dtype="int64", geometry=[])


def _append(path: Path, batch: gpd.GeoDataFrame, layer: str) -> None:
    exists = path.exists()
    options = {} if exists else {"GEOMETRY_NAME": _GEOMETRY}
    if batch.crs is None and not exists:
        options["SRID"] = str(_UNDEFINED_CARTESIAN)
    if needs_wkt2(batch.crs):
        if not exists:
            create_layer(path, batch, layer, options)
        exists, options, batch = True, {}, batch.set_crs(None, allow_override=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_dataframe(
            batch,
            path,
            layer=layer,
            driver="GPKG",
            geometry_type="MultiPolygon",
            promote_to_multi=True,
            append=exists,
            layer_options=options,
        )


@contextmanager
def _ogr_options() -> Iterator[None]:
    """Fix the dates, and leave syncing to the end: a file that is cut short is thrown away."""
    wanted = {"OGR_CURRENT_DATE": _DATE, "OGR_SQLITE_SYNCHRONOUS": "OFF"}
    before = {name: pyogrio.get_gdal_config_option(name) for name in wanted}
    pyogrio.set_gdal_config_options(wanted)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def _add_style(
    database: sqlite3.Connection,
    layer: str,
    palette: Mapping[int, tuple[int, int, int]],
    names: Mapping[int, str] | None,
) -> None:
    """Add the table that QGIS makes when it saves a style, with one default style in it."""
    database.executescript(
        """
        CREATE TABLE layer_styles (
            "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
            "f_table_catalog" TEXT(256),
            "f_table_schema" TEXT(256),
            "f_table_name" TEXT(256),
            "f_geometry_column" TEXT(256),
            "styleName" TEXT(30),
            "styleQML" TEXT,
            "styleSLD" TEXT,
            "useAsDefault" BOOLEAN,
            "description" TEXT,
            "owner" TEXT(30),
            "ui" TEXT(30),
            "update_time" DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
        );
        CREATE TRIGGER "trigger_insert_feature_count_layer_styles"
        AFTER INSERT ON "layer_styles" BEGIN
            UPDATE gpkg_ogr_contents SET feature_count = feature_count + 1
            WHERE lower(table_name) = lower('layer_styles');
        END;
        CREATE TRIGGER "trigger_delete_feature_count_layer_styles"
        AFTER DELETE ON "layer_styles" BEGIN
            UPDATE gpkg_ogr_contents SET feature_count = feature_count - 1
            WHERE lower(table_name) = lower('layer_styles');
        END;
        """
    )
    database.execute("INSERT INTO gpkg_ogr_contents VALUES ('layer_styles', 0)")
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', ?, 0)",
        [_DATE],
    )
    database.execute(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
        "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner, "
        "update_time) VALUES ('', '', ?, ?, ?, ?, ?, 1, ?, '', ?)",
        [
            layer,
            _GEOMETRY,
            _STYLE,
            polygons_qml(_FIELD, palette, names),
            polygons_sld(_FIELD, palette, names),
            "One colour for each cluster",
            _DATE,
        ],
    )
    database.commit()
