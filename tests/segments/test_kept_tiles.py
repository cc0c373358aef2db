"""Stored tiles are loaded about once a scan block by block, few are held and few fetched ahead."""

import pickle
from collections import Counter
from weakref import WeakSet

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alps_geo.errors import RunError
from alps_geo.files.storage import AT_ONCE
from alps_geo.grid import Tile, TileGrid
from alps_geo.segments.blocks import KEPT_TILES, SIDE, tile_blocks
from alps_geo.segments.kept_tiles import KeptTiles, expect


class Loaded:
    """Stand-in for a tile's fragments that can be counted while it is held."""


# Tiles overlap by half, and the last row reaches the last but two.
@example(19, 25, 12, 6)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 40), st.integers(0, 20))
def test_tiles_are_loaded_once_for_each_row_of_blocks_and_few_are_held(
    height: int, width: int, tile_size: int, overlap: int
) -> None:
    # Where tiles overlap by half, blocks need tiles further away.
    grid = TileGrid(height, width, tile_size, min(overlap, tile_size // 3))
    count: Counter[Tile] = Counter()
    held: WeakSet[Loaded] = WeakSet()

    def load(tile: Tile) -> Loaded:
        count[tile] += 1
        loaded = Loaded()
        held.add(loaded)
        return loaded

    kept = KeptTiles(load)
    blocks = tile_blocks(grid)
    for block in blocks:
        for tile in block.tiles:
            assert all(kept(other) is kept(other) for other in grid.around(tile))
            assert len(held) <= KEPT_TILES
    # In its own block, and next to others: three of them above and below, and one at each side.
    assert max(count.values()) <= 4
    loads = sum(count.values())
    assert loads <= len(grid) * (1 + 2 / SIDE) ** 2 + 4 * sum(grid.shape) + 8


def load_row(tile: Tile) -> int:
    return tile.row


def test_a_loader_goes_to_other_processes_without_the_tiles_that_it_keeps() -> None:
    grid = TileGrid(30, 30, 10, 0)
    kept = KeptTiles(load_row)
    before = len(pickle.dumps(kept))
    assert [kept(tile) for tile in grid] == [tile.row for tile in grid]
    assert len(pickle.dumps(kept)) == before
    assert pickle.loads(pickle.dumps(kept))(grid[2, 1]) == 2


def test_expected_tiles_are_fetched_ahead_and_others_when_they_are_asked_for() -> None:
    grid = TileGrid(40, 40, 10, 0)
    tiles, fetched, loaded = list(grid), list[Tile](), list[Tile]()

    def fetch(tile: Tile) -> int | None:
        fetched.append(tile)
        return None if tile.row == 3 else 10 * tile.row + tile.col

    def load(tile: Tile) -> int:
        loaded.append(tile)
        return -1

    kept = KeptTiles(load, 100, fetch)
    expect(kept, iter(tiles))
    assert fetched == []
    assert kept(tiles[0]) == 0
    assert len(kept._ahead) == AT_ONCE - 1
    # One that is passed over makes room, and one out of turn is fetched next to the others.
    assert kept(tiles[2]) == 2
    assert kept(tiles[15]) == -1
    found = [kept(tile) for tile in tiles[3:12]]
    assert found == [tile.row * 10 + tile.col for tile in tiles[3:12]]
    assert kept(tiles[1]) == 1
    assert loaded == [tiles[15]]
    again = Counter(fetched)
    assert {tile for tile in again if again[tile] > 1} <= {tiles[1], tiles[15]}
    assert [kept(tile) for tile in tiles[12:]] == [-1] * 4
    assert pickle.loads(pickle.dumps(KeptTiles(load_row, 9, load_row)))(grid[2, 1]) == 2


def test_an_error_of_a_fetch_is_raised_when_its_tile_is_asked_for() -> None:
    tiles = list(TileGrid(10, 40, 10, 0))

    def fetch(tile: Tile) -> int:
        if tile.col == 2:
            raise RunError("the store does not answer")
        return tile.col

    kept = KeptTiles(load_row, fetch=fetch)
    expect(kept, tiles)
    assert [kept(tile) for tile in tiles[:2]] == [0, 1]
    with pytest.raises(RunError, match="the store does not answer"):
        kept(tiles[2])
    assert kept(tiles[3]) == 3


def test_functions_that_keep_nothing_expect_nothing() -> None:
    expect(load_row, iter(TileGrid(10, 10, 10, 0)))
