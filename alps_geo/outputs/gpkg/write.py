"""GeoPackages of segments that QGIS opens in their clusters' colours."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from alps_geo.errors import DiskError
from alps_geo.files import gdal_error, replacing, run_errors, unwritable
from alps_geo.outputs.fixed_styles import fixed_styles
from alps_geo.outputs.gpkg.layer_styles import add_styles
from alps_geo.outputs.gpkg.lock import settle
from alps_geo.outputs.gpkg.metadata import About, describe_layer, timestamp
from alps_geo.outputs.gpkg.wkt2 import VERSION, create_layer, needs_wkt2
from alps_geo.outputs.provenance import current_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import geopandas as gpd

    from alps_geo.outputs.segment_styles import Style

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
    style: Style,
    about: About | None = None,
) -> None:
    """Write segments as a GeoPackage layer with a spatial index, a default style and further ones.

    Memory holds one batch at a time. Styles are stored as QGIS stores them, in the table
    `layer_styles`, where GeoServer finds their SLD too. All dates in the file are that of `about`,
    so that the same segments give the same bytes.

    Parameters
    ----------
    path : pathlib.Path
        File to write. One that is there is replaced at the end.
    batches : iterable of geopandas.GeoDataFrame
        At least one, which may be empty. Polygons and multipolygons, which become multipolygons,
        with the same columns in every batch; those that the styles show are among them.
    crs : anything that geopandas takes, or None
        None becomes GeoPackage's undefined Cartesian system.
    layer : str
    style : Style
        The default style.
    about : About, optional
        Description of the layer, and the date of the file; by default none, and now.

    Raises
    ------
    RunError
        If the file cannot be written whole, as on a full disk.
    """
    styles = (style, *fixed_styles())
    write_styled_layer(path, batches, layer, styles, crs=crs, about=about or About())


def write_styled_layer(
    path: Path,
    batches: Iterable[gpd.GeoDataFrame],
    layer: str,
    styles: Iterable[Style],
    *,
    crs: object | None,
    about: About,
) -> None:
    """Write polygons as `write_segments_gpkg` does, with styles of their own, the default first.

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
            add_styles(database, (layer, GEOMETRY), styles, timestamp(about.date))
            describe_layer(database, layer, about)
            database.commit()
        if stored != count:
            raise DiskError(unwritable(path, f"{stored} of {count} polygons were stored"))


def write_layer(
    path: Path, frame: gpd.GeoDataFrame, layer: str, style: Style | None = None
) -> None:
    """Write polygons as the only layer of a GeoPackage, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        File to write. One that is there is replaced at the end.
    frame : geopandas.GeoDataFrame
        Polygons and multipolygons, which become multipolygons, with their CRS or without.
    layer : str
    style : Style, optional
        The style in which QGIS opens it; by default one that QGIS chooses.

    Raises
    ------
    RunError
        If the file cannot be written whole, or another program holds the one that is there.
    """
    if path.is_file():
        settle(path)
    date = current_date()
    with replacing(path) as part, _ogr_options(date), run_errors(path, *ERRORS):
        _append(part, frame, layer)
        if style is not None:
            with closing(sqlite3.connect(part)) as database:
                add_styles(database, (layer, GEOMETRY), [style], timestamp(date))
                database.commit()


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
