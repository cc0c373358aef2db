"""Scale and offset tags: what they change of a scene, and what they leave alone."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from alps_geo.grid import TileGrid
from alps_geo.masks.generator import Weights
from alps_geo.scene import Scene, TilePixels, open_scene, read_overview, read_tile
from alps_geo.settings import LabelSettings
from alps_geo.tiles.jobs import tile_key

UTM = {"crs": "EPSG:32632", "transform": Affine(2.0, 0.0, 500000.0, 0.0, -2.0, 5000000.0)}


def write(
    path: Path,
    pixels: NDArray[Any],
    scales: tuple[float, ...] = (),
    offsets: tuple[float, ...] = (),
    **profile: Any,
) -> str:
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "dtype": pixels.dtype, **UTM, **profile}
    with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as dataset:
        dataset.write(pixels)
        dataset.scales = scales or (1.0,) * count
        dataset.offsets = offsets or (0.0,) * count
    return str(path)


def noise(low: int = 1000, high: int = 4000, dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(7).integers(low, high, (3, 40, 50)).astype(dtype)


def whole(scene: Scene) -> TilePixels:
    return read_tile(scene, Window(0, 0, scene.width, scene.height))


def test_bands_are_in_the_units_of_the_tags_and_the_picture_is_the_same(tmp_path: Path) -> None:
    pixels = noise()
    tags = (1e-4, 2e-4, -0.5), (-0.1, 273.15, 7.0)
    scene = open_scene(write(tmp_path / "scaled.tif", pixels, *tags))
    plain = open_scene(write(tmp_path / "plain.tif", pixels))
    expected = pixels * np.array(tags[0])[:, None, None] + np.array(tags[1])[:, None, None]
    np.testing.assert_array_equal(whole(scene).bands, expected.astype(np.float32))
    np.testing.assert_array_equal(read_overview(scene, 100).bands, expected.astype(np.float32))
    np.testing.assert_array_equal(whole(scene).image, whole(plain).image)
    assert (scene.unit, plain.unit) == ("scaled", "uint16")
    (note,) = set(scene.notes) - set(plain.notes)
    assert "scale and offset tags of the file are applied (0.0001 and -0.1 for band_1 " in note


def test_8_bit_values_reach_sam_as_they_are(tmp_path: Path) -> None:
    pixels = noise(1, 250, "uint8")
    scene = open_scene(write(tmp_path / "scene.tif", pixels, (0.01,) * 3))
    np.testing.assert_array_equal(whole(scene).image, np.moveaxis(pixels, 0, -1))
    np.testing.assert_allclose(whole(scene).bands, pixels * 0.01, rtol=1e-6)


def test_nodata_and_collars_are_of_stored_values(tmp_path: Path) -> None:
    pixels = noise()
    pixels[:, :10] = 500
    # As GDAL has it: the tag is compared before scale and offset, which make 0 of 1000.
    pixels[:, 20:] = np.where(pixels[:, 20:] < 2000, 1000, pixels[:, 20:])
    scales, offsets = (1e-3,) * 3, (-1.0,) * 3
    tagged = open_scene(write(tmp_path / "tagged.tif", pixels, scales, offsets, nodata=500))
    with rasterio.open(tagged.path) as dataset:
        np.testing.assert_array_equal(whole(tagged).valid, dataset.dataset_mask() > 0)
    assert not whole(tagged).bands[:, :10].any()
    pixels[:, :10] = 0
    collared = open_scene(write(tmp_path / "collared.tif", pixels, scales, offsets))
    np.testing.assert_array_equal(whole(collared).valid, whole(tagged).valid)


def test_units_tell_apart_what_cannot_be_compared(tmp_path: Path) -> None:
    integers, reals = noise(), noise().astype(np.float32)
    scenes = [
        open_scene(write(tmp_path / f"{number}.tif", pixels, scales))
        for number, (pixels, scales) in enumerate(
            [
                (integers, (1e-4,) * 3),
                (reals, (1e-2,) * 3),
                (integers, ()),
                (reals, ()),
                (integers, (1e-4, 1e-4, 1.0)),
                (integers, (1e-4, 1.0, 1e-4)),
            ]
        )
    ]
    one, other, *apart = [scene.unit for scene in scenes]
    assert one == other
    assert len({one, *apart}) == 5


@pytest.mark.parametrize("tag", [(0.0, 5.0), (float("nan"), 0.0), (1e-4, float("inf"))])
def test_tags_of_no_use_are_ignored_with_a_note(tmp_path: Path, tag: tuple[float, float]) -> None:
    pixels = noise()
    scene = open_scene(write(tmp_path / "scene.tif", pixels, (tag[0],) * 3, (tag[1],) * 3))
    np.testing.assert_array_equal(whole(scene).bands, pixels)
    assert scene.unit == "uint16"
    assert any("of band_1" in note and "ignored" in note for note in scene.notes)


def test_what_the_tags_make_infinite_is_invalid(tmp_path: Path) -> None:
    pixels = noise().astype(np.float32)
    pixels[1, 5] = 1e30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = open_scene(write(tmp_path / "scene.tif", pixels, (1e20,) * 3))
        found = whole(scene)
    np.testing.assert_array_equal(~found.valid, np.broadcast_to(np.arange(40) == 5, (50, 40)).T)
    assert np.isfinite(found.bands).all()


def test_a_palette_has_colours_and_no_units(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    write(path, noise(0, 4, "uint8")[:1], photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {i: (50 * i, 40 * i, 30 * i, 255) for i in range(4)})
        dataset.scales, dataset.offsets = (0.1,), (3.0,)
    scene = open_scene(str(path))
    assert scene.unit == "uint8"
    np.testing.assert_array_equal(whole(scene).bands, np.moveaxis(whole(scene).image, -1, 0))


def test_tiles_of_other_tags_or_another_order_are_others(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "scene.tif", noise()))
    grid, settings = TileGrid(40, 50, 64, overlap=8), LabelSettings()
    with rasterio.open(scene.path, "r+") as dataset:
        dataset.scales = (0.5,) * 3
    found = open_scene(scene.path)
    same = replace(found, files_sha256=scene.files_sha256)
    turned = scene.in_order(scene.band_names[::-1])
    keys = {
        tile_key(each, grid, settings, Weights("mobile_sam", "sha"))
        for each in (scene, same, turned)
    }
    assert len(keys) == 3
