"""Chips cover a source, and their names are their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window
from training_sources import IMAGES, SCENE

from alps_geo.outputs.training_set.chips import chip_name, chip_windows, unique_names


@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    side=st.integers(16, 128),
    share=st.floats(0, 0.8),
)
def test_chips_of_one_size_cover_the_source(
    shape: tuple[int, int], side: int, share: float
) -> None:
    overlap = int(side * share)
    windows = chip_windows(shape, side, side - overlap)
    covered = np.zeros(shape, np.int64)
    for window in windows:
        assert (window.height, window.width) == (min(side, shape[0]), min(side, shape[1]))
        covered[window.toslices()] += 1
    assert covered.min() == 1 or overlap
    assert covered.min() >= 1
    assert len({window.toranges() for window in windows}) == len(windows)


def test_what_fits_into_a_chip_is_not_cut() -> None:
    (window,) = chip_windows((40, 48), 48, 48)
    assert window == Window(0, 0, 48, 40)
    assert chip_name(IMAGES[2], Window(0, 0, 48, 48)) == "b.c"


def test_names_say_where_a_chip_lies() -> None:
    assert chip_name(SCENE, Window(32, 152, 48, 48)) == "scene_r00152_c00032"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([("train", "a"), ("train", "a"), ("train", "A")], ["a", "a-2", "A-3"]),
        ([("train", "a"), ("val", "a")], ["a", "a"]),
        ([("train", "a"), ("train", "a-2"), ("train", "a")], ["a", "a-2", "a-3"]),
    ],
)
def test_names_are_unique_on_any_disk(names: list[tuple[str, str]], expected: list[str]) -> None:
    assert unique_names(names) == expected
