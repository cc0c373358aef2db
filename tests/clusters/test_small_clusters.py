"""Small clusters that are found first, so that a class of few segments keeps a cluster."""

import warnings

import numpy as np
import pytest
from cluster_tables import blobs, elsewhere, split, table
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from alps_geo.clusters.fit import Recipe, fit_clusters
from alps_geo.clusters.model import ClusterModel
from alps_geo.clusters.small import put_together, small_number
from alps_geo.clusters.tree import CentreTree
from alps_geo.features.columns import Columns


def fit(columns: Columns, clusters: int, small: int) -> ClusterModel:
    areas = [np.ones(len(columns), int)]
    return fit_clusters([columns], areas, clusters, seed=0, recipe=Recipe(small=small)).model


def crowd_and_few() -> tuple[Columns, NDArray[np.bool_]]:
    """Many rows of one broad kind, and a few of another next to them."""
    rng = np.random.default_rng(1)
    many = rng.normal(size=(4000, 6)) * [4, 4, 1, 1, 1, 1]
    few = rng.normal([0, 0, 6, 0, 0, 0], 0.3, size=(60, 6))
    return table(np.vstack([many, few])), np.arange(4060) >= 4000


def test_few_segments_of_their_own_kind_keep_a_cluster() -> None:
    columns, rare = crowd_and_few()

    def purity(small: int) -> float:
        found = fit(columns, 4, small).apply(columns).cluster
        mine = np.bincount(found[rare]).argmax()
        return float(rare[found == mine].mean())

    assert purity(1) < 0.2
    assert purity(10) > 0.9
    # So many that they are no more than samples of the crowd.
    assert purity(40) < 0.2


def test_well_separated_groups_are_found_and_numbered_by_area() -> None:
    columns, truth = blobs()
    area = np.where(truth == 3, 1000, np.where(truth == 1, 500, 10))
    model = fit_clusters([columns], [area], 5, seed=0, recipe=Recipe(small=10)).model
    found = model.apply(columns).cluster
    assert len(model) == 5
    assert len(model.tree.centers) == 50
    assert len(np.unique(np.stack([truth, found]), axis=1).T) == 5
    assert set(found[truth == 3]) == {1}
    assert set(found[truth == 1]) == {2}


def test_the_same_seed_gives_the_same_model() -> None:
    columns, _ = crowd_and_few()
    assert fit(columns, 6, 20).to_bytes() == fit(columns, 6, 20).to_bytes()


def test_a_model_of_small_clusters_comes_back_from_its_file() -> None:
    columns, _ = crowd_and_few()
    model = fit(columns, 6, 20)
    again = ClusterModel.from_bytes(model.to_bytes(), "clusters.npz")
    assert again.stamp == model.stamp
    np.testing.assert_array_equal(again.apply(columns).cluster, model.apply(columns).cluster)


def test_segments_too_much_alike_are_clustered_at_once() -> None:
    # Two different rows a hundred times: small clusters of them cannot make three.
    columns = table(np.repeat([[0.0, 1.0], [2.0, 5.0]], 100, axis=0))
    with pytest.warns(match="distinct clusters"):
        model = fit(columns, 3, 10)
    assert len(model) == 3
    assert len(model.tree.centers) == 3
    assert len(np.unique(model.apply(columns).cluster)) == 2


def test_few_segments_make_no_small_clusters() -> None:
    columns = table(np.random.default_rng(0).normal(size=(30, 3)))
    assert fit(columns, 20, 40).to_bytes() == fit(columns, 20, 1).to_bytes()


def test_merges_and_splits_take_the_same_rows_everywhere() -> None:
    columns, _ = blobs()
    model = fit(columns, 6, 5)
    for rows in (columns, elsewhere()):
        before = model.apply(rows).cluster
        joined = model.merged([2, 4]).apply(rows).cluster
        np.testing.assert_array_equal(joined, np.where(before == 4, 2, before))
        parts = split(model, 1, 3, columns).apply(rows).cluster
        assert set(parts[before == 1]) <= {1, 7, 8}
        np.testing.assert_array_equal(parts[before != 1], before[before != 1])


def test_confidence_is_the_margin_to_another_cluster_and_not_to_another_centre() -> None:
    tree = CentreTree.grouped(np.array([[0.0], [1.0], [9.0]]), np.array([1, 1, 2]))
    found = tree.apply(np.array([[0.5], [4.0]]))
    assert found.cluster.tolist() == [1, 1]
    np.testing.assert_allclose(found.confidence, [1 - 0.5 / 8.5, 1 - 3 / 5], rtol=1e-6)


@given(st.integers(1, 500), st.integers(1, 100_000), st.integers(1, 1000))
def test_small_clusters_are_enough_and_hold_two_segments(
    clusters: int, rows: int, times: int
) -> None:
    number = small_number(clusters, rows, times)
    assert clusters <= number <= max(clusters, times * clusters)
    assert number == clusters or 2 * number <= rows


def test_empty_small_clusters_decide_nothing() -> None:
    rng = np.random.default_rng(2)
    centers = rng.normal(size=(40, 3))
    rows = np.append(rng.integers(1, 90, 30), np.zeros(10, int))
    group = put_together(centers, rows, 5, seed=0)
    full = put_together(centers[:30], rows[:30], 5, seed=0)
    assert group is not None
    assert full is not None
    np.testing.assert_array_equal(group[:30], full)


def test_fewer_small_clusters_than_clusters_are_none() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert put_together(np.zeros((9, 2)), np.ones(9, int), 3, seed=0) is None
        assert put_together(np.eye(3), np.array([1, 0, 0]), 2, seed=0) is None
