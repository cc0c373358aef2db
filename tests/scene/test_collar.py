"""Collars without a tag: missing pixels around a scene."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scene_rasters import NAN, RGBA, noise, note_about, stored, whole, write

from alps_geo.grid import TileGrid
from alps_geo.scene import (
    open_scene,
    read_tile,
)


def collared(height: int, width: int, dtype: str = "uint8") -> NDArray[Any]:
    """Noise with a slanted collar of zeros at the left, and black spots far from it."""
    pixels = noise(3, height, width, high=200, dtype=dtype)
    edge = width // 5 + np.arange(height)[:, None] // 4
    pixels[:, np.arange(width)[None] < edge] = 0
    pixels[:, height // 2 : height // 2 + 9, -40:-20] = 0
    pixels[:, -3:, -3:] = 0
    return pixels


def test_collar_is_nodata_but_black_spots_and_corners_are_not(tmp_path: Path) -> None:
    pixels = collared(300, 400)
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    black = (pixels == 0).all(axis=0)
    expected = black.copy()
    expected[:, -50:] = False
    np.testing.assert_array_equal(whole(scene).valid, ~expected)
    assert f"{expected.mean():.1%} of the scene" in note_about(scene, "--nodata nan")
    assert whole(open_scene(scene.path, nodata=NAN)).valid.all()


def test_collar_of_a_large_scene_is_exact_in_every_tile(tmp_path: Path) -> None:
    pixels = collared(2600, 6000)
    path = write(tmp_path / "a.tif", pixels, tiled=True, compress="zstd")
    expected = (pixels == 0).all(axis=0)
    expected[:, -50:] = False
    scene = open_scene(path)
    assert "25.4%" in note_about(scene, "taken as nodata")
    for tile in TileGrid(scene.height, scene.width, tile_size=1500, overlap=100):
        valid = read_tile(scene, tile.window).valid
        np.testing.assert_array_equal(valid, ~expected[tile.window.toslices()])


def test_noisy_dark_water_at_the_border_is_no_collar(tmp_path: Path) -> None:
    pixels = noise(3, 300, 400, low=60)
    rng = np.random.default_rng(1)
    water = rng.random((300, 150)) < 0.65  # more than enough zeros to hang together
    pixels[:, :, :150] = np.where(water, 0, rng.integers(1, 6, (3, 300, 150)))
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    assert whole(scene).valid.all()
    assert not any("nodata" in note for note in scene.notes)


def test_no_collar_is_sought_where_the_file_marks_its_missing_pixels(tmp_path: Path) -> None:
    pixels = collared(300, 400)
    assert whole(open_scene(write(tmp_path / "a.tif", pixels, nodata=255))).valid.all()
    alpha = np.concatenate([pixels, np.full((1, 300, 400), 255, np.uint8)])
    assert whole(open_scene(write(tmp_path / "b.tif", alpha, tags=RGBA))).valid.all()


def test_jpeg_collar_rings_and_is_nodata_all_the_same(tmp_path: Path) -> None:
    ramp = np.linspace(60, 220, 400).astype(np.uint8)
    pixels = np.broadcast_to(ramp, (3, 300, 400)).copy()
    pixels[:, :, :117] = 0
    pixels[:, 200:260, 300:380] = 4  # a dark pond, far from the collar
    path = write(tmp_path / "a.tif", pixels, compress="jpeg", photometric="ycbcr", jpeg_quality=60)
    assert stored(path)[:, :, :117].max() > 3
    scene = open_scene(path)
    valid = whole(scene).valid
    assert not valid[:, :112].any()
    assert valid[:, 117:].all()
    assert valid[:, 112:117].mean() < 0.5
    assert "compressed with loss" in note_about(scene, "taken as nodata")


def test_jpeg_without_collar_keeps_dark_water_at_its_border(tmp_path: Path) -> None:
    pixels = noise(3, 300, 400, low=60)
    pixels[:, :, :150] = noise(3, 300, 150, low=2, high=9)
    path = write(tmp_path / "a.tif", pixels, compress="jpeg", photometric="ycbcr")
    assert whole(open_scene(path)).valid.all()
