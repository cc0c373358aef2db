import numpy as np
import pytest

from alps_geo.review.suggest import Tried, caveat, recommend, try_number


def tried(clusters: int, inertia: float, stability: float) -> Tried:
    return Tried(clusters, inertia, 0.2, stability, 0.01)


def test_the_number_of_clear_groups_is_found() -> None:
    rng = np.random.default_rng(6)
    centers = rng.normal(scale=20, size=(6, 4))
    rows = rng.permutation(np.repeat(centers, 60, axis=0) + rng.normal(size=(360, 4)))
    found = [try_number(rows, clusters, seed=0) for clusters in range(2, 15)]
    assert recommend(found)[0] == 6
    best = found[6 - 2]
    assert best.stability == 1
    assert best.silhouette == max(each.silhouette for each in found)
    assert "No number stands out" not in caveat(best)
    # Mean squared distance of four coordinates of unit variance.
    assert best.inertia == pytest.approx(4, rel=0.1)
    inertia = [each.inertia for each in found]
    assert inertia == sorted(inertia, reverse=True)


def test_the_same_seed_gives_the_same_figures() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3))
    assert try_number(rows, 7, seed=3) == try_number(rows, 7, seed=3)
    # There are no groups, so that halves do not agree on any.
    found = try_number(rows, 7, seed=3)
    assert found.stability < 0.8
    assert f"no clear groups (silhouette {found.silhouette:.2f};" in caveat(found)


def test_a_cluster_of_one_segment_is_no_error() -> None:
    rows = np.concatenate([np.random.default_rng(0).normal(size=(3000, 2)), [[1e3, 1e3]]])
    assert try_number(rows, 2, seed=0).silhouette > 0.9


def test_few_but_stable_clusters_are_not_recommended() -> None:
    curve = [
        tried(2, 1.0, 0.99),
        tried(6, 0.4, 0.6),
        tried(8, 0.35, 0.7),
        tried(10, 0.3, 0.5),
        tried(40, 0.2, 0.9),
    ]
    clusters, reason = recommend(curve)
    assert clusters == 8
    assert "(8 to 10)" in reason
    assert "0.70" in reason


def test_without_a_bend_to_measure_the_most_stable_number_is_recommended() -> None:
    assert recommend([tried(5, 0.4, 0.6)])[0] == 5
    assert recommend([tried(5, 0.4, 0.6), tried(9, 0.3, 0.7)])[0] == 9
    assert recommend([tried(n, 0.3, n / 10) for n in (3, 4, 5)])[0] == 3
