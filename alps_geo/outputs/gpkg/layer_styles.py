"""Styles of layers in a GeoPackage, in the table in which QGIS looks for them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from alps_geo.outputs.fixed_styles import fixed_styles
from alps_geo.outputs.styles import CLASS_STYLE, CLUSTER_STYLE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from alps_geo.outputs.segment_styles import Style

# As QGIS makes it when it saves a style. SQLite stores the text as it is, indented as here.
_TABLE = """
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


def own_styles() -> tuple[str, ...]:
    """Return the names of the styles that alps-geo makes."""
    return (CLUSTER_STYLE, CLASS_STYLE, *(style.name for style in fixed_styles()))


def add_styles(
    database: sqlite3.Connection, columns: tuple[str, str], styles: Iterable[Style], date: str
) -> None:
    """Create the table of styles, with some for a layer.

    Parameters
    ----------
    database : sqlite3.Connection
        The file, which has no such table yet.
    columns : tuple of str
        The layer, and its column of geometries.
    styles : iterable of Style
        The styles, the default first.
    date : str
        Time of their last change.
    """
    database.executescript(_TABLE)
    database.execute("INSERT INTO gpkg_ogr_contents VALUES ('layer_styles', 0)")
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', ?, 0)",
        [date],
    )
    for number, style in enumerate(styles):
        insert_style(database, columns, style, date, is_default=int(number == 0))


def has_styles(database: sqlite3.Connection) -> bool:
    """Return True if the table of styles is there: a person may have removed it."""
    return bool(database.execute("PRAGMA table_info(layer_styles)").fetchall())


def insert_style(
    database: sqlite3.Connection, columns: tuple[str, str], style: Style, date: str, is_default: int
) -> None:
    """Insert a style.

    Parameters
    ----------
    database : sqlite3.Connection
        The file.
    columns : tuple of str
        The layer, and its column of geometries.
    style : Style
        The style.
    date : str
        Time of its last change.
    is_default : int
        1 for the style in which the layer is opened, else 0.
    """
    database.execute(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
        "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner, "
        "update_time) VALUES ('', '', ?, ?, ?, ?, ?, ?, ?, '', ?)",
        [*columns, style.name, style.qml, style.sld, is_default, style.description, date],
    )


def update_style(database: sqlite3.Connection, layer: str, style: Style, date: str) -> None:
    """Update a style where it still is, and differs, with the time of the change."""
    if has_styles(database):
        database.execute(
            'UPDATE layer_styles SET "styleQML" = ?1, "styleSLD" = ?2, update_time = ?5 '
            'WHERE f_table_name = ?3 AND "styleName" = ?4 '
            'AND ("styleQML", "styleSLD") IS NOT (?1, ?2)',
            [style.qml, style.sld, layer, style.name, date],
        )


def read_style(database: sqlite3.Connection, layer: str, name: str) -> tuple[str, str] | None:
    """Read QML and SLD of a style; None if it is not there."""
    if not has_styles(database):
        return None
    query = (
        'SELECT "styleQML", "styleSLD" FROM layer_styles '
        'WHERE f_table_name = ? AND "styleName" = ? ORDER BY id'
    )
    found: tuple[str, str] | None = database.execute(query, [layer, name]).fetchone()
    return found


def style_digest(qml: str, sld: str) -> str:
    """Return the SHA-256 of a style."""
    return sha256(repr((qml, sld)).encode()).hexdigest()


def style_digests(database: sqlite3.Connection, layer: str) -> dict[str, str]:
    """Return the SHA-256 of each style that alps-geo has made for a layer, by its name.

    It covers copies of the same name.
    """
    if not has_styles(database):
        return {}
    query = (
        'SELECT "styleName", "styleQML", "styleSLD" FROM layer_styles '
        "WHERE f_table_name = ? ORDER BY id"
    )
    rows: dict[str, list[tuple[object, ...]]] = {}
    for name, *row in database.execute(query, [layer]):
        if name in own_styles():
            rows.setdefault(name, []).append(tuple(row))
    return {name: sha256(repr(each).encode()).hexdigest() for name, each in rows.items()}
