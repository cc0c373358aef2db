"""Digests of a GeoPackage of segments, which show that a person changed it."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from alps_geo.outputs.gpkg.layer_styles import (
    own_styles,
    read_style,
    style_digest,
    style_digests,
)
from alps_geo.outputs.gpkg.lock import connected, database_errors
from alps_geo.outputs.gpkg.update import CLASS_COLUMNS, CLASS_LAYER, LAYER, WRITTEN
from alps_geo.outputs.provenance import is_own_description
from alps_geo.outputs.styles import CLASS_STYLE, CLUSTER_STYLE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path


STYLES_BY_CLASS = (CLASS_STYLE, f"{CLASS_STYLE} of layer {CLASS_LAYER}")
"""Names in `Contents.styles` of the styles by class."""


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
        Tables, views, indexes, triggers and styles that alps-geo has not made, a description, and
        a style of ours that a person made the default.
    style : str or None
        SHA-256 of the style by cluster; None if it was removed, and in notes of earlier versions.
    classes : str or None
        SHA-256 of the columns of classes, and of their layer; None without classes.
    styles : mapping of str to str
        SHA-256 of our further styles, by their name; none in notes of earlier versions.
    """

    columns: tuple[str, ...]
    features: int
    rows: str
    clusters: str
    extras: tuple[str, ...]
    style: str | None = None
    classes: str | None = None
    styles: Mapping[str, str] = field(default_factory=dict)


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
        classes = [name for name in columns if name in CLASS_COLUMNS]
        columns = [name for name in columns if name not in classes]
        rows = [name for name in columns if name not in WRITTEN]
        clusters = [name for name in columns if name in WRITTEN]
        count = database.execute(f"SELECT count(*) FROM {LAYER}").fetchone()[0] if columns else 0
        style = read_style(database, LAYER, CLUSTER_STYLE)
        return Contents(
            tuple(columns),
            count,
            _digest(database, rows),
            _digest(database, clusters),
            tuple(_extras(database)),
            None if style is None else style_digest(*style),
            _class_digest(database, classes),
            further_styles(database),
        )


def changed_styles(noted: Contents, found: Contents) -> list[str]:
    """List our styles that a person has edited, removed or made under the name of one of ours."""
    changes = []
    if noted.style is not None and found.style != noted.style:
        changes.append(f"style {CLUSTER_STYLE} {'removed' if found.style is None else 'edited'}")
    for name in {**noted.styles, **found.styles}:
        if name not in noted.styles:
            # Earlier versions noted no styles by class.
            changes += [] if name in STYLES_BY_CLASS else [f"style {name} added"]
        elif name not in found.styles:
            changes.append(f"style {name} removed")
        elif found.styles[name] != noted.styles[name]:
            changes.append(f"style {name} edited")
    return changes


def further_styles(database: sqlite3.Connection) -> dict[str, str]:
    """Return the digests of all our styles but that by cluster, as in `Contents.styles`."""
    found = style_digests(database, LAYER)
    found.pop(CLUSTER_STYLE, None)
    of_classes = style_digests(database, CLASS_LAYER)
    return {**found, **{f"{name} of layer {CLASS_LAYER}": of_classes[name] for name in of_classes}}


def _class_digest(database: sqlite3.Connection, columns: list[str]) -> str | None:
    """Return the digest of the columns of classes and of their layer; None if there are none."""
    layer = [name for _, name, *_ in database.execute(f"PRAGMA table_info({CLASS_LAYER})")]
    if not columns and not layer:
        return None
    return _digest(database, columns) + _digest(database, layer, CLASS_LAYER)


def _digest(database: sqlite3.Connection, columns: list[str], layer: str = LAYER) -> str:
    digest = sha256(repr(columns).encode())
    if columns:
        quoted = ", ".join('"{}"'.format(name.replace('"', '""')) for name in columns)
        for row in database.execute(f"SELECT {quoted} FROM {layer} ORDER BY rowid"):
            digest.update(repr([value for value in row if not isinstance(value, bytes)]).encode())
            for value in row:
                if isinstance(value, bytes):
                    digest.update(value)
    return digest.hexdigest()


_DEFAULTS = ((CLUSTER_STYLE, LAYER), (CLASS_STYLE, CLASS_LAYER))

# Beginnings of names that GDAL, SQLite and the standard give to parts of a file.
_THEIRS = {
    "table": ("gpkg_", "rtree_", "sqlite_"),
    "index": ("sqlite_autoindex_",),
    "trigger": (
        "gpkg_",
        "rtree_",
        "trigger_insert_feature_count_",
        "trigger_delete_feature_count_",
    ),
    "view": (),
}


def _extras(database: sqlite3.Connection) -> list[str]:
    ours = (LAYER, CLASS_LAYER, "layer_styles")
    parts = database.execute("SELECT type, name FROM sqlite_master ORDER BY type, name").fetchall()
    found = [
        f"{kind} {name}"
        for kind, name in parts
        if not name.startswith(_THEIRS.get(kind, ())) and name not in ours
    ]
    if ("table", "layer_styles") in parts:
        query = 'SELECT "styleName", f_table_name, "useAsDefault" FROM layer_styles ORDER BY id'
        for name, layer, is_default in database.execute(query):
            if name not in own_styles():
                found.append(f"style {name}")
            elif is_default and (name, layer) not in _DEFAULTS:
                found.append(f"default style {name}")
    if ("table", "gpkg_contents") in parts:
        texts = "SELECT description FROM gpkg_contents WHERE table_name = ? AND description <> ''"
        described = [text for (text,) in database.execute(texts, [LAYER])]
        found += [f"description {text!r}" for text in described if not is_own_description(text)]
    return found
