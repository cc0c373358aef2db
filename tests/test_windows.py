import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from alps_geo import windows

PIXELS = np.arange(17 * 23).reshape(17, 23)
BOUNDS = windows.whole(17, 23)
RANGES = {
    length: st.tuples(st.integers(0, length - 1), st.integers(0, length - 1)).map(
        lambda pair: (min(pair), max(pair) + 1)
    )
    for length in PIXELS.shape
}
WINDOWS = st.builds(Window.from_slices, *RANGES.values())


def test_examples_are_true() -> None:
    assert doctest.testmod(windows).failed == 0


@given(WINDOWS, st.integers(0, 30))
def test_a_window_is_found_again_in_the_wider_one(window: Window, pixels: int) -> None:
    wide = windows.buffered(window, pixels, BOUNDS)
    around = PIXELS[wide.toslices()]
    np.testing.assert_array_equal(around[windows.within(window, wide)], PIXELS[window.toslices()])
    row, col = windows.origin(window)
    rows = np.arange(17)[max(row - pixels, 0) : row + window.height + pixels]
    assert (wide.row_off, wide.height) == (rows[0], len(rows))
    assert wide.col_off == max(col - pixels, 0)
    assert PIXELS[row, col] == PIXELS[window.toslices()][0, 0]


@given(WINDOWS, st.integers(0, 3))
def test_an_extended_window_ends_at_the_bounds(window: Window, pixels: int) -> None:
    long = windows.extended(window, pixels, BOUNDS)
    assert windows.origin(long) == windows.origin(window)
    assert long.row_off + long.height == min(window.row_off + window.height + pixels, 17)
    assert long.col_off + long.width == min(window.col_off + window.width + pixels, 23)


@given(WINDOWS, st.integers(1, 4))
def test_halves_cover_the_window_until_they_are_small(window: Window, parts: int) -> None:
    least = max(1, window.height // parts), max(1, window.width // parts)
    seen = np.zeros(PIXELS.shape, int)
    waiting = [window]
    while waiting:
        part = waiting.pop()
        pieces = windows.halves(part, least)
        waiting += pieces
        if not pieces:
            assert part.height < 2 * least[0]
            assert part.width < 2 * least[1]
            seen[part.toslices()] += 1
    assert (seen[window.toslices()] == 1).all()
    assert seen.sum() == window.height * window.width


@given(st.tuples(st.floats(-5, 25), st.floats(-5, 30)), st.integers(1, 40))
def test_a_centred_square_stays_inside(middle: tuple[float, float], side: int) -> None:
    window = windows.centred(middle, side, BOUNDS)
    assert (window.height, window.width) == (min(side, 17), min(side, 23))
    assert windows.buffered(window, 0, BOUNDS) == window


def test_a_part_of_a_source_is_transferred_to_its_target() -> None:
    target = Window(100, 50, 46, 17)
    moved = windows.transferred(Window(3, 5, 10, 2), BOUNDS, target)
    assert moved == Window(106, 55, 20, 2)
    assert windows.transferred(BOUNDS, BOUNDS, target) == target


def test_halves_of_a_single_pixel_are_none() -> None:
    assert windows.halves(Window(4, 4, 1, 1), (1, 1)) == []


@pytest.mark.parametrize("shape", [(1, 1), (17, 23)])
def test_a_whole_raster_is_a_window(shape: tuple[int, int]) -> None:
    assert windows.whole(*shape).toslices() == (slice(0, shape[0]), slice(0, shape[1]))
