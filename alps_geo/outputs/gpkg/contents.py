"""Digests of a GeoPackage of segments, which show that a person changed it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from alps_geo.outputs.gpkg.lock import connected, database_errors
from alps_geo.outputs.gpkg.update import LAYER, WRITTEN
from alps_geo.outputs.gpkg.write import STYLE

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@dataclass(frozen=True)
class Contents:
    """Columns, rows and extra tables of a GeoPackage, without SQLite's locks and counters.

    Attributes
    ----------
    columns : tuple of str
        Columns of the layer; none without it.
    features : int
        Number of rows of the layer.
    rows : str
        SHA-256 of all columns that do not depend on the clusters, geometries included.
    clusters : str
        SHA-256 of the columns `WRITTEN`.
    extras : tuple of str
        Tables and styles that alps-geo has not made.
    """

    columns: tuple[str, ...]
    features: int
    rows: str
    clusters: str
    extras: tuple[str, ...]


def read_contents(path: Path) -> Contents:
    """Read the contents of a GeoPackage.

    Raises
    ------
    DamagedDatabaseError
        If the file is damaged.
    RunError
        If it is absent, or another program holds it.
    """
    with connected(path) as database, database_errors(path):
        columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({LAYER})")]
        rows = [name for name in columns if name not in WRITTEN]
        clusters = [name for name in columns if name in WRITTEN]
        count = database.execute(f"SELECT count(*) FROM {LAYER}").fetchone()[0] if columns else 0
        return Contents(
            tuple(columns),
            count,
            _digest(database, rows),
            _digest(database, clusters),
            tuple(_extras(database)),
        )


def _digest(database: sqlite3.Connection, columns: list[str]) -> str:
    digest = sha256(repr(columns).encode())
    if columns:
        quoted = ", ".join('"{}"'.format(name.replace('"', '""')) for name in columns)
        for row in database.execute(f"SELECT {quoted} FROM {LAYER} ORDER BY rowid"):
            digest.update(repr([value for value in row if not isinstance(value, bytes)]).encode())
            for value in row:
                if isinstance(value, bytes):
                    digest.update(value)
    return digest.hexdigest()


def _extras(database: sqlite3.Connection) -> list[str]:
    tables = [
        name
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        )
    ]
    ours = (LAYER, "layer_styles")
    theirs = ("gpkg_", "rtree_", "sqlite_")
    found = [f"table {name}" for name in tables if not name.startswith(theirs) and name not in ours]
    if "layer_styles" in tables:
        styles = 'SELECT "styleName" FROM layer_styles WHERE "styleName" IS NOT ? ORDER BY id'
        found += [f"style {name}" for (name,) in database.execute(styles, [STYLE])]
    return found
