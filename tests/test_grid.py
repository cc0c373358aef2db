"""The tile grid, for any scene, tile size and overlap."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rasterio.windows import Window

from alps_geo.errors import SettingsError
from alps_geo.grid import TileGrid


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    """Grids small enough to paint, from less than a tile to a dozen on each side."""
    tile_size = draw(st.integers(1, 24))
    longest = 6 * tile_size + 1
    return TileGrid(
        height=draw(st.integers(1, longest)),
        width=draw(st.integers(1, longest)),
        tile_size=tile_size,
        overlap=draw(st.integers(0, tile_size // 2)),
    )


@given(grids())
def test_cores_cover_each_pixel_exactly_once(grid: TileGrid) -> None:
    painted = np.zeros((grid.height, grid.width), int)
    for tile in grid:
        painted[tile.core.toslices()] += 1
    assert (painted == 1).all()


@given(grids())
def test_windows_are_inside_the_scene_and_as_large_as_it_allows(grid: TileGrid) -> None:
    for tile in grid:
        rows, cols = tile.window.toslices()
        assert rows.start >= 0
        assert cols.start >= 0
        assert rows.stop <= grid.height
        assert cols.stop <= grid.width
        assert rows.stop - rows.start == min(grid.tile_size, grid.height)
        assert cols.stop - cols.start == min(grid.tile_size, grid.width)


@given(grids())
def test_neighbours_share_the_overlap_and_their_cores_meet_in_the_middle_of_it(
    grid: TileGrid,
) -> None:
    rows, cols = grid.shape
    down = [pairwise(grid[row, col] for row in range(rows)) for col in range(cols)]
    for above, below in (pair for pairs in down for pair in pairs):
        start = below.window.row_off
        stop = above.window.row_off + above.window.height
        assert stop - start >= grid.overlap
        assert below.core.row_off == (start + stop) // 2
        assert below.window.row_off > above.window.row_off
    across = [pairwise(grid[row, col] for col in range(cols)) for row in range(rows)]
    for left, right in (pair for pairs in across for pair in pairs):
        start = right.window.col_off
        stop = left.window.col_off + left.window.width
        assert stop - start >= grid.overlap
        assert right.core.col_off == (start + stop) // 2
        assert right.window.col_off > left.window.col_off


@given(grids())
def test_no_more_windows_than_needed_spread_evenly(grid: TileGrid) -> None:
    starts = sorted({int(tile.window.row_off) for tile in grid})
    steps = [after - before for before, after in pairwise(starts)]
    assert starts[0] == 0
    assert starts[-1] + min(grid.tile_size, grid.height) == grid.height
    assert max(steps, default=0) - min(steps, default=0) <= 1
    reach = (grid.tile_size - grid.overlap) * (len(steps) - 1) + grid.tile_size
    assert not steps or reach < grid.height


@given(grids())
def test_each_pixel_has_the_tile_whose_core_holds_it_for_owner(grid: TileGrid) -> None:
    points = np.argwhere(np.ones((grid.height, grid.width), bool))
    owners = grid.owners(points + 0.5).reshape(grid.height, grid.width)
    for tile in grid:
        assert (owners[tile.core.toslices()] == grid.index(tile)).all()


@given(st.data(), grids())
def test_a_tile_sees_whole_what_touches_no_edge_beyond_which_the_scene_goes_on(
    data: st.DataObject, grid: TileGrid
) -> None:
    spans = []
    for length in (grid.height, grid.width):
        first = data.draw(st.integers(0, length - 1))
        spans.append((first, data.draw(st.integers(first + 1, length))))
    inside = np.zeros((grid.height, grid.width), dtype=bool)
    inside[slice(*spans[0]), slice(*spans[1])] = True
    for tile in grid:
        rows, cols = tile.window.toslices()
        # What a window cannot tell from something larger goes on in the pixels right around it.
        around = inside.copy()
        around[
            slice(rows.start + (rows.start > 0), rows.stop - (rows.stop < grid.height)),
            slice(cols.start + (cols.start > 0), cols.stop - (cols.stop < grid.width)),
        ] = False
        sees = grid.see_whole(np.array([grid.index(tile)]), np.array([spans]))
        assert sees.tolist() == [not around.any()]


@given(grids())
def test_core_slices_cut_the_core_out_of_the_window(grid: TileGrid) -> None:
    where = np.indices((grid.height, grid.width))
    for tile in grid:
        read = where[:, *tile.window.toslices()]
        np.testing.assert_array_equal(read[:, *tile.core_slices], where[:, *tile.core.toslices()])
        assert tile.core.height > 0
        assert tile.core.width > 0


@given(grids())
def test_every_object_as_large_as_the_overlap_is_whole_in_a_window(grid: TileGrid) -> None:
    """A stretch of `overlap` pixels, wherever it lies, is inside at least one window."""
    rows = {(tile.window.row_off, tile.window.row_off + tile.window.height) for tile in grid}
    size = min(max(grid.overlap, 1), grid.height)
    for top in range(grid.height - size + 1):
        assert any(first <= top and top + size <= last for first, last in rows)


@given(grids())
def test_tiles_come_row_by_row_and_know_their_place(grid: TileGrid) -> None:
    rows, cols = grid.shape
    places = [(tile.row, tile.col) for tile in grid]
    assert places == [(row, col) for row in range(rows) for col in range(cols)]
    assert len(grid) == len(places)


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ((0, 5, 4, 0), "0 x 5"),
        ((5, 0, 4, 0), "5 x 0"),
        ((5, 5, 0, 0), "tile size is 0"),
        ((5, 5, 4, -1), "overlap is -1"),
        ((5, 5, 4, 3), "overlap is 3 pixels, expected 0 to 2"),
    ],
)
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int, int], found: str) -> None:
    with pytest.raises(SettingsError, match=found):
        TileGrid(*sizes)


@st.composite
def moved_grids(draw: st.DrawFn) -> TileGrid:
    grid = draw(grids())
    rows, cols = (draw(st.integers(0, max(step - 1, 0))) for step in grid.steps)
    return replace(grid, offset=(rows, cols))


def starts(grid: TileGrid) -> tuple[list[int], list[int]]:
    rows, cols = grid.shape
    return (
        [int(grid[row, 0].window.row_off) for row in range(rows)],
        [int(grid[0, col].window.col_off) for col in range(cols)],
    )


@example(TileGrid(49, 24, 24, 12, (4, 0)))  # its first window reaches into the fourth
@given(moved_grids())
def test_a_moved_grid_covers_each_pixel_once_with_windows_inside_the_scene(grid: TileGrid) -> None:
    painted, weights = np.zeros((2, grid.height, grid.width))
    for tile in grid:
        rows, cols = tile.window.toslices()
        assert 0 <= rows.start < rows.stop <= grid.height
        assert 0 <= cols.start < cols.stop <= grid.width
        assert rows.stop - rows.start == min(grid.tile_size, grid.height)
        assert cols.stop - cols.start == min(grid.tile_size, grid.width)
        painted[tile.core.toslices()] += 1
        weights[tile.window.toslices()] += grid.weights(tile)
        assert grid.owners(np.array([[tile.core.row_off, tile.core.col_off]])) == grid.index(tile)
    assert (painted == 1).all()
    np.testing.assert_allclose(weights, 1)


@given(moved_grids())
def test_an_offset_moves_all_windows_but_those_at_the_edges(grid: TileGrid) -> None:
    before = starts(replace(grid, offset=(0, 0)))
    for old, new, offset in zip(before, starts(grid), grid.offset, strict=True):
        inner = {start + offset for start in old if start + offset < old[-1]}
        assert new == sorted({old[0], *inner, old[-1]})
        assert max(map(int, np.diff(new)), default=0) <= max(map(int, np.diff(old)), default=0)


@given(moved_grids(), st.data())
def test_tiles_that_see_a_window_are_those_that_share_a_pixel_with_it(
    grid: TileGrid, data: st.DataObject
) -> None:
    spans = []
    for length in (grid.height, grid.width):
        first = data.draw(st.integers(0, length - 1))
        spans.append((first, data.draw(st.integers(first + 1, length))))
    inside = np.zeros((grid.height, grid.width), bool)
    inside[slice(*spans[0]), slice(*spans[1])] = True
    nearest, *others = grid.seeing(Window.from_slices(*spans))
    assert grid.index(nearest) == grid.owners(np.array([[spans[0][0] + 0.5, spans[1][0] + 0.5]]))
    sharing = [tile for tile in grid if inside[tile.window.toslices()].any()]
    assert others == [tile for tile in sharing if tile != nearest]
    assert nearest in sharing


@pytest.mark.parametrize("offset", [(-1, 0), (0, 3), (1, 0)])
def test_an_offset_of_a_whole_distance_is_refused(offset: tuple[int, int]) -> None:
    grid = TileGrid(4, 10, 4, 1)
    assert grid.steps == (0, 3)
    with pytest.raises(SettingsError, match="less than the distance between two windows"):
        replace(grid, offset=offset)
