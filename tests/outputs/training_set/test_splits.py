"""Splits: apart on the ground, near the wanted shares, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio.warp
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window
from scipy.sparse import csr_array
from training_sources import ArraySource

from alps_geo.outputs.training_set.chips import chip_windows
from alps_geo.outputs.training_set.places import Places, places_of
from alps_geo.outputs.training_set.source import SourceFacts
from alps_geo.outputs.training_set.splits import LEFT_OUT, assign_splits

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 64
SHARES = (0.8, 0.1, 0.1)


def places_for(sources: list[ArraySource], windows: list[list[Window]]) -> Places:
    return places_of([SourceFacts.of(each) for each in sources], windows, SIDE)


def grid(rows: int, cols: int, overlap: int = 0) -> tuple[list[Window], Places]:
    step = SIDE - overlap
    shape = (SIDE + (rows - 1) * step, SIDE + (cols - 1) * step)
    windows = chip_windows(shape, SIDE, step)
    return windows, places_for([ArraySource("scene", shape)], [windows])


def split(places: Places, shares: tuple[float, ...] = SHARES, seed: int = 0) -> NDArray[np.int64]:
    content = np.random.default_rng(seed).integers(1, 99, (len(places), 4))
    return assign_splits(places, csr_array(content), shares, seed)


def distance(one: Window, other: Window) -> int:
    """Pixels between two windows along the axis on which they are further apart."""
    (top, bottom), (left, right) = one.toranges()
    (above, below), (before, after) = other.toranges()
    return int(max(top - below, above - bottom, left - after, before - right))


@given(
    rows=st.integers(1, 9),
    cols=st.integers(1, 9),
    overlap=st.integers(0, 50),
    shares=st.sampled_from([SHARES, (0.5, 0.5, 0.0), (0.34, 0.33, 0.33), (0.0, 0.0, 1.0)]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_chips_of_different_splits_are_half_a_chip_apart(
    rows: int, cols: int, overlap: int, shares: tuple[float, ...], seed: int
) -> None:
    windows, places = grid(rows, cols, overlap)
    found = split(places, shares, seed)
    kept = [(w, s) for w, s in zip(windows, found.tolist(), strict=True) if s != LEFT_OUT]
    assert kept
    assert {s for _, s in kept} <= set(np.flatnonzero(shares).tolist())
    for (one, of_one), (other, of_other) in combinations(kept, 2):
        assert of_one == of_other or distance(one, other) >= SIDE // 2


@pytest.mark.parametrize(("side", "most_lost", "most_off"), [(8, 0.25, 0.06), (20, 0.12, 0.03)])
def test_shares_are_reached_and_few_chips_lost(
    side: int, most_lost: float, most_off: float
) -> None:
    _, places = grid(side, side)
    for seed in range(5):
        found = split(places, seed=seed)
        counts = np.bincount(found[found >= 0], minlength=3)
        assert np.abs(counts / counts.sum() - SHARES).max() <= most_off
        assert (found == LEFT_OUT).mean() <= most_lost


def test_the_seed_alone_decides() -> None:
    _, places = grid(8, 8)
    np.testing.assert_array_equal(split(places, seed=3), split(places, seed=3))
    assert any((split(places, seed=3) != split(places, seed=seed)).any() for seed in (4, 5))


def test_nothing_is_lost_without_other_splits() -> None:
    _, places = grid(3, 3)
    assert (split(places, (0.0, 1.0, 0.0)) == 1).all()


def test_the_classes_are_in_all_splits() -> None:
    """Left and right differ; a split of chips from one side alone would know half of it."""
    windows, places = grid(16, 16)
    is_left = np.array([window.col_off < 8 * SIDE for window in windows])
    content = csr_array(np.stack([is_left, ~is_left], axis=1).astype(np.int64))
    found = assign_splits(places, content, SHARES, 0)
    for number in (1, 2):
        assert 0.2 <= is_left[found == number].mean() <= 0.8


def test_scenes_that_overlap_on_the_ground_are_split_as_one() -> None:
    """The second scene is half of the first: no pixel of it is in another split there."""
    first = ArraySource("first", (640, 640))
    second = ArraySource("second", (640, 640), (500_640.0, 4_300_000.0))
    windows = [chip_windows(each.shape, SIDE, SIDE) for each in (first, second)]
    places = places_for([first, second], windows)
    found = split(places)
    boxes = np.concatenate(
        [
            [shapely.box(*_bounds(source, window)) for window in inside]
            for source, inside in zip((first, second), windows, strict=True)
        ]
    )
    for number in (0, 1, 2):
        mine = shapely.union_all(boxes[found == number])
        others = shapely.union_all(boxes[(found != number) & (found != LEFT_OUT)])
        assert mine.distance(others) >= SIDE // 2 * 2  # metres, 2 m a pixel
    assert set(found.tolist()) == {LEFT_OUT, 0, 1, 2}


def _bounds(source: ArraySource, window: Window) -> tuple[float, float, float, float]:
    assert source.transform is not None
    left, top = source.transform @ (window.col_off, window.row_off)
    right, bottom = source.transform @ (
        window.col_off + window.width,
        window.row_off + window.height,
    )
    return left, bottom, right, top


def test_a_scene_in_another_crs_is_near_too() -> None:
    first = ArraySource("first", (SIDE, SIDE))
    zone = CRS.from_epsg(32617)
    (x,), (y,) = rasterio.warp.transform(first.crs, zone, [500_000.0], [4_300_000.0])
    second = replace(first, name="second", corner=(x, y), crs=zone)
    far = replace(second, name="far", corner=(x + 1000, y))
    whole = [Window(0, 0, SIDE, SIDE)]
    places = places_for([far, first, second], [whole, whole, whole])
    assert places.plane.tolist() == [0, 0, 0]
    assert places.near.tolist() == [[1, 2]]


def test_images_without_a_place_are_apart() -> None:
    images = [ArraySource(str(i), (SIDE, SIDE), None) for i in range(40)]
    places = places_for(images, [[Window(0, 0, SIDE, SIDE)]] * 40)
    found = split(places)
    assert len(places.near) == 0
    assert np.bincount(found).tolist() == [32, 4, 4]
