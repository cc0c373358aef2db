import re
from dataclasses import replace

import numpy as np
import pytest
from cluster_tables import blobs, elsewhere, fit, split, table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.model import ClusterModel
from alps_geo.clusters.overrides import NONE
from alps_geo.clusters.split import Members, fit_split
from alps_geo.errors import RunError
from alps_geo.features.columns import Columns


def test_a_split_moves_no_segment_of_another_cluster_in_any_scene() -> None:
    columns, truth = blobs()
    model = fit(columns, 3)
    cluster = int(model.apply(columns).cluster[truth == 0][0])
    changed = split(model, cluster, 3, columns)
    assert changed.legend.ids.tolist() == [1, 2, 3, 4, 5]
    assert changed.legend.palette.items() >= model.legend.palette.items()
    assert len(set(changed.legend.palette.values())) == 5
    for rows in (columns, elsewhere()):
        before, after = model.apply(rows), changed.apply(rows)
        inside = before.cluster == cluster
        assert set(after.cluster[inside]) <= {cluster, 4, 5}
        np.testing.assert_array_equal(after.cluster[~inside], before.cluster[~inside])
        np.testing.assert_array_equal(after.confidence[~inside], before.confidence[~inside])
        assert (after.confidence[inside] <= before.confidence[inside]).all()
    sizes = np.bincount(changed.apply(columns).cluster)[[cluster, 4, 5]]
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert sizes.min() > 0


def test_a_split_cluster_keeps_its_name_and_the_new_ones_have_none() -> None:
    columns, _ = blobs()
    named = fit(columns, 3).named({1: "water", 2: "road"})
    assert split(named, 1, 3, columns).legend.names == {1: "water", 2: "road"}


def test_a_split_finds_the_groups_inside_a_cluster() -> None:
    columns, truth = blobs()
    model = fit(columns, 5)
    one = model.merged([1, 2, 3, 4, 5])
    assert set(one.apply(columns).confidence) == {1}
    again = split(one, 1, 5, columns)
    assert adjusted_rand_score(truth, again.apply(columns).cluster) == 1
    loaded = ClusterModel.from_bytes(again.to_bytes(), "clusters.npz")
    np.testing.assert_array_equal(
        loaded.apply(elsewhere()).confidence, again.apply(elsewhere()).confidence
    )


def test_a_merged_cluster_is_split_by_its_segments_and_not_by_its_centres() -> None:
    # Two clusters next to each other, each of an upper and a lower half: merged and split, the
    # halves.
    rng = np.random.default_rng(4)
    right, upper = np.repeat([0, 1], 40), np.tile([0, 1], 40)
    values = np.stack([4.0 * right, 9.0 * upper], axis=1) + rng.normal(scale=0.1, size=(80, 2))
    columns = table(values)
    model = fit(columns, 4)
    of = model.apply(columns).cluster
    sides = model.merged(sorted(set(of[right == 0]))).merged(sorted(set(of[right == 1])))
    both = sides.merged(sides.legend.ids.tolist())
    halves = split(both, int(both.legend.ids[0]), 2, columns).apply(columns).cluster
    assert max(adjusted_rand_score(halves, right), adjusted_rand_score(halves, upper)) == 1


def test_a_large_cluster_is_split_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, truth = blobs()
    one = fit(columns, 5).merged([1, 2, 3, 4, 5])
    monkeypatch.setattr("alps_geo.clusters.split.FIT_ROWS", 40)
    again = split(one, 1, 5, columns)
    assert adjusted_rand_score(truth, again.apply(columns).cluster) == 1
    with pytest.raises(RunError, match="only 40 different segments"):
        split(one, 1, 41, columns)


@pytest.mark.parametrize("clusters", [254, 300])
def test_new_clusters_get_colours_that_no_other_has(clusters: int) -> None:
    columns = table(np.arange(2.0 * clusters)[:, None])
    model = fit(columns, clusters)
    assert len(set(model.legend.palette.values())) == clusters
    red, green, blue = default_colors(clusters + 1)[-1].tolist()
    changed = split(model.recolored({1: (red, green, blue)}), 2, 2, columns)
    assert len(changed) == clusters + 1
    assert len(set(changed.legend.palette.values())) == clusters + 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 99)), max_size=6))
@settings(max_examples=12)
def test_any_changes_one_after_the_other_do_what_they_say(
    changes: list[tuple[bool, int, int]],
) -> None:
    columns, _ = blobs(per_cluster=12)
    rows = elsewhere()
    model = fit(columns, 4)
    for merges, first, second in changes:
        ids = model.legend.ids.tolist()
        one, two = ids[first % len(ids)], ids[second % len(ids)]
        before = model.apply(rows)
        if merges and one != two:
            model = model.merged([one, two])
            expected = np.where(before.cluster == max(one, two), min(one, two), before.cluster)
            np.testing.assert_array_equal(model.apply(rows).cluster, expected)
        elif not merges and (model.apply(columns).cluster == one).sum() >= 2:
            model = split(model, one, 2, columns)
            parts = np.isin(model.apply(rows).cluster, [one, ids[-1] + 1])
            np.testing.assert_array_equal(parts, before.cluster == one)
        ids = model.legend.ids.tolist()
        assert len(set(ids)) == len(model) == len(model.legend.colors)
        assert set(model.apply(columns).cluster) <= set(ids)


@pytest.mark.parametrize(
    ("cluster", "parts", "message"),
    [
        (6, 2, "no cluster 6"),
        (1, 1, "into 1, expected 2 at least"),
        (1, 51, "cluster 1 has only 50 segments"),
        (1, 65535, "expected 65535 at most"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(cluster: int, parts: int, message: str) -> None:
    columns, _ = blobs()
    with pytest.raises(RunError, match=re.escape(message)):
        split(fit(columns, 5), cluster, parts, columns)


def test_segments_that_are_all_alike_cannot_be_split() -> None:
    columns = table(np.array([[0.0]] * 5 + [[9.0]] * 3))
    with pytest.raises(RunError, match="only 1 different segment"):
        split(fit(columns, 2), 1, 2, columns)


def given_split(
    model: ClusterModel, cluster: int, columns: Columns, given: dict[int, int]
) -> tuple[ClusterModel, NDArray[np.int64]]:
    """Split a cluster in two where a person gave some rows clusters."""
    rows = np.full(len(columns), NONE)
    rows[list(given)] = list(given.values())
    members = Members([columns], [np.ones(len(columns), int)], [rows])
    parted, (after,) = fit_split(model, cluster, 2, members, seed=0)
    return parted, after


def test_rows_that_a_person_put_into_a_cluster_go_to_the_nearest_part() -> None:
    columns, _ = blobs()
    model = fit(columns, 5).merged([1, 2])
    found = model.apply(columns).cluster
    three, four = (int(np.flatnonzero(found == cluster)[0]) for cluster in (3, 4))
    parted, given = given_split(model, 1, columns, {three: 1, four: 5})
    assert given[four] == 5
    parts = [1, int(parted.legend.ids[-1])]
    centers = [
        parted.projection.project(columns)[(parted.apply(columns).cluster == part)].mean(axis=0)
        for part in parts
    ]
    row = parted.projection.project(columns)[three]
    distances = [np.linalg.norm(row - center) for center in centers]
    assert given[three] == parts[int(np.argmin(distances))]
    assert (given[np.setdiff1d(np.arange(len(columns)), [three, four])] == NONE).all()
    # A cluster that its last row was taken from has none to split.
    with pytest.raises(RunError, match="cluster 3 has only 1 segment"):
        given_split(model, 3, columns, dict.fromkeys(np.flatnonzero(found == 3)[1:].tolist(), 1))


def test_a_cluster_without_a_centre_is_split_among_its_rows_alone() -> None:
    columns, truth = blobs()
    model = fit(columns, 5)
    own = replace(model, legend=model.legend.added(6, "mine"))
    rows = [*np.flatnonzero(truth == 0)[:5], *np.flatnonzero(truth == 3)[:4]]
    parted, given = given_split(own, 6, columns, dict.fromkeys(rows, 6))
    assert given[rows].tolist() == [6] * 5 + [7] * 4
    np.testing.assert_array_equal(parted.apply(columns).cluster, model.apply(columns).cluster)
    assert parted.tree.ids.tolist() == [1, 2, 3, 4, 5]
    assert parted.legend.names == {6: "mine"}
