"""Layers in a CRS that WKT 1 cannot express, with ellipsoidal heights or a rotated pole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyogrio.raw
from pyproj.enums import WktVersion
from pyproj.exceptions import CRSError

VERSION = {"VERSION": "1.3"}
"""Options of GDAL for new files: readers before GDAL 3.7, as in QGIS 3.22, warn of version 1.4."""

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import geopandas as gpd
    from pyproj import CRS


def needs_wkt2(crs: CRS | None) -> bool:
    """Return True if a CRS can be named neither by an EPSG code nor in WKT 1."""
    if crs is None or crs.to_epsg() is not None:
        return False
    try:
        crs.to_wkt(WktVersion.WKT1_GDAL)
    except CRSError:
        return True
    return False


def create_layer(
    path: Path, like: gpd.GeoDataFrame, layer: str, options: Mapping[str, str]
) -> None:
    """Create a GeoPackage layer of multipolygons without features, its CRS given in WKT 2.

    `pyogrio.write_dataframe` passes the CRS on in WKT 1 alone; features that it appends take the
    layer's. GDAL stores the CRS by GeoPackage's extension for WKT 2 (gpkg_crs_wkt).

    Parameters
    ----------
    path : pathlib.Path
        File to write, which does not exist yet.
    like : geopandas.GeoDataFrame
        Frame with the columns and the CRS of the layer.
    layer : str
    options : mapping of str to str
        Layer creation options of GDAL.
    """
    columns = like.iloc[:0].drop(columns=like.geometry.name)
    pyogrio.raw.write(
        path,
        geometry=np.empty(0, object),
        field_data=[columns[name].to_numpy() for name in columns],
        fields=list(columns),
        layer=layer,
        driver="GPKG",
        geometry_type="MultiPolygon",
        crs=like.crs.to_wkt(WktVersion.WKT2_2019),
        dataset_options=dict(VERSION),
        layer_options=dict(options),
    )
