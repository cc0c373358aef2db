"""Scores from counts are those of scikit-learn on whole arrays."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    adjusted_rand_score,
    completeness_score,
    f1_score,
    homogeneity_score,
    jaccard_score,
    v_measure_score,
)

from alps_geo.evaluate.contingency import NO_CLASS, Contingency, PairCounts

SIZES = st.integers(1, 60)
LABELS = SIZES.flatmap(
    lambda size: st.tuples(
        arrays(np.uint32, size, elements=st.sampled_from([0, 1, 2, 3, 70_000, 2**32 - 1])),
        arrays(np.int32, size, elements=st.sampled_from([-5, 0, 1, 2, 255])),
    )
)


def counted(labels: NDArray[np.uint32], truth: NDArray[np.int32], pieces: int = 3) -> Contingency:
    counts = PairCounts()
    for some, other in zip(
        np.array_split(labels, pieces), np.array_split(truth, pieces), strict=True
    ):
        counts.add(some, other)
    return counts.table()


def mapped(table: Contingency, given: NDArray[np.intp], labels: NDArray[np.uint32]) -> list[int]:
    """Give each pixel the class of its id; -99 for none."""
    classes = {
        int(number): -99 if index == NO_CLASS else int(table.classes[index])
        for number, index in zip(table.ids, given, strict=True)
    }
    return [classes[int(label)] for label in labels]


@given(LABELS, st.integers(1, 9))
def test_counts_do_not_depend_on_the_pieces(
    arrays: tuple[NDArray[np.uint32], NDArray[np.int32]], pieces: int
) -> None:
    table = counted(*arrays, pieces=pieces)
    pairs = {
        (int(table.ids[row]), int(table.classes[col])): int(count)
        for row, col, count in zip(table.rows, table.cols, table.counts, strict=True)
    }
    expected: dict[tuple[int, int], int] = {}
    for pair in zip(arrays[0].tolist(), arrays[1].tolist(), strict=True):
        expected[pair] = expected.get(pair, 0) + 1
    assert pairs == expected


def test_many_ids_are_counted_right() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2**32, 3_000_000, np.uint32)
    labels[::3] = labels[0]
    truth = rng.integers(0, 5, len(labels), np.int32)
    table = counted(labels, truth, pieces=7)
    keys, counts = np.unique(labels.astype(np.uint64) * 5 + truth, return_counts=True)
    assert (table.ids[table.rows].astype(np.uint64) * 5 + table.classes[table.cols] == keys).all()
    assert (table.counts == counts).all()


@settings(max_examples=50)
@given(LABELS)
def test_the_majority_map_scores_as_scikit_learn_says(
    arrays: tuple[NDArray[np.uint32], NDArray[np.int32]],
) -> None:
    labels, truth = arrays
    table = counted(labels, truth)
    given = table.majority()
    for number, index in zip(table.ids, given, strict=True):
        values, counts = np.unique(truth[labels == number], return_counts=True)
        expected = NO_CLASS if number == 0 else table.classes.searchsorted(values[counts.argmax()])
        assert index == expected
    assert_scores(table, given, labels, truth)


@settings(max_examples=50)
@given(LABELS)
def test_the_one_to_one_map_scores_as_scikit_learn_says(
    arrays: tuple[NDArray[np.uint32], NDArray[np.int32]],
) -> None:
    labels, truth = arrays
    table = counted(labels, truth)
    given = table.one_to_one()
    used = given[given != NO_CLASS]
    assert len(set(used.tolist())) == len(used)
    assert_scores(table, given, labels, truth)


def assert_scores(
    table: Contingency,
    given: NDArray[np.intp],
    labels: NDArray[np.uint32],
    truth: NDArray[np.int32],
) -> None:
    scores = table.score(given)
    found = mapped(table, given, labels)
    classes = table.classes.tolist()
    assert scores.accuracy == pytest.approx(accuracy_score(truth, found))
    options = {"labels": classes, "average": None, "zero_division": 0}
    assert scores.iou == pytest.approx(jaccard_score(truth, found, **options))
    assert scores.f1 == pytest.approx(f1_score(truth, found, **options))
    assert scores.confusion.sum() == len(labels)
    assert scores.confusion[:, -1].sum() == found.count(-99)


@settings(max_examples=30)
@given(arrays(np.int64, (3, 4), elements=st.integers(0, 20)))
def test_one_to_one_finds_the_best_pairing(cells: NDArray[np.int64]) -> None:
    rows, cols = (index.ravel() for index in np.indices(cells.shape))
    ids, classes = np.arange(1, 4, dtype=np.uint32), np.arange(4, dtype=np.int32)
    table = Contingency(ids, classes, rows, cols, cells.ravel())
    found = sum(int(cells[row, col]) for row, col in enumerate(table.one_to_one()))
    assert found == max(
        sum(int(cells[row, col]) for row, col in enumerate(order))
        for order in permutations(range(4), 3)
    )


@settings(max_examples=50)
@given(LABELS)
def test_groupings_compare_as_scikit_learn_says(
    arrays: tuple[NDArray[np.uint32], NDArray[np.int32]],
) -> None:
    labels, truth = arrays
    table = counted(labels, truth)
    measured = table.v_measure()
    assert measured.homogeneity == pytest.approx(homogeneity_score(truth, labels), abs=1e-9)
    assert measured.completeness == pytest.approx(completeness_score(truth, labels), abs=1e-9)
    assert measured.v_measure == pytest.approx(v_measure_score(truth, labels), abs=1e-7)
    assert table.adjusted_rand() == pytest.approx(adjusted_rand_score(truth, labels), abs=1e-12)


def test_ten_thousand_million_pixels_do_not_overflow() -> None:
    cells = np.array([4, 1, 1, 4])
    rows, cols = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    ids, classes = np.array([1, 2], np.uint32), np.array([1, 2], np.int32)
    small = Contingency(ids, classes, rows, cols, cells * 1000)
    large = Contingency(ids, classes, rows, cols, cells * 10**9)
    assert large.adjusted_rand() == pytest.approx(small.adjusted_rand(), abs=1e-3)
    assert large.v_measure().v_measure == pytest.approx(small.v_measure().v_measure)
    assert large.score(large.majority()).accuracy == pytest.approx(0.8)


def test_classes_left_out_leave_no_trace() -> None:
    labels = np.array([1, 1, 2, 3, 0, 3], np.uint32)
    truth = np.array([7, 7, 7, 9, 9, 8], np.int32)
    table = counted(labels, truth).without(frozenset({7}))
    assert table.ids.tolist() == [0, 3]
    assert table.classes.tolist() == [8, 9]
    assert table.pixels == 3
    assert table.coverage == pytest.approx(2 / 3)
