"""Blocks of tiles decide nothing: segments, borders and sums are the same whatever their size."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
from helpers import painted, stitched, sums_by_id
from hypothesis import given, settings
from hypothesis import strategies as st
from test_painting import disagreeing
from test_stitch import scenes_and_grids

from alps_geo.grid import TileGrid
from alps_geo.scene import TilePixels
from alps_geo.segments import blocks
from alps_geo.segments.blocks import tile_blocks
from alps_geo.segments.borders import Borders

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.windows import Window


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(3, 20), st.integers(0, 9), st.integers(1, 5)
)
def test_each_core_lies_in_one_block(
    height: int, width: int, tile_size: int, overlap: int, side: int
) -> None:
    grid = TileGrid(height, width, tile_size, min(overlap, tile_size // 2))
    covered = np.zeros((height, width), int)
    with patch.object(blocks, "SIDE", side):
        found = tile_blocks(grid)
    for index, block in enumerate(found):
        assert block.index == index
        assert len({tile.row for tile in block.tiles}) <= side
        assert len({tile.col for tile in block.tiles}) <= side
        covered[block.window.toslices()] += 1
        inside = np.zeros((block.window.height, block.window.width), int)
        for tile in block.tiles:
            inside[block.core_of(tile)] += 1
        assert (inside == 1).all()
    assert (covered == 1).all()
    order = sorted(grid.index(tile) for block in found for tile in block.tiles)
    assert order == list(range(len(grid)))


@settings(max_examples=25, deadline=None)
@given(scenes_and_grids(), st.integers(0, 2**32 - 1), st.integers(-1, 8), st.integers(1, 3))
def test_blocks_decide_neither_segments_nor_borders_nor_sums(
    case: tuple[NDArray[np.int32], TileGrid], seed: int, failed: int, side: int
) -> None:
    scene, grid = case
    tiles = disagreeing(scene, grid, seed, failed)
    bands = np.random.default_rng(seed).normal(size=(2, *scene.shape)).astype(np.float32)

    def read(window: Window) -> TilePixels:
        rows, cols = window.toslices()
        part = bands[:, rows, cols]
        image = np.zeros((*part.shape[1:], 3), np.uint8)
        return TilePixels(image, part, np.ones(part.shape[1:], bool))

    results = []
    for blocks_side in (99, side):
        with patch.object(blocks, "SIDE", blocks_side):
            found = stitched(grid, tiles.__getitem__, min_area=2)
            picture = painted(grid, found)
            sums = sums_by_id(grid, found, tiles, read, ("spectral", "shape"))
            results.append((found, picture, sums))
    (one, picture, sums), (other, their_picture, their_sums) = results
    np.testing.assert_array_equal(picture, their_picture)
    for name in ("area", "first_tile", "last_tile", "rows"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for borders in (one.borders, other.borders):
        expected = Borders.between(picture)
        np.testing.assert_array_equal(borders.pairs, expected.pairs)
        np.testing.assert_array_equal(borders.sides, expected.sides)
    np.testing.assert_array_equal(sums.area, their_sums.area)
    for name, values in sums.named.items():
        # To the last bit: each is added up tile by tile, whatever the blocks.
        np.testing.assert_array_equal(values, their_sums.named[name])
