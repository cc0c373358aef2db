"""Prompts lie innermost in regions of one tile that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from helpers import DATA
from rasterio.windows import Window

from alps_geo.features.images import band_scale
from alps_geo.scene import open_scene, read_tile
from alps_geo.segments.prompts import innermost_points
from alps_geo.segments.superpixels import TileBands

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 96


def squares() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Superpixels of 16 px: a bright block of 3 x 3 of them on dark ground."""
    rows, cols = np.indices((SIDE, SIDE)) // 16
    superpixels = (rows * (SIDE // 16) + cols + 1).astype(np.int32)
    bright = np.zeros((1, SIDE, SIDE), np.float32)
    bright[0, 16:64, 32:80] = 1
    return superpixels, bright


def test_each_region_has_one_prompt_in_its_middle() -> None:
    superpixels, bright = squares()
    ground, block = innermost_points(superpixels, bright, 2)
    assert np.abs(block - (40, 56)).max() <= 0.5
    assert not bright[0, int(ground[0]), int(ground[1])]


def test_regions_of_a_real_tile_are_as_many_as_asked_for() -> None:
    scene = open_scene(str(DATA / "naip_md_1m.tif"))
    pixels = read_tile(scene, Window(0, 0, 512, 512))
    bands = TileBands(pixels, band_scale(pixels), (0, 0), 16)
    for count in (1, 50, 400):
        points = innermost_points(bands.superpixels, bands.standard, count)
        assert points.shape == (count, 2)
        assert len(np.unique(points, axis=0)) == count
        assert (points % 1 == 0.5).all()
    every = innermost_points(bands.superpixels, bands.standard, 10_000)
    asked = bands.superpixels[*every.astype(int).T]
    assert sorted(asked) == sorted(np.unique(bands.superpixels))


def test_a_tile_with_less_data_has_fewer_prompts_and_none_elsewhere() -> None:
    superpixels, bright = squares()
    superpixels[:, : SIDE // 2] = 0
    points = innermost_points(superpixels, bright, 8)
    assert len(points) == 4
    assert (points[:, 1] > SIDE // 2).all()


def test_of_many_islands_the_largest_have_prompts() -> None:
    superpixels = np.zeros((SIDE, SIDE), np.int32)
    superpixels[::4, ::4] = np.arange(24 * 24).reshape(24, 24) + 1
    superpixels[:17, :17] = 1
    points = innermost_points(superpixels, np.zeros((1, SIDE, SIDE), np.float32), 10)
    # A twelfth of the tile has data.
    assert points.tolist() == [[8.5, 8.5]]


def test_a_flat_tile_and_a_pixel_have_prompts_too() -> None:
    superpixels, bright = squares()
    assert len(innermost_points(superpixels, np.zeros_like(bright), 5)) == 5
    one = np.ones((1, 1), np.int32)
    assert innermost_points(one, np.zeros((1, 1, 1), np.float32), 400).tolist() == [[0.5, 0.5]]


def test_no_data_has_no_prompt() -> None:
    none = np.zeros((4, 4), np.int32)
    assert innermost_points(none, np.zeros((1, 4, 4), np.float32), 400).shape == (0, 2)
