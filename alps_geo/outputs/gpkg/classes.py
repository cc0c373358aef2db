"""Classes of the segments in a GeoPackage, written in place: columns, a style and a layer.

The work is part of the transaction of a locked file: see `alps_geo.outputs.gpkg.update`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import shapely

from alps_geo.errors import RunError
from alps_geo.outputs.gpkg.layer_styles import (
    has_styles,
    insert_style,
    read_style,
    update_style,
)
from alps_geo.outputs.gpkg.lock import database_errors
from alps_geo.outputs.gpkg.metadata import timestamp
from alps_geo.outputs.gpkg.update import (
    CLASS_COLUMNS,
    CLASS_LAYER,
    LAYER,
    SPACES,
    LockedSegments,
    set_changed,
    without_triggers,
)
from alps_geo.outputs.gpkg.write import GEOMETRY
from alps_geo.outputs.styles import CLASS_STYLE, class_style

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.clusters.legend import Legend

# Little endian, with an envelope of x and y: the header of a geometry in a GeoPackage.
_HEADER, _FLAGS = struct.Struct("<2sBBi4d"), 0b00000011

# Spaces around the name of a class are no part of it.
_TRIMMED = f"trim(feature.class, {SPACES})"


@dataclass(frozen=True)
class GivenClasses:
    """Classes of the segments of a scene; row i is that of segment id i + 1.

    Attributes
    ----------
    names : ndarray of object, shape (n,)
        Names of the classes.
    confidence, margin : ndarray of float64, shape (n,)
        Probabilities: see `alps_geo.runs.classes.SegmentClasses`.
    """

    names: NDArray[np.object_]
    confidence: NDArray[np.float64]
    margin: NDArray[np.float64]


@dataclass(frozen=True)
class Dissolved:
    """Regions of the classes of a scene, one row for each class that it has.

    Attributes
    ----------
    names : tuple of str
        Names of the classes.
    ids : tuple of int
        Their ids.
    geometry : ndarray of shapely.MultiPolygon, shape (k,)
        Their regions.
    measures : mapping of str to ndarray of float64, shape (k,)
        Area and perimeter under the names of their columns.
    segments : tuple of int
        Their segments.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    geometry: NDArray[np.object_]
    measures: Mapping[str, NDArray[np.float64]]
    segments: tuple[int, ...]


def edited_classes(
    locked: LockedSegments, before: GivenClasses | None, after: GivenClasses
) -> tuple[int, str]:
    """Find segments whose class a person has edited, and prepare their update.

    Parameters
    ----------
    locked : LockedSegments
        The file.
    before : GivenClasses or None
        Classes as they were written; None for none. A feature with either is not edited: a change
        that was cut short may have reached it or not.
    after : GivenClasses
        Classes to write.

    Returns
    -------
    count : int
        Number of segments.
    first : str
        Sentence on the first of them; empty if there is none.
    """
    locked.check_columns(["segment_id"] if len(after.names) else [])
    execute = locked.database.execute
    with database_errors(locked.path):
        execute(
            "CREATE TEMP TABLE given_class (id INTEGER PRIMARY KEY, old TEXT, name TEXT, "
            "confidence REAL, margin REAL)"
        )
        old = [None] * len(after.names) if before is None else before.names.tolist()
        locked.database.executemany(
            "INSERT INTO given_class VALUES (?, ?, ?, ?, ?)",
            zip(
                range(1, len(after.names) + 1),
                old,
                after.names.tolist(),
                after.confidence.tolist(),
                after.margin.tolist(),
                strict=True,
            ),
        )
        execute("CREATE TEMP TABLE own_class (row INTEGER PRIMARY KEY, id INTEGER NOT NULL)")
        execute(
            f"INSERT INTO own_class SELECT min(feature.rowid), given_class.id "
            f"FROM {LAYER} feature, given_class "
            "WHERE feature.segment_id = given_class.id GROUP BY given_class.id"
        )
        if "class" not in _columns(locked.database, LAYER):
            return 0, ""
        edited = (
            f"FROM {LAYER} feature, own_class own, given_class given "
            "WHERE own.row = feature.rowid AND given.id = own.id "
            f"AND ({_TRIMMED} IS NULL OR {_TRIMMED} NOT IN (ifnull(given.old, ''), given.name)) "
            "AND ifnull(feature.class, '') <> ifnull(given.old, '')"
        )
        count = execute(f"SELECT count(*) {edited}").fetchone()[0]
        first = execute(
            f"SELECT given.id, feature.class, given.old {edited} ORDER BY given.id LIMIT 1"
        ).fetchone()
    return int(count), "" if first is None else _sentence(*first)


def write_classes(
    locked: LockedSegments, legend: Legend, dissolved: Dissolved, area_unit: str, date: str
) -> None:
    """Write the classes that `edited_classes` has prepared, their style and their regions.

    The style by cluster stays the default of the segments.

    Parameters
    ----------
    locked : LockedSegments
        The file.
    legend : Legend
        The classes.
    dissolved : Dissolved
        Their regions.
    area_unit : str
        Unit of the measures in the file: m2 or px.
    date : str
        Date of the change, in UTC by ISO 8601.

    Raises
    ------
    RunError
        If there is no room for it, or a person has a layer of that name.
    """
    database = locked.database
    with database_errors(locked.path), without_triggers(database):
        for name, kind in CLASS_COLUMNS.items():
            if name not in _columns(database, LAYER):
                database.execute(f'ALTER TABLE {LAYER} ADD COLUMN "{name}" {kind}')
        database.execute(
            f"UPDATE {LAYER} SET class = given.name, class_confidence = given.confidence, "
            "class_margin = given.margin FROM own_class own, given_class given "
            f"WHERE {LAYER}.rowid = own.row AND given.id = own.id"
        )
    _write_layer(locked, dissolved, area_unit, date)
    with database_errors(locked.path):
        set_changed(database, LAYER, date)
        for layer, is_default in ((LAYER, 0), (CLASS_LAYER, 1)):
            _write_style(database, layer, legend, is_default, date)


def remove_prepared(locked: LockedSegments) -> None:
    """Drop the tables that `edited_classes` has made."""
    for name in ("given_class", "own_class"):
        locked.database.execute(f"DROP TABLE IF EXISTS temp.{name}")


def _columns(database: sqlite3.Connection, layer: str) -> list[str]:
    return [name for _, name, *_ in database.execute(f"PRAGMA table_info({layer})")]


def _sentence(segment: int, found: str | None, given: str | None) -> str:
    was = "NULL" if given is None else repr(given)
    return f"class of segment {segment} is {found!r}, and the run gave {was}"


def _write_layer(locked: LockedSegments, dissolved: Dissolved, area_unit: str, date: str) -> None:
    """Write the layer of the regions again."""
    database = locked.database
    with database_errors(locked.path):
        srs = database.execute(
            "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = ?", [LAYER]
        ).fetchone()[0]
        _make_layer(locked, srs, area_unit)
        database.execute(f"DELETE FROM {CLASS_LAYER}")
        rows = zip(
            dissolved.geometry,
            dissolved.names,
            dissolved.ids,
            *(values.tolist() for values in dissolved.measures.values()),
            dissolved.segments,
            strict=True,
        )
        database.executemany(
            f"INSERT INTO {CLASS_LAYER} VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((row, _blob(shape, srs), *rest) for row, (shape, *rest) in enumerate(rows, start=1)),
        )
        _register(database, dissolved, srs, date)


def _make_layer(locked: LockedSegments, srs: int, area_unit: str) -> None:
    """Make the layer of the regions, if it is not there.

    Raises
    ------
    RunError
        If a person has made a layer of its name.
    """
    fields = {
        "class": "TEXT",
        "class_id": "MEDIUMINT",
        f"area_{area_unit}": "REAL",
        "perimeter_m" if area_unit == "m2" else "perimeter_px": "REAL",
        "segments": "MEDIUMINT",
    }
    found = _columns(locked.database, CLASS_LAYER)
    if found == ["fid", GEOMETRY, *fields]:
        return
    if found:
        raise RunError(
            f"{locked.path}: has a layer {CLASS_LAYER} of somebody else, which would be "
            "replaced; give it another name, and give the command again"
        )
    columns = ", ".join(f'"{name}" {kind}' for name, kind in fields.items())
    locked.database.execute(
        f'CREATE TABLE {CLASS_LAYER} ("fid" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, '
        f'"{GEOMETRY}" MULTIPOLYGON, {columns})'
    )
    locked.database.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, ?, 'MULTIPOLYGON', ?, 0, 0)",
        [CLASS_LAYER, GEOMETRY, srs],
    )


def _register(database: sqlite3.Connection, dissolved: Dissolved, srs: int, date: str) -> None:
    """Enter the layer in the contents of the file, with its bounds."""
    bounds = [None] * 4
    if len(dissolved.geometry):
        bounds = shapely.total_bounds(dissolved.geometry).tolist()
    database.execute("DELETE FROM gpkg_contents WHERE table_name = ?", [CLASS_LAYER])
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, "
        "min_x, min_y, max_x, max_y, srs_id) VALUES (?1, 'features', ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [CLASS_LAYER, timestamp(date), *bounds, srs],
    )


def _blob(geometry: shapely.MultiPolygon, srs: int) -> bytes:
    """Return a geometry as GeoPackage stores it: a header, and well-known binary."""
    left, bottom, right, top = geometry.bounds
    header = _HEADER.pack(b"GP", 0, _FLAGS, srs, left, right, bottom, top)
    return header + bytes(shapely.to_wkb(geometry, byte_order=1))


def _write_style(
    database: sqlite3.Connection, layer: str, legend: Legend, is_default: int, date: str
) -> None:
    """Write a style by class for a layer, unless a person has removed the table of styles."""
    style, time = class_style(legend, layer), timestamp(date)
    if read_style(database, layer, CLASS_STYLE) is not None:
        update_style(database, layer, style, time)
    elif has_styles(database):
        insert_style(database, (layer, GEOMETRY), style, time, is_default)
