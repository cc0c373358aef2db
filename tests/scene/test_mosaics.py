"""Scenes that are made of several files, one of which is missing or damaged."""

import json
import logging
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import DATA, alps_geo
from rasterio.windows import Window
from shapely.geometry import box

from alps_geo.errors import SceneError
from alps_geo.scene import open_scene, read_overview, read_tile

pytestmark = pytest.mark.usefixtures("images_encoded_once")

SIDE = 70
QUICK = ("--tile-size", "64", "--overlap", "0", "--points", "grid:2", "--clusters", "2")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Write a tile index of three files in a row."""
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as scene:
        profile = {**scene.profile, "width": SIDE, "height": SIDE, "nodata": None}
        outlines = []
        for number in range(3):
            window = Window(SIDE * number, 0, SIDE, SIDE)
            place = scene.transform @ Affine.translation(SIDE * number, 0)
            left, top = place.c, place.f
            with rasterio.open(
                tmp_path / f"part{number}.tif", "w", **{**profile, "transform": place}
            ) as part:
                part.write(np.maximum(scene.read(window=window), 1))
            outlines.append(box(left, top - SIDE / 10, left + SIDE / 10, top))  # pixels of 10 cm
        names = [str(tmp_path / f"part{number}.tif") for number in range(3)]
        table = gpd.GeoDataFrame({"location": names}, geometry=outlines, crs=scene.crs)
    path = tmp_path / "scene.gti.gpkg"
    table.to_file(path, layer="index")
    return path


def test_a_whole_tile_index_is_read(index: Path) -> None:
    scene = open_scene(str(index))
    assert scene.shape == (SIDE, 3 * SIDE)
    assert not any("damaged" in note for note in scene.notes)
    assert read_tile(scene, Window(0, 0, 3 * SIDE, SIDE)).bands.all()


def test_tiles_without_their_file_fail_and_are_listed(index: Path, tmp_path: Path) -> None:
    (tmp_path / "part1.tif").rename(tmp_path / "away")
    outcome = alps_geo("label", index, "--out", tmp_path / "out", *QUICK)
    assert outcome.exit_code == 3
    assert "part1.tif" in outcome.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    for failed in record["failed"]:
        assert "part1.tif" in failed["reason"]
        assert "missing or damaged, put it back" in failed["reason"]
    with rasterio.open(tmp_path / "out" / "scene.gti" / "labels.tif") as raster:
        labels = raster.read(1)
    assert not labels[:, SIDE : 2 * SIDE].any()
    assert labels[:, : SIDE // 2].all()
    assert labels[:, 2 * SIDE + SIDE // 2 :].all()

    (tmp_path / "away").rename(tmp_path / "part1.tif")
    again = alps_geo("label", index, "--out", tmp_path / "out", "--overwrite", *QUICK)
    assert again.exit_code == 0, again.stderr


def test_the_look_at_a_mosaic_leaves_out_the_missing_file(index: Path, tmp_path: Path) -> None:
    (tmp_path / "part2.tif").unlink()
    scene = open_scene(str(index))
    assert any("cannot be read" in note for note in scene.notes)
    valid = read_overview(scene, 3 * SIDE).valid
    assert not valid[:, 2 * SIDE :].any()
    assert valid[:, : SIDE + SIDE // 2].all()
    with pytest.raises(SceneError, match=r"part2\.tif.*missing or damaged, put it back"):
        read_tile(scene, Window(2 * SIDE, 0, SIDE, SIDE))
    assert read_tile(scene, Window(0, 0, SIDE, SIDE)).valid.all()


def test_a_damaged_file_of_an_index_is_no_empty_area(index: Path, tmp_path: Path) -> None:
    part = tmp_path / "part1.tif"
    part.write_bytes(part.read_bytes()[:2000])
    scene = open_scene(str(index))
    with pytest.raises(SceneError, match="missing or damaged, put it back"):
        read_tile(scene, Window(SIDE, 0, SIDE, SIDE))


def test_errors_of_mosaics_are_not_logged_for_others(
    index: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = tmp_path / "part2.tif"
    part.write_bytes(part.read_bytes()[:2000])
    open_scene(str(index))
    assert not [entry for entry in caplog.records if entry.name.startswith("rasterio")]
    with caplog.at_level(logging.INFO, "rasterio"):
        open_scene(str(index))
    assert [entry for entry in caplog.records if "part2.tif" in entry.getMessage()]


def write_vrt(path: Path, source: str, side: int = 50) -> None:
    path.write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>EPSG:32632</SRS><GeoTransform>'
        f"{', '.join(map(str, Affine(2, 0, 5e5, 0, -2, 5e6).to_gdal()))}</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )


def test_a_virtual_raster_without_its_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.vrt"
    write_vrt(path, "gone.tif")
    with pytest.raises(SceneError, match=r"gone\.tif.*missing or damaged, put it back"):
        open_scene(str(path))


def test_a_warning_about_a_source_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = tmp_path / "a.jpg"
    pixels = np.random.default_rng(0).integers(1, 255, (3, 200, 200)).astype(np.uint8)
    with rasterio.open(
        picture, "w", driver="JPEG", width=200, height=200, count=3, dtype="uint8",
        transform=Affine(2, 0, 5e5, 0, -2, 5e6),
    ) as file:  # fmt: skip
        file.write(pixels)
    content = picture.read_bytes()
    picture.write_bytes(content[: len(content) // 2])
    write_vrt(tmp_path / "a.vrt", "a.jpg", side=200)
    with pytest.raises(SceneError, match="missing or damaged"):
        read_tile(open_scene(str(tmp_path / "a.vrt")), Window(0, 0, 200, 200))
    with rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING="NO"):
        read_tile(open_scene(str(tmp_path / "a.vrt")), Window(0, 0, 200, 200))
    assert [entry for entry in caplog.records if "JPEG" in entry.getMessage()]


def write_pair(path: Path, sources: tuple[str, str], side: int) -> Path:
    """Write a mosaic of two rasters side by side."""
    bands = "".join(
        f'<SimpleSource><SourceFilename relativeToVRT="1">{source}</SourceFilename>'
        f'<SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/>'
        f'<DstRect xOff="{side * i}" yOff="0" xSize="{side}" ySize="{side}"/></SimpleSource>'
        for i, source in enumerate(sources)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{2 * side}" rasterYSize="{side}"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500000, 2, 0, 5000000, 0, -2</GeoTransform>"
        f'<VRTRasterBand dataType="Byte" band="1">{bands}</VRTRasterBand></VRTDataset>'
    )
    return path


def test_a_file_is_missed_each_time_after_a_mosaic_of_mosaics_was_read(tmp_path: Path) -> None:
    """GDAL reports it once then, in all of the process."""
    side = 50
    pixels = np.random.default_rng(0).integers(1, 255, (1, side, side)).astype(np.uint8)
    with rasterio.open(
        tmp_path / "there.tif", "w", driver="GTiff", width=side, height=side, count=1,
        dtype="uint8", transform=Affine(2, 0, 5e5, 0, -2, 5e6),
    ) as file:  # fmt: skip
        file.write(pixels)
    write_pair(tmp_path / "whole.vrt", ("there.tif", "there.tif"), side)
    open_scene(str(write_pair(tmp_path / "outer.vrt", ("whole.vrt", "there.tif"), side)))
    write_pair(tmp_path / "half.vrt", ("there.tif", "gone.tif"), side)
    nested = write_pair(tmp_path / "nested.vrt", ("there.tif", "half.vrt"), 2 * side)
    for path, first in ((tmp_path / "half.vrt", side), (nested, 3 * side)):
        scene = open_scene(str(path))
        assert any("cannot be read" in note for note in scene.notes)
        for _ in range(3):
            with pytest.raises(SceneError, match=r"gone\.tif.*missing or damaged, put it back"):
                read_tile(scene, Window(first, 0, side, side))
        read = read_tile(scene, Window(first - side, 0, side, side))
        np.testing.assert_array_equal(read.bands, pixels)
