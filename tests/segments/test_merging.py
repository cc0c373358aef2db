"""Alike segments merge: what is left is unlike, and nothing depends on their order."""

from math import frexp
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.segments import merging
from alps_geo.segments.borders import Borders
from alps_geo.segments.merging import merge_alike


def lattice(height: int, width: int) -> Borders:
    """Borders of square segments."""
    return Borders.between(np.arange(1, height * width + 1).reshape(height, width))


def groups(found: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(found == number).tolist()) for number in np.unique(found)}


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 2), st.integers(0, 2**32 - 1))
def test_groups_are_the_same_in_any_order_and_what_is_left_is_unlike(
    height: int, width: int, strength: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    count = height * width
    rows, area = rng.normal(size=(count, 3)), rng.uniform(0.05, 2.5, count)
    mergeable, borders = rng.random(count) < 0.9, lattice(height, width)
    found = merge_alike(rows.copy(), area, borders, mergeable, strength)
    # Numbered by the first of each, without gaps.
    firsts = [np.flatnonzero(found == number)[0] for number in range(found.max() + 1)]
    assert firsts == sorted(firsts)
    order = rng.permutation(count)
    position = np.argsort(order)
    again = merge_alike(
        rows[order], area[order], borders.renamed(position), mergeable[order], strength
    )
    assert groups(again[position]) == groups(found)
    check_groups(found, rows, area, borders, mergeable, strength)


def check_groups(
    found: NDArray[np.int64],
    rows: NDArray[np.float64],
    area: NDArray[np.float64],
    borders: Borders,
    mergeable: NDArray[np.bool_],
    strength: float,
) -> None:
    """Check that groups hang together, leave masks alone, and differ from their neighbours."""
    inside = borders.pairs[found[borders.pairs[:, 0]] == found[borders.pairs[:, 1]]]
    graph = sparse.coo_array((np.ones(len(inside)), inside.T), shape=2 * (len(rows),))
    assert connected_components(graph)[0] == found.max() + 1
    size = np.bincount(found, area)
    assert (np.bincount(found)[found[~mergeable]] == 1).all()
    sums = np.stack([np.bincount(found, area * row) for row in rows.T], 1)
    means = sums / size[:, None]
    may = np.zeros(len(size), np.bool_)
    may[found[mergeable]] = True
    for first, second in borders.renamed(found).pairs:
        if may[first] and may[second]:
            apart = ((means[first] - means[second]) ** 2).sum()
            cost = size[first] * size[second] / (size[first] + size[second]) * apart
            assert cost > strength * (1 - 1e-9)


def merged_plainly(
    rows: NDArray[np.float64], area: NDArray[np.float64], borders: Borders, strength: float
) -> list[int]:
    """Merge in rounds over all pairs, each measured again in every round."""
    centers, size, first_of = rows.copy(), area.copy(), [*range(len(rows))]
    pairs = {(int(first), int(second)) for first, second in borders.pairs}
    while True:
        keys: list[tuple[float, int, int, int]] = []
        for first, second in pairs:
            apart = ((centers[first] - centers[second]) ** 2).sum()
            cost = size[first] * size[second] / (size[first] + size[second]) * apart
            chance = (first * 0x9E3779B97F4A7C15 ^ second * 0xC2B2AE3D27D4EB4F) % 2**64 >> 6
            chance += (frexp(size[first] + size[second])[1] + 16) << 58
            if cost <= strength:
                keys.append((cost, chance, first, second))
        best: dict[int, tuple[int, int]] = {}
        for _, _, first, second in sorted(keys):
            best.setdefault(first, (first, second))
            best.setdefault(second, (first, second))
        into = {s: f for f, s in best.values() if best[f] == best[s] == (f, s)}
        if not into:
            numbers = {first: number for number, first in enumerate(dict.fromkeys(first_of))}
            return [numbers[first] for first in first_of]
        for gone, kept in into.items():
            whole = size[kept] + size[gone]
            centers[kept] += size[gone] / whole * (centers[gone] - centers[kept])
            size[kept] = whole
        first_of = [into.get(first, first) for first in first_of]
        renamed = [sorted(into.get(each, each) for each in pair) for pair in pairs]
        pairs = {(first, second) for first, second in renamed if first != second}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 2), st.integers(0, 2**32 - 1))
def test_groups_are_those_of_rounds_over_all_pairs(
    height: int, width: int, strength: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Few values, so that many costs are equal.
    rows = rng.integers(0, 4, (height * width, 2)).astype(np.float64) / 3
    area, everyone = rng.choice([0.25, 1.0], len(rows)), np.ones(len(rows), np.bool_)
    found = merge_alike(rows.copy(), area, lattice(height, width), everyone, strength)
    assert found.tolist() == merged_plainly(rows, area, lattice(height, width), strength)


@pytest.mark.parametrize("pattern", ["flat", "checkerboard", "ramp"])
def test_many_equal_costs_take_few_rounds(pattern: str) -> None:
    height, width = 200, 300
    row, col = np.indices((height, width))
    values = {"flat": 0 * row, "checkerboard": (row + col) % 2, "ramp": col / 1e3}[pattern]
    rows = values.reshape(-1, 1).astype(np.float32)
    area, everyone = np.ones(len(rows)), np.ones(len(rows), np.bool_)
    with patch.object(merging, "_mutual_best", wraps=merging._mutual_best) as rounds:
        found = merge_alike(rows, area, lattice(height, width), everyone, 0.2)
    assert rounds.call_count < 100
    expected = {"flat": 1, "checkerboard": len(rows), "ramp": 20}[pattern]
    assert found.max() + 1 == expected if pattern != "ramp" else found.max() + 1 < expected


def test_strength_0_merges_nothing_but_equals() -> None:
    rows = np.array([[1.0], [1.0], [1.5], [1.0]])
    area, everyone = np.ones(4), np.ones(4, np.bool_)
    assert merge_alike(rows, area, lattice(1, 4), everyone, 0.0).tolist() == [0, 0, 1, 2]


def test_one_segment_and_none_stay() -> None:
    one = merge_alike(np.ones((1, 2)), np.ones(1, int), Borders.none(), np.ones(1, bool), 9.0)
    assert one.tolist() == [0]
    none = merge_alike(np.ones((0, 2)), np.ones(0, int), Borders.none(), np.ones(0, bool), 9.0)
    assert none.tolist() == []


def test_merging_ends_when_so_many_are_left() -> None:
    rng = np.random.default_rng(0)
    rows, area = rng.normal(size=(400, 2)), rng.uniform(0.05, 2.5, 400)
    everything = np.ones(400, bool)
    for fewest in (1, 37, 400):
        found = merge_alike(rows.copy(), area, lattice(20, 20), everything, np.inf, fewest)
        assert found.max() + 1 == fewest


def test_the_cheapest_merge_first() -> None:
    rows = np.array([0.0, 0.3, 5.0, 5.1, 9.0])[:, None]
    area, everything = np.ones(5), np.ones(5, bool)
    left = [
        merge_alike(rows.copy(), area, lattice(1, 5), everything, np.inf, n).tolist()
        for n in (4, 3)
    ]
    assert left == [[0, 1, 2, 2, 3], [0, 0, 1, 1, 2]]
