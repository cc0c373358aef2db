"""The version of GeoPackages, which programs of before 2023 read without a warning."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from alps_geo.clusters.legend import Legend
from alps_geo.outputs.gpkg.points import write_points_gpkg
from alps_geo.outputs.gpkg.write import write_layer, write_segments_gpkg
from alps_geo.outputs.styles import cluster_style

# A rotated pole, which WKT 1 cannot express.
ROTATED = (
    'GEOGCRS["rotated",BASEGEOGCRS["WGS 84",DATUM["World Geodetic System 1984",'
    'ELLIPSOID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0]],'
    'DERIVINGCONVERSION["Pole rotation",METHOD["PROJ ob_tran o_proj=longlat"],'
    'PARAMETER["o_lon_p",-162,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["o_lat_p",39.25,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["lon_0",180,ANGLEUNIT["degree",0.0174532925199433]]],'
    'CS[ellipsoidal,2],AXIS["longitude",east,ORDER[1]],AXIS["latitude",north,ORDER[2]],'
    'ANGLEUNIT["degree",0.0174532925199433]]'
)
STYLE = cluster_style(Legend({1: (1, 2, 3)}, {}))
SYSTEMS = ("EPSG:32633", None, ROTATED)


def frame(crs: str | None) -> gpd.GeoDataFrame:
    columns = {"segment_id": [1], "cluster": [1]}
    return gpd.GeoDataFrame(columns, geometry=[shapely.box(0, 0, 1, 1)], crs=crs)


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("crs", SYSTEMS)
def test_files_declare_version_1_3(tmp_path: Path, crs: str | None) -> None:
    segments, layer, points = (
        tmp_path / f"{name}.gpkg" for name in ("segments", "layer", "points")
    )
    write_segments_gpkg(segments, [frame(crs), frame(crs)], crs=crs, style=STYLE)
    write_layer(layer, frame(crs), "near")
    centres = frame(crs).set_geometry([shapely.Point(0.5, 0.5)], crs=crs)
    write_points_gpkg(points, centres, "points", "cluster", ["1"])
    assert [version(path) for path in (segments, layer, points)] == [10300] * 3


def test_gdal_of_qgis_reads_them_without_a_warning(tmp_path: Path) -> None:
    if (ogrinfo := shutil.which("ogrinfo")) is None:
        pytest.skip("there is no GDAL of the system, whose ogrinfo would read the file")
    path = tmp_path / "segments.gpkg"
    write_segments_gpkg(path, [frame("EPSG:32633")], crs="EPSG:32633", style=STYLE)
    found = subprocess.run([ogrinfo, "-so", path, "segments"], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert "Feature Count: 1" in found.stdout
