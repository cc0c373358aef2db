"""Stored tiles are loaded once a scan, and two rows of them are held."""

from collections import Counter
from weakref import WeakSet

from hypothesis import example, given
from hypothesis import strategies as st

from alps_geo.grid import Tile, TileGrid
from alps_geo.tiles.stored import keep_rows


class Loaded:
    """Stand-in for a tile's fragments that can be counted while it is held."""


# Tiles overlap by half, and the last row reaches the last but two.
@example(19, 25, 12, 6)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.integers(0, 20))
def test_each_tile_is_loaded_once_each_time_through_and_two_rows_are_held(
    height: int, width: int, tile_size: int, overlap: int
) -> None:
    grid = TileGrid(height, width, tile_size, min(overlap, tile_size // 2))
    count: Counter[Tile] = Counter()
    held: WeakSet[Loaded] = WeakSet()

    def load(tile: Tile) -> Loaded:
        count[tile] += 1
        loaded = Loaded()
        held.add(loaded)
        return loaded

    kept = keep_rows(grid, load)
    pairs = [(tile, other) for tile in grid for other in grid.around(tile)]
    # One before and one after, or more where the last are moved far inwards.
    rows, cols = (
        max(1, max(steps)) - min(-1, min(steps))
        for steps in (
            [other.row - tile.row for tile, other in pairs],
            [other.col - tile.col for tile, other in pairs],
        )
    )
    for times in (1, 2):
        for tile in grid:
            assert all(kept(other) is kept(other) for other in grid.around(tile))
            assert len(held) <= rows * grid.shape[1] + cols + 1
        # What is still held from the end may spare a tile the second loading.
        assert all(count[tile] <= times for tile in grid)
