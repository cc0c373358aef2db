"""GeoPackages of points whose class a person fills in, in QGIS."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pandas as pd
import pyogrio

from alps_geo.errors import DiskError
from alps_geo.files import replacing, run_errors, unwritable
from alps_geo.outputs.gpkg.wkt2 import VERSION, needs_wkt2
from alps_geo.outputs.gpkg.write import ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import geopandas as gpd

_GEOMETRY = "geom"
# GeoPackage's own number for a plane that is tied to no place.
_UNDEFINED_CARTESIAN = "-1"

# Longitude and latitude, for a CRS that pyogrio cannot hand to GDAL.
_ANYWHERE = "EPSG:4326"

_RING = {"name": "circle", "color": "255,255,255,0", "outline_color": "255,230,0,255", "size": "3"}
"""Look of a point: a ring, through which its pixel can be seen."""


def write_points_gpkg(
    path: Path, points: gpd.GeoDataFrame, layer: str, field: str, choices: Sequence[str]
) -> None:
    """Write points as a GeoPackage layer that QGIS opens with a list of choices for one column.

    Parameters
    ----------
    path : pathlib.Path
        File to write. One that is there is replaced at the end.
    points : geopandas.GeoDataFrame
        The points; without a CRS they get GeoPackage's undefined Cartesian system.
    layer : str
    field : str
        Column that is to be filled in.
    choices : sequence of str
        Values that QGIS offers for it; without any, it takes any text.

    Raises
    ------
    RunError
        If the file cannot be written whole, as on a full disk.
    """
    if needs_wkt2(points.crs):
        points = points.to_crs(_ANYWHERE)
    options = {"GEOMETRY_NAME": _GEOMETRY}
    if points.crs is None:
        options["SRID"] = _UNDEFINED_CARTESIAN
    with replacing(path) as part, run_errors(path, *ERRORS):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            pyogrio.write_dataframe(
                points,
                part,
                layer=layer,
                driver="GPKG",
                geometry_type="Point",
                dataset_options=VERSION,
                layer_options=options,
            )
        # QGIS finds styles in a table of this name, whichever program made it.
        style = pd.DataFrame([_style(layer, _points_qml(field, choices))])
        pyogrio.write_dataframe(style, part, layer="layer_styles", driver="GPKG", FID="id")
        stored = pyogrio.read_info(part, layer=layer, force_feature_count=True)["features"]
        if stored != len(points):
            raise DiskError(unwritable(path, f"{stored} of {len(points)} points were stored"))


def _style(layer: str, qml: str) -> dict[str, object]:
    """Describe a default style in the columns of QGIS."""
    return {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": layer,
        "f_geometry_column": _GEOMETRY,
        "styleName": layer,
        "styleQML": qml,
        "styleSLD": "",
        "useAsDefault": True,
        "description": "Points to be checked",
        "owner": "",
        # QGIS passes over a table of styles that lacks one of its columns.
        "ui": "",
        "update_time": "2000-01-01T00:00:00.000Z",
    }


def _points_qml(field: str, choices: Sequence[str]) -> str:
    """Style points as rings, with a form that lists the choices for a column."""
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology|Fields|Forms")
    renderer = ET.SubElement(root, "renderer-v2", type="singleSymbol", enableorderby="0")
    symbols = ET.SubElement(renderer, "symbols")
    symbol = ET.SubElement(symbols, "symbol", type="marker", name="0", alpha="1")
    marker = ET.SubElement(symbol, "layer", {"class": "SimpleMarker", "enabled": "1"})
    options = ET.SubElement(marker, "Option", type="Map")
    for name, value in _RING.items():
        ET.SubElement(options, "Option", type="QString", name=name, value=value)
    if choices:
        fields = ET.SubElement(root, "fieldConfiguration")
        widget = ET.SubElement(ET.SubElement(fields, "field", name=field), "editWidget")
        widget.set("type", "ValueMap")
        config = ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")
        listed = ET.SubElement(config, "Option", type="List", name="map")
        for choice in choices:
            entry = ET.SubElement(listed, "Option", type="Map")
            ET.SubElement(entry, "Option", type="QString", name=choice, value=choice)
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"
