"""Cores are painted once: by the rules, pixel for pixel, and as they are read again."""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers import painted, stitched
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stitch import planted, scenes_and_grids

from alps_geo.errors import RunError
from alps_geo.grid import Tile, TileGrid
from alps_geo.segments.blocks import tile_blocks
from alps_geo.segments.fragments import Fragments, failed_fragments
from alps_geo.segments.matching import Joined, join
from alps_geo.segments.paint import PaintedCore, paint_core
from alps_geo.segments.painting import StoredPainting
from alps_geo.segments.ranks import Rank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


def disagreeing(
    scene: NDArray[np.int32], grid: TileGrid, seed: int, failed: int
) -> dict[Tile, Fragments]:
    """Cut tiles that see the scene with errors of their own; one of them has failed."""
    rng = np.random.default_rng(seed)
    tiles = {}
    for tile in grid:
        seen = np.where(rng.random(scene.shape) < 0.05, rng.integers(1, 4, scene.shape), scene)
        tiles[tile] = planted(seen.astype(np.int32), grid, tile)
        if grid.index(tile) == failed:
            tiles[tile] = failed_fragments(tile, 1)
    return tiles


def truth(grid: TileGrid, tiles: dict[Tile, Fragments], joined: Joined) -> NDArray[np.int64]:
    """Give each pixel by itself to the group that has the best claim to it."""
    groups = np.zeros((grid.height, grid.width), dtype=np.int64)
    for tile in grid:
        rows, cols = tile.core.toslices()
        for pixel in product(range(rows.start, rows.stop), range(cols.start, cols.stop)):
            claims = [] if tiles[tile].failed else [*claims_to(pixel, grid, tile, tiles, joined)]
            if claims:
                groups[pixel] = max(claims, key=itemgetter(0))[1]
    return groups


def claims_to(
    pixel: tuple[int, int],
    grid: TileGrid,
    tile: Tile,
    tiles: dict[Tile, Fragments],
    joined: Joined,
) -> Iterator[tuple[tuple[int, int, bool], int]]:
    """List the claims to a pixel of a tile's core, each with the group that has it."""
    for other in grid.around(tile):
        row, col = pixel[0] - other.window.row_off, pixel[1] - other.window.col_off
        inside = 0 <= row < other.window.height and 0 <= col < other.window.width
        if inside and (fragment := int(tiles[other].labels[row, col])):
            index = grid.index(other)
            rank = int(joined.ranks[index][fragment - 1])
            smallness = 0 if rank == Rank.CUT else -int(tiles[other].size[fragment - 1])
            yield (rank, smallness, other == tile), int(joined.groups[index][fragment])


@settings(max_examples=60)
@given(scenes_and_grids(), st.integers(0, 2**32 - 1), st.integers(-1, 8))
def test_each_pixel_goes_to_the_fragment_with_the_best_claim(
    case: tuple[NDArray[np.int32], TileGrid], seed: int, failed: int
) -> None:
    scene, grid = case
    tiles = disagreeing(scene, grid, seed, failed)
    joined = join(grid, tiles.__getitem__)
    groups = truth(grid, tiles, joined)
    # Segments are the groups that have a pixel, in the same order.
    ids = np.searchsorted(np.unique(np.append(0, groups)), groups)
    found = stitched(grid, tiles.__getitem__)
    for _ in range(2):  # it can be read as often as one wishes
        np.testing.assert_array_equal(painted(grid, found), ids)
    np.testing.assert_array_equal(found.area, np.bincount(ids.ravel(), minlength=1)[1:])


def test_a_core_knows_pixels_and_scores_of_its_fragments() -> None:
    scene = np.zeros((12, 12), dtype=np.int32)
    scene[2:6, 2:6] = 1
    grid = TileGrid(12, 12, 12, 0)
    (tile,) = grid
    tiles = {tile: planted(scene, grid, tile)}
    core = paint_core(grid, tile, join(grid, tiles.__getitem__), tiles.__getitem__)
    np.testing.assert_array_equal(core.number, scene)
    assert core.ids.tolist() == [0, 1]
    assert core.pixels.tolist() == [16]
    assert core.claimed.tolist() == [True]
    np.testing.assert_allclose(core.scores, [[1, 0.9, 0.8]], rtol=1e-6)


CORE = PaintedCore(
    np.array([[0, 1], [2, 2]], np.uint8),
    np.array([0, 7, 3], np.uint32),
    np.array([1, 2]),
    np.array([True, False]),
    np.array([[1, 0.5, 0.25], [0, 0, 0]]),
    np.array([[3.0], [4.0]]),
)


(BLOCK,) = tile_blocks(TileGrid(4, 12, 4, 0))
"""A block of three tiles."""


def written(folder: Path) -> StoredPainting:
    painting = StoredPainting(folder)
    painting.write(BLOCK, [CORE] * 3)
    painting.assign(np.arange(8, dtype=np.uint32)[::-1])
    return painting


def test_cores_come_back_as_they_were_with_the_ids_of_segments(tmp_path: Path) -> None:
    found = list(written(tmp_path).cores(BLOCK))
    assert len(found) == 3
    for core in found:
        for field in fields(PaintedCore):
            array, expected = getattr(core, field.name), getattr(CORE, field.name)
            assert array.dtype == expected.dtype
            if field.name != "ids":
                np.testing.assert_array_equal(array, expected)
        assert core.ids.tolist() == [7, 0, 4]


@pytest.mark.parametrize("keep", [0.2, 0.9, 0.999])
def test_a_damaged_painting_says_what_to_do(tmp_path: Path, keep: float) -> None:
    painting = written(tmp_path)
    path = tmp_path / "painted" / "00000.npy.gz"
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(RunError, match=r"cannot be read .*give its command again"):
        list(painting.cores(BLOCK))


def test_a_painting_that_is_cut_short_leaves_nothing(tmp_path: Path) -> None:
    painting = StoredPainting(tmp_path)

    def broken() -> Iterator[PaintedCore]:
        yield CORE
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left"):
        painting.write(BLOCK, broken())
    assert [*tmp_path.rglob("*.gz")] == []
    with pytest.raises(RunError, match="cannot be read"):
        list(painting.cores(BLOCK))
    written(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []
