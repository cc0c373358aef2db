"""Stored tiles are loaded about once a scan block by block, and few of them are held."""

import pickle
from collections import Counter
from weakref import WeakSet

from hypothesis import example, given
from hypothesis import strategies as st

from alps_geo.grid import Tile, TileGrid
from alps_geo.segments.blocks import KEPT_TILES, SIDE, tile_blocks
from alps_geo.tiles.stored import KeptTiles


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
