"""Scenes of odd shapes, transforms and formats; windows and overviews."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import DATA
from rasterio.enums import Resampling
from rasterio.windows import Window
from scene_rasters import noise, note_about, whole, write

from alps_geo.scene import (
    open_scene,
    read_overview,
    read_tile,
)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(2.0, 0.7, 500000.0, 0.7, -2.0, 5000000.0),
        Affine(2.0, 0.0, 500000.0, 0.0, 2.0, 5000000.0),
        Affine(2.0, 0.0, 500000.0, 0.0, -5.0, 5000000.0),
    ],
    ids=["rotated", "south-up", "oblong pixels"],
)
def test_odd_transforms_are_kept_to_the_last_digit(tmp_path: Path, transform: Affine) -> None:
    pixels = noise(3, 20, 30)
    scene = open_scene(write(tmp_path / "a.tif", pixels, transform=transform))
    assert scene.transform == transform
    np.testing.assert_array_equal(whole(scene).bands, pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (5, 2)])
def test_tiny_and_thin_scenes(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = noise(3, *shape, dtype="uint16")
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    np.testing.assert_array_equal(whole(scene).bands, pixels)
    overview = read_overview(scene, 100)
    assert overview.valid.shape == tuple(min(side, 100) for side in shape)
    assert overview.valid.all()


def test_scene_without_crs_works_and_says_so(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise(3, 9, 9), crs=None, transform=None))
    assert scene.crs is None
    assert (scene.transform, scene.has_transform) == (Affine.scale(1, -1), False)
    assert "no CRS" in note_about(scene, "areas are in pixels")


def test_window_without_data_is_all_invalid() -> None:
    scene = open_scene(str(DATA / "landsat8_collar_uint16.tif"))
    pixels = read_tile(scene, Window(700, 0, 100, 100))
    assert not pixels.valid.any()
    assert not pixels.image.any()
    assert not pixels.bands.any()


@pytest.mark.parametrize("window", [Window(0, 0, 401, 10), Window(-1, 0, 10, 10)])
def test_window_outside_the_scene_is_refused(window: Window) -> None:
    scene = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    with pytest.raises(ValueError, match="outside"):
        read_tile(scene, window)


def test_overview_has_the_scene_s_proportions_and_pixels(tmp_path: Path) -> None:
    rows, cols = np.indices((300, 120), np.uint16)
    scene = open_scene(write(tmp_path / "a.tif", np.stack([rows, cols]) + 1))
    overview = read_overview(scene, 100)
    assert overview.image.shape == (100, 40, 3)
    np.testing.assert_array_equal(overview.bands[0, :, 0], np.arange(100) * 3 + 2)
    np.testing.assert_array_equal(overview.bands[1, 0], np.arange(40) * 3 + 2)
    assert read_overview(scene, 5000).image.shape == (300, 120, 3)


def test_overviews_in_the_file_are_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(3, 512, 512, dtype="uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4], Resampling.average)
    smooth = read_overview(open_scene(path), 128).bands
    assert smooth.std() < noise(3, 512, 512).std() / 3


def test_vrt_with_bands_of_different_types(tmp_path: Path) -> None:
    pixels = noise(1, 20, 30)
    small = write(tmp_path / "u8.tif", pixels)
    real = write(tmp_path / "f32.tif", pixels.astype("float32") / 8)
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename>{file}'
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for band, (kind, file) in enumerate((("Byte", small), ("Float32", real)), start=1)
    )
    vrt = tmp_path / "a.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="30" rasterYSize="20">{bands}</VRTDataset>')
    scene = open_scene(str(vrt))
    assert scene.dtype == "float32"
    np.testing.assert_array_equal(whole(scene).bands, np.concatenate([pixels, pixels / 8]))


@pytest.mark.parametrize("driver", ["PNG", "JPEG"])
def test_plain_pictures_open_too(tmp_path: Path, driver: str) -> None:
    path = write(tmp_path / "a.img", noise(3, 9, 9), driver=driver, crs=None, transform=None)
    assert whole(open_scene(path)).valid.all()


def test_a_mosaic_is_looked_at_as_the_same_pixels_in_one_file(tmp_path: Path) -> None:
    """Decimated reads of a VRT take another way; they have to come to the same pixels."""
    path = DATA / "naip_md_1m.tif"
    sources = "".join(
        f"<SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand>"
        f'<SrcRect xOff="0" yOff="0" xSize="512" ySize="1024"/>'
        f'<DstRect xOff="{left}" yOff="0" xSize="512" ySize="1024"/></SimpleSource>'
        for left in (0, 512)
    )
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="1024" rasterYSize="1024">'
        f'<VRTRasterBand dataType="Byte" band="1">{sources}</VRTRasterBand></VRTDataset>'
    )
    with rasterio.open(path) as dataset:
        left = dataset.read([1], window=Window(0, 0, 512, 1024))
    pixels = np.concatenate([left, left], axis=2)
    flat = write(tmp_path / "flat.tif", pixels)
    for longest in (300, 777):
        mosaic, file = (read_overview(open_scene(str(p)), longest) for p in (vrt, flat))
        np.testing.assert_array_equal(mosaic.bands, file.bands)
        np.testing.assert_array_equal(mosaic.valid, file.valid)
