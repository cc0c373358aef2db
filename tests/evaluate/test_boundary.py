"""Boundary F1 is that of distance maps of the whole image, whatever the windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import subdivide
from scipy.ndimage import distance_transform_edt

from alps_geo import windows
from alps_geo.evaluate.boundary import BoundaryCounts, count_boundaries, halo

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))


@st.composite
def maps(draw: st.DrawFn) -> tuple[Ints, Ints, Bools]:
    shape = draw(SHAPES)
    seed = draw(st.integers(0, 1000))
    size = draw(st.integers(1, 6))
    rng = np.random.default_rng(seed)
    rough = [
        np.kron(rng.integers(-1, 4, (25, 25)), np.ones((size, size), int))[: shape[0], : shape[1]]
        for _ in range(2)
    ]
    valid = rng.random(shape) < draw(st.sampled_from([0.3, 0.9, 1.0]))
    return np.where(valid, np.maximum(rough[0], 0), -1), rough[1], valid


def boundary_pixels(classes: Ints, valid: Bools, number: int) -> Bools:
    """Find a class's pixels that have one of four neighbours with truth outside of it."""
    edge = np.zeros(classes.shape, bool)
    for row, col in np.argwhere(valid & (classes == number)):
        for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            r, c = row + down, col + right
            if 0 <= r < classes.shape[0] and 0 <= c < classes.shape[1] and valid[r, c]:
                edge[row, col] |= classes[r, c] != number
    return edge


def near(edge: Bools, tolerance: int) -> Bools:
    if not edge.any():
        return np.zeros_like(edge)
    close: Bools = distance_transform_edt(~edge) <= tolerance
    return close


def whole(truth: Ints, found: Ints, valid: Bools, classes: int, *tolerances: int) -> BoundaryCounts:
    everything = (slice(0, truth.shape[0]), slice(0, truth.shape[1]))
    return count_boundaries(truth, found, valid, everything, classes, tolerances)


def as_lists(counts: BoundaryCounts) -> list[list[int]]:
    return [
        part.tolist()
        for part in (counts.truth, counts.found, counts.truth_matched, counts.found_matched)
    ]


@settings(max_examples=60)
@given(maps())
def test_counts_are_those_of_distance_maps(case: tuple[Ints, Ints, Bools]) -> None:
    truth, found, valid = case
    counts = whole(truth, found, valid, 4, 1, 3)
    for number in range(4):
        in_truth = boundary_pixels(truth, valid, number)
        in_map = boundary_pixels(found, valid, number)
        assert counts.truth[number] == in_truth.sum()
        assert counts.found[number] == in_map.sum()
        for index, tolerance in enumerate((1, 3)):
            matched = (in_truth & near(in_map, tolerance)).sum()
            assert counts.truth_matched[index, number] == matched
            matched = (in_map & near(in_truth, tolerance)).sum()
            assert counts.found_matched[index, number] == matched


@settings(max_examples=60)
@given(maps(), st.integers(1, 12))
def test_windows_add_up_to_the_whole(case: tuple[Ints, Ints, Bools], size: int) -> None:
    truth, found, valid = case
    total = BoundaryCounts.zero(2, 4)
    height, width = truth.shape
    everything = windows.whole(height, width)
    for window in subdivide(everything, size, size):
        wide = windows.buffered(window, halo((1, 3)), everything)
        part, inner = wide.toslices(), windows.within(window, wide)
        total += count_boundaries(truth[part], found[part], valid[part], inner, 4, (1, 3))
    assert as_lists(total) == as_lists(whole(truth, found, valid, 4, 1, 3))


def halves(border: int) -> Ints:
    return np.repeat(np.where(np.arange(40) < border, 0, 1)[np.newaxis], 30, axis=0)


def test_a_border_matches_within_the_tolerance_only() -> None:
    valid = np.ones((30, 40), bool)
    for tolerance, moved, expected in [(1, 1, 1.0), (1, 2, 0.0), (3, 3, 1.0), (3, 4, 0.0)]:
        counts = whole(halves(20), halves(20 + moved), valid, 2, tolerance)
        assert counts.scores((tolerance,))[0].mean_f1 == expected


def test_a_class_without_any_boundary_has_no_score() -> None:
    valid = np.ones((30, 40), bool)
    (scores,) = whole(halves(20), halves(20), valid, 3, 1).scores((1,))
    assert scores.f1[:2].tolist() == [1, 1]
    assert np.isnan(scores.f1[2])
    assert scores.mean_f1 == 1
    nothing = np.zeros((30, 40), int)
    assert np.isnan(whole(nothing, nothing, valid, 1, 1).scores((1,))[0].mean_f1)


@pytest.mark.parametrize("classes", [64, 65, 200])
def test_any_number_of_classes_is_scored(classes: int) -> None:
    stripes = np.repeat(np.arange(classes)[:, np.newaxis], 3, axis=1)
    (scores,) = whole(stripes, stripes, np.ones(stripes.shape, bool), classes, 1).scores((1,))
    assert scores.f1.tolist() == [1.0] * classes
