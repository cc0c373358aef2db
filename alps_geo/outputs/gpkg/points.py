"""GeoPackages of points whose class a person fills in, in QGIS."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from typing import TYPE_CHECKING

import pyogrio

from alps_geo.errors import DiskError
from alps_geo.files import replacing, run_errors, unwritable
from alps_geo.outputs.fill_in_styles import points_style
from alps_geo.outputs.gpkg.layer_styles import add_styles
from alps_geo.outputs.gpkg.metadata import timestamp
from alps_geo.outputs.gpkg.wkt2 import VERSION, needs_wkt2
from alps_geo.outputs.gpkg.write import ERRORS
from alps_geo.outputs.provenance import current_date

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import geopandas as gpd

_GEOMETRY = "geom"
# GeoPackage's own number for a plane that is tied to no place.
_UNDEFINED_CARTESIAN = "-1"

# Longitude and latitude, for a CRS that pyogrio cannot hand to GDAL.
_ANYWHERE = "EPSG:4326"


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
        time = timestamp(current_date())
        with closing(sqlite3.connect(part)) as database:
            add_styles(database, (layer, _GEOMETRY), [points_style(layer, field, choices)], time)
            database.commit()
        stored = pyogrio.read_info(part, layer=layer, force_feature_count=True)["features"]
        if stored != len(points):
            raise DiskError(unwritable(path, f"{stored} of {len(points)} points were stored"))
