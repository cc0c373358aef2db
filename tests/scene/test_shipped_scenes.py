"""The scenes under tests/data: bands, valid pixels and stretch, as their files have them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers import DATA
from scene_rasters import note_about, stored, whole

from alps_geo.grid import TileGrid
from alps_geo.scene import (
    open_scene,
    read_tile,
)


def test_naip_alpha_tag_on_near_infrared_is_data() -> None:
    scene = open_scene(str(DATA / "naip_md_1m.tif"))
    assert scene.data_bands == (1, 2, 3, 4)
    assert scene.band_names == ("red", "green", "blue", "nir")
    assert "band 4 is tagged as alpha" in note_about(scene, "alpha")
    pixels = whole(scene)
    assert pixels.valid.all()
    np.testing.assert_array_equal(pixels.bands, stored(scene.path))
    np.testing.assert_array_equal(pixels.image, np.moveaxis(stored(scene.path)[:3], 0, -1))


def test_neon_nodata_255_keeps_bright_pixels() -> None:
    scene = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    pixels, raw = whole(scene), stored(scene.path)
    np.testing.assert_array_equal(pixels.valid, ~(raw == 255).all(axis=0))
    bright = (raw == 255).any(axis=0) & pixels.valid
    assert bright.sum() > 1000
    np.testing.assert_array_equal(pixels.bands[:, bright], raw[:, bright])
    assert scene.nodata == (255.0, 255.0, 255.0)


def test_landsat_collar_without_tag_equals_the_tagged_one() -> None:
    bare = open_scene(str(DATA / "landsat8_collar_uint16.tif"))
    tagged = open_scene(str(DATA / "landsat8_collar_uint16_nodata0.tif"))
    assert bare.rgb == (3, 2, 1)
    assert bare.band_names == ("blue", "green", "red")
    assert "34.0%" in note_about(bare, "taken as nodata")
    assert tagged.notes == ()
    for layer in ("image", "bands", "valid"):
        np.testing.assert_array_equal(getattr(whole(bare), layer), getattr(whole(tagged), layer))


def test_landsat5_single_geographic_band_is_repeated() -> None:
    scene = open_scene(str(DATA / "landsat5_int16_1band.tif"))
    assert scene.rgb == (1, 1, 1)
    assert "one data band" in note_about(scene, "data band")
    pixels, raw = whole(scene), stored(scene.path)
    np.testing.assert_array_equal(pixels.valid, raw[0] != -9999)
    assert (pixels.bands[0][~pixels.valid] == 0).all()
    assert scene.crs is not None
    assert scene.crs.to_epsg() == 4326


def test_sentinel2_is_stretched_by_its_own_percentiles() -> None:
    scene = open_scene(str(DATA / "sentinel2_uint16_4band.tif"))
    assert scene.rgb == (3, 2, 1)
    assert scene.band_names == ("blue", "green", "red", "nir")
    raw, image = stored(scene.path), whole(scene).image
    for channel, band in enumerate(scene.rgb):
        low, high = np.percentile(raw[band - 1], [2, 98])
        expected = np.clip((raw[band - 1] - low) / (high - low), 0, 1) * 255
        assert np.abs(image[..., channel] - expected).max() <= 0.51


@pytest.mark.parametrize("file", sorted(DATA.glob("*.tif")), ids=lambda file: file.stem)
def test_tiles_agree_with_the_whole_scene(file: Path) -> None:
    scene = open_scene(str(file))
    expected = whole(scene)
    for tile in TileGrid(scene.height, scene.width, tile_size=300, overlap=40):
        part = read_tile(scene, tile.window)
        where = tile.window.toslices()
        np.testing.assert_array_equal(part.image, expected.image[where])
        np.testing.assert_array_equal(part.valid, expected.valid[where])
        np.testing.assert_array_equal(part.bands, expected.bands[:, *where])


def test_scene_is_a_plain_value_with_the_facts_of_its_file() -> None:
    path = DATA / "naip_md_1m.tif"
    scene = open_scene(str(path))
    assert (scene.name, scene.shape, scene.dtype) == ("naip_md_1m", (1024, 1024), "uint8")
    assert scene.size_bytes == path.stat().st_size
    assert scene.mtime == path.stat().st_mtime
    assert pickle.loads(pickle.dumps(scene)) == scene == open_scene(str(path))
