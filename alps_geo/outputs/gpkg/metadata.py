"""Descriptions of the layers of a GeoPackage, where GDAL and QGIS look for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from alps_geo.outputs.provenance import Provenance, current_date

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

_TABLES = """
    CREATE TABLE gpkg_metadata (
        id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL,
        md_scope TEXT NOT NULL DEFAULT 'dataset',
        md_standard_uri TEXT NOT NULL,
        mime_type TEXT NOT NULL DEFAULT 'text/xml',
        metadata TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE gpkg_metadata_reference (
        reference_scope TEXT NOT NULL,
        table_name TEXT,
        column_name TEXT,
        row_id_value INTEGER,
        timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
        md_file_id INTEGER NOT NULL,
        md_parent_id INTEGER,
        CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id),
        CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id)
    );
"""

_DEFINITION = "http://www.geopackage.org/spec120/#extension_metadata"

# Standards by which GDAL and QGIS know metadata of their own.
_GDAL, _QGIS = "http://gdal.org", "http://mrcc.com/qgis.dtd"


@dataclass(frozen=True)
class About:
    """Description of a layer.

    Attributes
    ----------
    title : str
        The layer in a few words; empty for a layer that is not described.
    text : str
        One sentence on it.
    items : mapping of str to str
        Further values by name.
    scene : str
        Name of the scene.
    date : str
        Date of the file, in UTC by ISO 8601.
    """

    title: str = ""
    text: str = ""
    items: Mapping[str, str] = field(default_factory=dict)
    scene: str = ""
    date: str = field(default_factory=current_date)

    @classmethod
    def of(cls, origin: Provenance, scene: str, subject: str) -> About:
        """Describe a layer of a scene; `subject` is its content, such as Segments."""
        return cls(
            f"{subject} of {scene}",
            origin.describe(scene, subject) if origin.software else "",
            origin.items(scene),
            scene,
            origin.date or current_date(),
        )


def timestamp(date: str) -> str:
    """Return a date in UTC by ISO 8601 as GeoPackages store it.

    >>> timestamp("2026-01-01T00:00:00Z")
    '2026-01-01T00:00:00.000Z'
    """
    return f"{date.removesuffix('Z')}.000Z"


def describe_layer(database: sqlite3.Connection, layer: str, about: About) -> None:
    """Describe a layer that has no description yet, in one transaction of the caller."""
    if not about.text:
        return
    database.execute(
        "UPDATE gpkg_contents SET description = ? WHERE table_name = ?", [about.text, layer]
    )
    if not database.execute("PRAGMA table_info(gpkg_metadata)").fetchall():
        for statement in _TABLES.split(";")[:-1]:
            database.execute(statement)
        database.executemany(
            "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_metadata', ?, 'read-write')",
            [("gpkg_metadata", _DEFINITION), ("gpkg_metadata_reference", _DEFINITION)],
        )
    for standard, text in ((_GDAL, _for_gdal(about)), (_QGIS, _for_qgis(about))):
        found = database.execute(
            "INSERT INTO gpkg_metadata (md_standard_uri, metadata) VALUES (?, ?)", [standard, text]
        )
        database.execute(
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, timestamp, "
            "md_file_id) VALUES ('table', ?, ?, ?)",
            [layer, timestamp(about.date), found.lastrowid],
        )


def _for_gdal(about: About) -> str:
    root = ET.Element("GDALMultiDomainMetadata")
    items = ET.SubElement(root, "Metadata")
    for name, value in about.items.items():
        ET.SubElement(items, "MDI", key=name).text = value
    return ET.tostring(root, encoding="unicode")


def _for_qgis(about: About) -> str:
    root = ET.Element("qgis", version="3.22.0")
    values = {
        "identifier": about.title,
        "type": "dataset",
        "title": about.title,
        "abstract": about.text,
    }
    for name, value in values.items():
        ET.SubElement(root, name).text = value
    for name, value in about.items.items():
        ET.SubElement(root, "history").text = f"{name}: {value}"
    return ET.tostring(root, encoding="unicode")
