from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_info, threadpool_limits

from alps_geo.clusters.tree import SPLIT, TOP, Assigned, CentreTree

COLUMNS = 3


def line(*centers: float) -> CentreTree:
    return CentreTree.flat(np.array(centers)[:, None])


def rows_of(*values: float) -> NDArray[np.float64]:
    return np.array(values)[:, None]


@st.composite
def trees(draw: st.DrawFn) -> CentreTree:
    """Draw trees that were split and merged a few times."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tree = CentreTree.flat(rng.normal(size=(draw(st.integers(1, 6)), COLUMNS)))
    for _ in range(draw(st.integers(0, 5))):
        ids = tree.ids
        if len(ids) > 1 and draw(st.booleans()):
            tree = tree.merged(rng.choice(ids, 2, replace=False).tolist())
        else:
            parts = int(rng.integers(2, 4))
            new = range(int(ids[-1]) + 1, int(ids[-1]) + parts)
            cluster = int(rng.choice(ids))
            tree = tree.split(cluster, rng.normal(size=(parts, COLUMNS)), [cluster, *new])
    return tree


def rows_for(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(scale=2, size=(60, COLUMNS))


def test_a_row_gets_the_nearest_centre_and_its_margin_to_the_next() -> None:
    assigned = line(0, 8).apply(rows_of(0, 2, 4, 7, -8))
    assert assigned.cluster.tolist() == [1, 1, 1, 2, 1]
    assert assigned.distance.tolist() == [0, 2, 4, 1, 8]
    np.testing.assert_allclose(assigned.confidence, [1, 1 - 2 / 6, 0, 1 - 1 / 7, 0.5])
    assert [getattr(assigned, field.name).dtype.name for field in fields(Assigned)] == [
        "int64",
        "float32",
        "float32",
    ]


def test_a_row_of_the_only_cluster_is_sure() -> None:
    assert line(3).apply(rows_of(0, 3, 50)).confidence.tolist() == [1, 1, 1]


def test_the_smallest_margin_on_the_way_down_counts() -> None:
    tree = line(0, 10).split(1, rows_of(-1, 1), [1, 3])
    assert tree.parents.tolist() == [TOP, TOP, 0, 0]
    assert tree.clusters.tolist() == [SPLIT, 2, 1, 3]
    assigned = tree.apply(rows_of(-1, 0.5, 4, 9))
    assert assigned.cluster.tolist() == [1, 3, 3, 2]
    # The first two lie between the parts, the others between the topmost centres.
    np.testing.assert_allclose(
        assigned.confidence, [1 - 1 / 11, 1 - 0.5 / 1.5, 1 - 4 / 6, 1 - 1 / 9], rtol=1e-6
    )
    assert assigned.distance.tolist() == [0, 0.5, 3, 1]


def test_there_is_no_border_between_merged_clusters() -> None:
    merged = line(0, 4, 9).merged([2, 1])
    assert merged.clusters.tolist() == [1, 1, 3]
    np.testing.assert_allclose(merged.apply(rows_of(2, 4)).confidence, [1 - 2 / 7, 1])
    assert merged.merged([1, 3]).apply(rows_of(2, 4, 7)).confidence.tolist() == [1, 1, 1]


@given(trees(), st.integers(0, 99), st.data())
@settings(max_examples=40)
def test_merging_before_and_after_applying_is_the_same(
    tree: CentreTree, seed: int, data: st.DataObject
) -> None:
    ids = tree.ids.tolist()
    together = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    merged, rows = tree.merged(together), rows_for(seed)
    before, after = tree.apply(rows), merged.apply(rows)
    expected = np.where(np.isin(before.cluster, together), min(together), before.cluster)
    np.testing.assert_array_equal(after.cluster, expected)
    np.testing.assert_array_equal(after.distance, before.distance)
    # A border between two that are one now is no border any more; all others stay.
    assert (after.confidence >= before.confidence).all()
    assert merged.ids.tolist() == sorted({*ids} - {*together} | {min(together)})


@given(trees(), st.integers(0, 99), st.integers(2, 4), st.data())
@settings(max_examples=40)
def test_a_split_touches_its_cluster_alone(
    tree: CentreTree, seed: int, parts: int, data: st.DataObject
) -> None:
    ids = tree.ids.tolist()
    cluster = data.draw(st.sampled_from(ids))
    new = [cluster, *range(ids[-1] + 1, ids[-1] + parts)]
    changed = tree.split(cluster, rows_for(seed + 1)[:parts], new)
    before, after = tree.apply(rows_for(seed)), changed.apply(rows_for(seed))
    inside = before.cluster == cluster
    assert set(after.cluster[inside].tolist()) <= set(new)
    for field in fields(Assigned):
        one, two = getattr(before, field.name), getattr(after, field.name)
        np.testing.assert_array_equal(one[~inside], two[~inside])
    assert (after.confidence[inside] <= before.confidence[inside]).all()
    assert changed.ids.tolist() == sorted({*ids, *new})


@given(trees(), st.integers(0, 99))
@settings(max_examples=20)
def test_rows_are_applied_one_by_one_as_together(tree: CentreTree, seed: int) -> None:
    rows = rows_for(seed)
    whole = tree.apply(rows)
    parts = [tree.apply(part) for part in np.array_split(rows, 3)]
    for field in fields(Assigned):
        joined = np.concatenate([getattr(part, field.name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, field.name))


def test_changes_leave_the_tree_that_they_come_from_as_it_is() -> None:
    tree = line(0, 4, 9)
    before = [getattr(tree, field.name).copy() for field in fields(tree)]
    tree.merged([1, 2]).split(1, rows_of(-1, 1), [1, 4])
    for field, array in zip(fields(tree), before, strict=True):
        np.testing.assert_array_equal(getattr(tree, field.name), array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": np.array([TOP])}, "expected one of each for every centre"),
        ({"centers": np.zeros(4)}, "expected one of each for every centre"),
        ({"parents": np.array([2, TOP, 0, 0])}, "a centre comes before its parent"),
        ({"parents": np.array([TOP, -2, 0, 0])}, "a centre comes before its parent"),
        ({"clusters": np.array([1, 2, 1, 3])}, "a cluster for each centre without others below"),
        ({"clusters": np.array([SPLIT, SPLIT, 1, 3])}, "a cluster for each centre without others"),
        ({"clusters": np.array([SPLIT, -2, 1, 3])}, "a cluster for each centre without others"),
    ],
)
def test_arrays_that_make_no_tree_are_refused(change: dict[str, Any], message: str) -> None:
    tree = line(0, 10).split(1, rows_of(-1, 1), [1, 3])
    with pytest.raises(ValueError, match=message):
        replace(tree, **change)


def test_distances_are_measured_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = line(0, 4, 9).split(1, rows_of(-1, 1), [1, 4])
    threads: set[int] = set()

    def watched(*arguments: NDArray[np.float64]) -> NDArray[np.float64]:
        threads.update(library["num_threads"] for library in threadpool_info())
        return np.asarray(pairwise_distances(*arguments))

    monkeypatch.setattr("alps_geo.clusters.tree.pairwise_distances", watched)
    with threadpool_limits(limits=2):
        assert {library["num_threads"] for library in threadpool_info()} == {2}
        tree.apply(rows_of(0, 3, 8))
    assert threads == {1}


def test_clusters_are_put_in_the_order_of_ids() -> None:
    assigned = line(0, 9).apply(rows_of(0, 9, 8)).by_id(np.array([3, 1, 2]))
    assert assigned.cluster.tolist() == [2, 2, 1]
    assert assigned.distance.tolist() == [0, 1, 0]
