"""Stored tiles are loaded once a scan, and two rows of them are held."""

from collections import Counter
from weakref import WeakSet

from hypothesis import given
from hypothesis import strategies as st

from alps_geo.grid import Tile, TileGrid
from alps_geo.tiles.stored import keep_rows


class Loaded:
    """Stand-in for a tile's fragments that can be counted while it is held."""


@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.data())
def test_each_tile_is_loaded_once_each_time_through_and_two_rows_are_held(
    height: int, width: int, tile_size: int, data: st.DataObject
) -> None:
    grid = TileGrid(height, width, tile_size, data.draw(st.integers(0, tile_size // 2)))
    count: Counter[Tile] = Counter()
    held: WeakSet[Loaded] = WeakSet()

    def load(tile: Tile) -> Loaded:
        count[tile] += 1
        loaded = Loaded()
        held.add(loaded)
        return loaded

    kept = keep_rows(grid, load)
    for times in (1, 2):
        for tile in grid:
            assert all(kept(other) is kept(other) for other in grid.around(tile))
            assert len(held) <= 2 * grid.shape[1] + 3
        # What is still held from the end may spare a tile the second loading.
        assert all(count[tile] <= times for tile in grid)
