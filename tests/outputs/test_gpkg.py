"""GeoPackages: every polygon stored, the style where QGIS looks for it, the same bytes again."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio.features
import shapely
from helpers import DATA, disk_of
from rasterio.crs import CRS
from scipy import ndimage

from alps_geo.clusters.legend import Legend
from alps_geo.errors import RunError
from alps_geo.outputs.gpkg.write import write_segments_gpkg
from alps_geo.outputs.polygons import polygonize
from alps_geo.outputs.styles import cluster_style

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from affine import Affine
    from numpy.typing import NDArray

PALETTE = {1: (200, 30, 40), 2: (10, 220, 90), 3: (1, 2, 3)}
NAMES = {2: "fields & <woods>, Wälder"}
SE = "{http://www.opengis.net/se}"
OGC = "{http://www.opengis.net/ogc}"


def real_segments() -> tuple[NDArray[np.uint32], CRS, Affine]:
    with rasterio.open(DATA / "sentinel2_uint16_4band.tif") as scene:
        band = ndimage.uniform_filter(scene.read(1)[:256, :256].astype(float), 7)
        dark, _ = ndimage.label(band < np.median(band))
        return dark.astype(np.uint32), scene.crs, scene.transform


SEGMENTS, UTM, TRANSFORM = real_segments()


def batches(crs: CRS | None = UTM) -> Iterator[gpd.GeoDataFrame]:
    height, width = SEGMENTS.shape
    found = polygonize(
        lambda start, stop: SEGMENTS[start:stop], (height, width), TRANSFORM, strip=64
    )
    for batch in found:
        yield gpd.GeoDataFrame(
            {
                "segment_id": batch.segment_id,
                "cluster": (batch.segment_id % 3 + 1).astype(np.int32),
                "area_m2": shapely.area(batch.geometry),
            },
            geometry=batch.geometry,
            crs=crs,
        )


def write(path: Path, frames: Iterable[gpd.GeoDataFrame], crs: CRS | None = UTM) -> None:
    style = cluster_style(Legend(PALETTE, NAMES))
    write_segments_gpkg(path, frames, crs=crs, style=style)


def style_of(path: Path) -> sqlite3.Row:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT * FROM layer_styles WHERE useAsDefault").fetchall()
    assert len(rows) == 1
    style: sqlite3.Row = rows[0]
    return style


def test_every_segment_of_every_batch_is_there(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    assert len(list(batches())) > 1
    write(path, batches())
    read = gpd.read_file(path, layer="segments")
    assert sorted(read["segment_id"]) == list(range(1, SEGMENTS.max() + 1))
    assert (read["cluster"] == read["segment_id"] % 3 + 1).all()
    assert read.crs == UTM
    back = rasterio.features.rasterize(
        zip(read.geometry, read["segment_id"], strict=True),
        out_shape=SEGMENTS.shape,
        transform=TRANSFORM,
        dtype="uint32",
    )
    assert np.array_equal(back, SEGMENTS)


def test_geometries_are_multipolygons_with_an_index(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches())
    info = pyogrio.read_info(path, layer="segments")
    assert info["geometry_type"] == "MultiPolygon"
    assert info["capabilities"]["fast_spatial_filter"]
    west, _, _, north = info["total_bounds"]
    corner = (west, north - 200, west + 200, north)
    near = gpd.read_file(path, layer="segments", bbox=corner)
    assert 0 < len(near) < info["features"]


def test_single_polygons_become_multipolygons(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    frame = gpd.GeoDataFrame(
        {"segment_id": [1], "cluster": [1]}, geometry=[shapely.box(0, 0, 1, 1)]
    )
    write(path, [frame])
    assert gpd.read_file(path, layer="segments").geom_type.tolist() == ["MultiPolygon"]


def test_the_style_is_registered_as_qgis_does_it(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches())
    style = style_of(path)
    assert style.keys() == [
        "id",
        "f_table_catalog",
        "f_table_schema",
        "f_table_name",
        "f_geometry_column",
        "styleName",
        "styleQML",
        "styleSLD",
        "useAsDefault",
        "description",
        "owner",
        "ui",
        "update_time",
    ]
    assert (style["f_table_catalog"], style["f_table_schema"]) == ("", "")
    assert (style["f_table_name"], style["f_geometry_column"]) == ("segments", "geom")
    assert style["useAsDefault"] == 1
    with closing(sqlite3.connect(path)) as database:
        contents = database.execute("SELECT table_name, data_type FROM gpkg_contents").fetchall()
        columns = database.execute("SELECT column_name FROM gpkg_geometry_columns").fetchall()
        counts = database.execute("SELECT * FROM gpkg_ogr_contents").fetchall()
    assert contents == [("segments", "features"), ("layer_styles", "attributes")]
    assert columns == [("geom",)]
    assert dict(counts) == {"segments": SEGMENTS.max(), "layer_styles": 4}


def test_qgis_gets_one_category_for_each_cluster(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches())
    renderer = next(ET.fromstring(style_of(path)["styleQML"]).iter("renderer-v2"))
    assert renderer.get("type") == "categorizedSymbol"
    assert renderer.get("attr") == "cluster"
    fills = {
        symbol.get("name"): option.get("value")
        for symbol in renderer.iter("symbol")
        for option in symbol.iter("Option")
        if option.get("name") == "color"
    }
    assert [
        (each.get("value"), each.get("label"), fills[each.get("symbol")])
        for each in renderer.iter("category")
    ] == [
        ("1", "1", "200,30,40,255"),
        ("2", f"{NAMES[2]} (2)", "10,220,90,255"),
        ("3", "3", "1,2,3,255"),
        ("", "all other values", "128,128,128,255"),
    ]


def test_other_programs_get_the_same_colours(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches())
    sld = ET.fromstring(style_of(path)["styleSLD"].encode())
    rules = [
        (
            rule.findtext(f"{SE}Name"),
            rule.findtext(f".//{OGC}Literal"),
            rule.findtext(f".//{SE}Fill/{SE}SvgParameter"),
        )
        for rule in sld.iter(f"{SE}Rule")
    ]
    named = (f"{NAMES[2]} (2)", "2", "#0adc5a")
    others = ("all other values", "1", "#808080")
    assert rules == [("1", "1", "#c81e28"), named, ("3", "3", "#010203"), others]


def test_without_a_crs_the_plane_is_undefined(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches(None), None)
    with closing(sqlite3.connect(path)) as database:
        systems = database.execute("SELECT srs_id FROM gpkg_geometry_columns").fetchall()
    assert systems == [(-1,)]
    assert len(gpd.read_file(path, layer="segments")) == SEGMENTS.max()


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:2263"])
def test_the_crs_survives(crs: str, tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches(CRS.from_string(crs)), CRS.from_string(crs))
    assert gpd.read_file(path, layer="segments").crs == crs


WKT2_ONLY = (
    "EPSG:32633+4979",
    "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 "
    "+to_meter=0.0174532925199433 +R=6371229",
)


@pytest.mark.parametrize("crs", WKT2_ONLY, ids=["ellipsoidal height", "rotated pole"])
def test_a_crs_that_needs_wkt2_survives_with_all_columns(crs: str, tmp_path: Path) -> None:
    wanted, path = CRS.from_user_input(crs), tmp_path / "segments.gpkg"
    write(path, batches(wanted), wanted)
    found = gpd.read_file(path, layer="segments")
    assert found.crs == wanted
    write(tmp_path / "utm.gpkg", batches())
    plain = gpd.read_file(tmp_path / "utm.gpkg", layer="segments")
    assert found.drop(columns="geometry").equals(plain.drop(columns="geometry"))
    assert found.dtypes.drop("geometry").equals(plain.dtypes.drop("geometry"))
    with closing(sqlite3.connect(path)) as database:
        extensions = database.execute("SELECT extension_name FROM gpkg_extensions").fetchall()
        (first,) = database.execute("SELECT geom FROM segments LIMIT 1").fetchone()
        (system,) = database.execute("SELECT srs_id FROM gpkg_geometry_columns").fetchone()
    assert any(name.startswith("gpkg_crs_wkt") for (name,) in extensions)
    assert int.from_bytes(first[4:8], "little", signed=True) == system
    write(tmp_path / "empty.gpkg", [next(batches(wanted)).iloc[:0]], wanted)
    assert gpd.read_file(tmp_path / "empty.gpkg", layer="segments").crs == wanted


def test_no_segment_at_all_is_an_empty_layer(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, [next(batches()).iloc[:0]])
    read = gpd.read_file(path, layer="segments")
    assert len(read) == 0
    assert {"segment_id", "cluster"} <= set(read.columns)
    assert style_of(path)["useAsDefault"] == 1


def test_same_segments_same_bytes_at_another_time(tmp_path: Path) -> None:
    write(tmp_path / "one.gpkg", batches())
    time.sleep(1.1)
    write(tmp_path / "two.gpkg", batches())
    assert (tmp_path / "one.gpkg").read_bytes() == (tmp_path / "two.gpkg").read_bytes()


def test_other_files_keep_the_true_date(tmp_path: Path) -> None:
    write(tmp_path / "segments.gpkg", batches())
    next(batches()).to_file(tmp_path / "other.gpkg", layer="other")
    with closing(sqlite3.connect(tmp_path / "other.gpkg")) as database:
        dates = database.execute("SELECT last_change FROM gpkg_contents").fetchall()
    assert not dates[0][0].startswith("2000-01-01")


def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches())
    write(path, [next(batches())])
    assert len(gpd.read_file(path, layer="segments")) == len(next(batches()))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_a_full_disk_leaves_nothing_behind(share: float, tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches())
    size = path.stat().st_size
    path.unlink()
    with disk_of(int(share * size)), pytest.raises(RunError) as failure:
        write(path, batches())
    message = str(failure.value)
    assert message.startswith(f"{path}: cannot be written (")
    assert "make room" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_polygons_that_get_lost_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pyogrio.write_dataframe
    monkeypatch.setattr(
        pyogrio, "write_dataframe", lambda frame, *args, **more: store(frame[1:], *args, **more)
    )
    with pytest.raises(RunError, match=r"\d+ of \d+ polygons were stored"):
        write(tmp_path / "segments.gpkg", batches())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "segments.gpkg"
    write(path, batches())
    before = path.read_bytes()

    def broken() -> Iterator[gpd.GeoDataFrame]:
        yield next(batches())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(path, broken())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    path = tmp_path / "file" / "segments.gpkg"
    with pytest.raises(RunError, match="cannot be written") as failure:
        write(path, batches())
    assert str(path) in str(failure.value)
