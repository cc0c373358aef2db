"""GeoPackages of segments that QGIS opens in their clusters' colours."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from alps_geo.errors import DiskError
from alps_geo.files import gdal_error, replacing, run_errors, unwritable
from alps_geo.outputs.gpkg.lock import settle
from alps_geo.outputs.gpkg.metadata import About, describe_layer, timestamp
from alps_geo.outputs.gpkg.wkt2 import VERSION, create_layer, needs_wkt2
from alps_geo.outputs.provenance import current_date
from alps_geo.outputs.styles import polygons_qml, polygons_sld

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import geopandas as gpd

    from alps_geo.clusters.colors import Color

FIELD = "cluster"
"""Attribute that the style shows."""

STYLE = "clusters"
"""Name of the style in `layer_styles`."""

ERRORS = (DataLayerError, DataSourceError, gdal_error("pyogrio"), sqlite3.Error)
"""Errors of the libraries that read and write GeoPackages."""

GEOMETRY = "geom"
"""Column of the geometries."""

# GeoPackage's own number for a plane that is tied to no place.
_UNDEFINED_CARTESIAN = -1


def write_segments_gpkg(
    path: Path,
    batches: Iterable[gpd.GeoDataFrame],
    *,
    crs: object | None,
    layer: str = "segments",
    palette: Mapping[int, Color],
    names: Mapping[int, str] | None = None,
    about: About | None = None,
) -> None:
    """Write segments as a GeoPackage layer with a spatial index and a default style.

    Memory holds one batch at a time. The style is stored as QGIS stores it, in the table
    `layer_styles`, where GeoServer finds its SLD too. All dates in the file are that of `about`, so
    that the same segments give the same bytes.

    Parameters
    ----------
    path : pathlib.Path
        File to write. One that is there is replaced at the end.
    batches : iterable of geopandas.GeoDataFrame
        At least one, which may be empty. Polygons and multipolygons, which become multipolygons,
        with the same columns in every batch; `cluster` among them, which the style shows.
    crs : anything that geopandas takes, or None
        None becomes GeoPackage's undefined Cartesian system.
    layer : str
    palette : mapping of cluster to (red, green, blue)
        0 to 255 each.
    names : mapping of cluster to str, optional
    about : About, optional
        Description of the layer, and the date of the file; by default none, and now.

    Raises
    ------
    RunError
        If the file cannot be written whole, as on a full disk.
    """
    style = LayerStyle(FIELD, palette, names)
    write_styled_layer(path, batches, layer, style, crs=crs, about=about or About())


@dataclass(frozen=True)
class LayerStyle:
    """Style of a layer by one of its attributes.

    Attributes
    ----------
    field : str
        The attribute.
    palette : mapping of int to (red, green, blue)
        Colours of clusters or classes, 0 to 255 each.
    names : mapping of int to str, optional
    by_name : bool
        True if the attribute holds names, not numbers.
    """

    field: str
    palette: Mapping[int, Color]
    names: Mapping[int, str] | None = None
    by_name: bool = False

    @property
    def texts(self) -> tuple[str, str]:
        """QML and SLD of the style."""
        return (
            polygons_qml(self.field, self.palette, self.names, by_name=self.by_name),
            polygons_sld(self.field, self.palette, self.names, by_name=self.by_name),
        )


def write_styled_layer(
    path: Path,
    batches: Iterable[gpd.GeoDataFrame],
    layer: str,
    style: LayerStyle,
    *,
    crs: object | None,
    about: About,
) -> None:
    """Write polygons as `write_segments_gpkg` does, with a style by any of their attributes.

    Raises
    ------
    RunError
        If the file cannot be written whole, as on a full disk.
    """
    with replacing(path) as part, _ogr_options(about.date):
        count = 0
        for batch in batches:
            with run_errors(path, *ERRORS):
                _append(part, batch.set_crs(crs, allow_override=True), layer)
            count += len(batch)
        with run_errors(path, *ERRORS), closing(sqlite3.connect(part)) as database:
            stored = database.execute(f'SELECT count(*) FROM "{layer}"').fetchone()[0]
            _add_style(database, layer, style, timestamp(about.date))
            describe_layer(database, layer, about)
            database.commit()
        if stored != count:
            raise DiskError(unwritable(path, f"{stored} of {count} polygons were stored"))


def write_layer(path: Path, frame: gpd.GeoDataFrame, layer: str) -> None:
    """Write polygons as the only layer of a GeoPackage, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        File to write. One that is there is replaced at the end.
    frame : geopandas.GeoDataFrame
        Polygons and multipolygons, which become multipolygons, with their CRS or without.
    layer : str

    Raises
    ------
    RunError
        If the file cannot be written whole, or another program holds the one that is there.
    """
    if path.is_file():
        settle(path)
    with replacing(path) as part, _ogr_options(current_date()), run_errors(path, *ERRORS):
        _append(part, frame, layer)


def _append(path: Path, batch: gpd.GeoDataFrame, layer: str) -> None:
    exists = path.exists()
    options = {} if exists else {"GEOMETRY_NAME": GEOMETRY}
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
            dataset_options={} if exists else VERSION,
            layer_options=options,
        )


@contextmanager
def _ogr_options(date: str) -> Iterator[None]:
    """Fix the dates, and sync at the end only: a file that is cut short is removed."""
    wanted = {"OGR_CURRENT_DATE": timestamp(date), "OGR_SQLITE_SYNCHRONOUS": "OFF"}
    before = {name: pyogrio.get_gdal_config_option(name) for name in wanted}
    pyogrio.set_gdal_config_options(wanted)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


# As QGIS makes it when it saves a style. SQLite stores the text as it is, indented as here.
_STYLE_TABLE = """
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


def _add_style(database: sqlite3.Connection, layer: str, style: LayerStyle, date: str) -> None:
    """Add QGIS's table of styles, with one default style in it."""
    database.executescript(_STYLE_TABLE)
    database.execute("INSERT INTO gpkg_ogr_contents VALUES ('layer_styles', 0)")
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', ?, 0)",
        [date],
    )
    database.execute(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
        "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner, "
        "update_time) VALUES ('', '', ?, ?, ?, ?, ?, 1, ?, '', ?)",
        [
            layer,
            GEOMETRY,
            "classes" if style.by_name else STYLE,
            *style.texts,
            f"One colour for each {style.field}",
            date,
        ],
    )
