from collections.abc import Callable
from dataclasses import fields, replace
from io import BytesIO
from typing import Self

import colorcet
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import KDTree
from skimage.color import rgb2lab
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score, pairwise_distances
from threadpoolctl import threadpool_info, threadpool_limits

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.fit import fit_clusters, group_projection
from alps_geo.clusters.model import ClusterModel
from alps_geo.clusters.tree import Assigned
from alps_geo.errors import RunError
from alps_geo.features.columns import Columns, batches
from alps_geo.features.registry import find_part
from alps_geo.settings import MAX_CLUSTERS


def table(values: NDArray[np.float64], group: str = "texture", kind: str = "rgb") -> Columns:
    names = tuple(f"{group}.{i}" for i in range(values.shape[1]))
    return Columns(kind, ("texture",), names, values)


def blobs(per_cluster: int = 50) -> tuple[Columns, NDArray[np.int64]]:
    rng = np.random.default_rng(3)
    centers = rng.normal(scale=10, size=(5, 8))
    truth = np.repeat(np.arange(5), per_cluster)
    # Columns of very different size: without standardising, the first alone would decide.
    values = (centers[truth] + rng.normal(size=(len(truth), 8))) * 10.0 ** np.arange(4, -4, -1)
    return table(values), truth


def fit(columns: Columns, clusters: int, seed: int = 0) -> ClusterModel:
    return fit_clusters([columns], [np.ones(len(columns), int)], clusters, seed)


def test_well_separated_groups_are_found() -> None:
    columns, truth = blobs()
    assert adjusted_rand_score(truth, fit(columns, 5).apply(columns).cluster) == 1.0


def test_cluster_one_covers_the_most_ground() -> None:
    columns, truth = blobs()
    area = np.where(truth == 3, 1000, np.where(truth == 1, 500, 10))
    model = fit_clusters([columns], [area], 5, seed=0)
    found = model.apply(columns).cluster
    assert set(found[truth == 3]) == {1}
    assert set(found[truth == 1]) == {2}
    assert set(found) == {1, 2, 3, 4, 5}


def test_the_same_seed_gives_the_same_model() -> None:
    columns, _ = blobs()
    assert fit(columns, 4, seed=7).to_bytes() == fit(columns, 4, seed=7).to_bytes()


def test_a_saved_model_gives_the_same_clusters() -> None:
    columns, _ = blobs()
    model = fit(columns, 5)
    loaded = ClusterModel.from_bytes(model.to_bytes(), "clusters.npz")
    np.testing.assert_array_equal(loaded.apply(columns).cluster, model.apply(columns).cluster)
    assert loaded.palette == model.palette
    assert loaded.names == model.names
    assert loaded.features == ("texture",)


def test_a_constant_column_does_no_harm() -> None:
    columns, truth = blobs()
    columns.values[:, 2] = 5.0
    assert adjusted_rand_score(truth, fit(columns, 5).apply(columns).cluster) == 1.0


def test_segments_that_are_all_alike_get_clusters() -> None:
    columns = table(np.full((9, 3), 4.0))
    with pytest.warns(match="distinct clusters"):
        assert fit(columns, 3).apply(columns).cluster.min() >= 1


def test_a_group_counts_by_its_weight_and_not_by_its_columns() -> None:
    rng = np.random.default_rng(0)
    names = ["mean.a", *(f"texture.{i}" for i in range(40)), *(f"sam.{i}" for i in range(256))]
    mixing = rng.normal(size=(256, 256))
    rows = np.hstack([rng.normal(size=(500, 41)), rng.normal(size=(500, 256)) @ mixing])
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    projection = group_projection(names, rows.T @ rows / len(rows))
    for group in ("mean", "texture", "sam"):
        inside = np.array([name.startswith(group) for name in names])
        outcome = rows[:, inside] @ projection[inside]
        assert np.sqrt(outcome.var(axis=0).sum()) == pytest.approx(find_part(group).weight)


def test_raw_columns_are_compared_as_they_are() -> None:
    rng = np.random.default_rng(0)
    wide = np.where(np.arange(200) < 100, 0.0, 1000.0) + rng.normal(size=200)
    narrow = np.where(np.arange(200) % 2 == 0, 0.0, 0.1)
    columns = table(np.stack([narrow, narrow, narrow, wide], axis=1))
    areas = [np.ones(200, int)]
    weighed = fit_clusters([columns], areas, 2, 0).apply(columns)
    raw = fit_clusters([columns], areas, 2, 0, raw=True)
    assert adjusted_rand_score(np.arange(200) % 2, weighed.cluster) == 1
    found = raw.apply(columns)
    assert adjusted_rand_score(np.arange(200) < 100, found.cluster) == 1
    center = columns.values[found.cluster == 1].mean(axis=0)
    np.testing.assert_allclose(raw.centers[0], center, rtol=1e-6)


def test_a_stamp_tells_clusters_apart_and_not_their_names() -> None:
    columns, _ = blobs()
    model = fit(columns, 5)
    looks = model.named({2: "water"}).recolored({2: (1, 2, 3)})
    assert looks.stamp == model.stamp == ClusterModel.from_bytes(looks.to_bytes(), "here").stamp
    others = [model.merged([2, 3]), split(model, 2, 2, columns), fit(columns, 4), fit(columns, 6)]
    assert len({model.stamp, *(other.stamp for other in others)}) == 5


def test_bands_count_by_their_contrast_too() -> None:
    # Two grounds that differ in colour by a tenth of what both vary in brightness.
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], 200)
    bright = rng.normal(scale=10, size=(400, 1))
    values = bright + np.where(truth, 1, -1)[:, None] * [[1.0, -0.5, -0.5]]
    rows = (values - values.mean(axis=0)) / values.std(axis=0)
    projected = rows @ group_projection([f"mean.{i}" for i in range(3)], rows.T @ rows / len(rows))
    apart = np.linalg.norm(projected[truth == 1].mean(axis=0) - projected[truth == 0].mean(axis=0))
    assert apart / np.sqrt(projected.var(axis=0).sum()) > 0.8


def test_scenes_of_one_kind_share_their_scale() -> None:
    dark, bright = table(np.array([[0.0], [1.0]] * 20)), table(np.array([[10.0], [11.0]] * 20))
    model = fit_clusters([dark, bright], [np.ones(40, int)] * 2, 2, seed=0)
    assert len(set(model.apply(dark).cluster)) == 1
    assert set(model.apply(dark).cluster).isdisjoint(model.apply(bright).cluster)


def test_scenes_of_two_kinds_are_each_standardised_by_itself() -> None:
    low = table(np.array([[0.0], [1.0]] * 20), kind="uint8")
    high = table(np.array([[1000.0], [3000.0]] * 20), kind="uint16")
    model = fit_clusters([low, high], [np.ones(40, int)] * 2, 2, seed=0)
    np.testing.assert_array_equal(model.apply(low).cluster, model.apply(high).cluster)
    loaded = ClusterModel.from_bytes(model.to_bytes(), "clusters.npz")
    np.testing.assert_array_equal(loaded.apply(high).cluster, model.apply(high).cluster)


def test_only_columns_that_all_scenes_have_are_compared() -> None:
    first = Columns("a", ("spectral",), ("mean.red", "mean.nir"), np.eye(4)[:, :2])
    second = Columns("b", ("spectral",), ("mean.green", "mean.red"), np.eye(4)[:, :2])
    assert fit_clusters([first, second], [np.ones(4, int)] * 2, 2, seed=0).names == ("mean.red",)


def test_scenes_with_nothing_in_common_are_an_error_that_says_what_to_do() -> None:
    first, second = table(np.eye(4), "mean"), table(np.eye(4), "context", "b")
    with pytest.raises(RunError, match=r"no feature in common.*add sam or texture to --features"):
        fit_clusters([first, second], [np.ones(4, int)] * 2, 2, seed=0)


def test_a_scene_of_a_kind_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(RunError, match="know scenes of rgb, and this is one of grey"):
        fit(table(np.eye(4)), 2).apply(table(np.eye(4), kind="grey"))


def test_more_clusters_than_segments_is_an_error_that_says_both() -> None:
    with pytest.raises(RunError, match="9 clusters asked for, but there are only 5 segments"):
        fit(table(np.eye(5)), 9)


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(RunError, match=r"my\.npz: not a cluster model"):
        ClusterModel.from_bytes(data, "my.npz")


def test_nothing_to_apply_gives_nothing() -> None:
    model = fit(table(np.eye(3)), 2)
    assert model.apply(table(np.empty((0, 3)))).cluster.shape == (0,)


def test_colours_differ_and_never_run_out() -> None:
    colors = default_colors(MAX_CLUSTERS)
    assert colors.shape == (MAX_CLUSTERS, 3)
    assert len(np.unique(colors, axis=0)) == MAX_CLUSTERS
    for count in (1, 10, 256, 257, 1000):
        np.testing.assert_array_equal(default_colors(count), colors[:count])


def test_colours_up_to_256_are_the_palette_of_glasbey() -> None:
    glasbey = np.rint(255 * np.array(colorcet.glasbey_category10)).astype(np.uint8)
    np.testing.assert_array_equal(default_colors(256), glasbey)


def test_some_hundred_colours_differ_to_the_eye() -> None:
    lab = rgb2lab(default_colors(600)[None])[0]
    nearest, _ = KDTree(lab).query(lab, k=2)
    # 2.3 is a just noticeable difference in CIELAB.
    assert nearest[:, 1].min() > 2 * 2.3


@pytest.mark.parametrize("clusters", [254, 300])
def test_new_clusters_get_colours_that_no_other_has(clusters: int) -> None:
    columns = table(np.arange(2.0 * clusters)[:, None])
    model = fit(columns, clusters)
    assert len(set(model.palette.values())) == clusters
    reserved = default_colors(clusters + 1)[-1].tolist()
    recolored = model.recolored({1: (reserved[0], reserved[1], reserved[2])})
    changed = split(recolored, 2, 2, columns)
    assert len(changed) == clusters + 1
    assert len(set(changed.palette.values())) == clusters + 1


def test_distances_are_measured_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, _ = blobs()
    model = fit(columns, 4)
    threads: set[int] = set()

    def watched(*arguments: NDArray[np.float64]) -> NDArray[np.float64]:
        threads.update(library["num_threads"] for library in threadpool_info())
        return np.asarray(pairwise_distances(*arguments))

    monkeypatch.setattr("alps_geo.clusters.tree.pairwise_distances", watched)
    with threadpool_limits(limits=2):
        assert {library["num_threads"] for library in threadpool_info()} == {2}
        split(model, 1, 2, columns).apply(columns)
    assert threads == {1}


def test_what_is_read_in_pieces_is_the_same_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, truth = blobs(per_cluster=400)
    monkeypatch.setattr("alps_geo.clusters.fit.FIT_ROWS", 100)
    whole = fit(columns, 5)
    found = whole.apply(columns)
    assert adjusted_rand_score(truth, found.cluster) == 1.0
    monkeypatch.setattr("alps_geo.features.columns.BATCH_ROWS", 64)
    assert [len(piece) for piece in batches(columns)] == [64] * 31 + [16]
    again = whole.apply(columns)
    for field in fields(Assigned):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(found, field.name))
    pieces = fit(columns, 5)
    for name in ("mean", "scale", "projection", "centers"):
        # Sums of pieces are rounded otherwise, and by no more than that.
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), 1e-9, 1e-9)
    np.testing.assert_array_equal(pieces.apply(columns).cluster, found.cluster)


def test_batches_smaller_than_the_number_of_clusters_do_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns, _ = blobs()
    sizes: list[int] = []

    class Watched(MiniBatchKMeans):  # type: ignore[misc]
        def partial_fit(self, rows: NDArray[np.float64]) -> Self:
            sizes.append(len(rows))
            super().partial_fit(rows)
            return self

    monkeypatch.setattr("alps_geo.clusters.fit.MiniBatchKMeans", Watched)
    monkeypatch.setattr("alps_geo.features.columns.BATCH_ROWS", 3)
    monkeypatch.setattr("alps_geo.clusters.fit.FIT_ROWS", 3)
    monkeypatch.setattr("alps_geo.clusters.fit._RUN_ROWS", 2)
    model = fit_clusters([columns], [np.ones(len(columns), int)], 20, seed=0, batch_size=3)
    assert 20 <= min(sizes) <= max(sizes) < 2 * 20 + 2
    assert len(set(model.apply(columns).cluster)) == 20


def test_confidence_is_the_margin_to_the_second_cluster() -> None:
    columns = table(np.array([[0.0], [0.0], [0.0], [9.0], [9.0], [9.0], [4.4]]))
    assigned = fit(columns, 2).apply(columns)
    assert assigned.confidence.dtype == np.float32
    assert assigned.confidence[-1] < 0.5 < assigned.confidence[3]
    assert (assigned.confidence >= 0).all()
    assert (assigned.confidence <= 1).all()
    assert fit(columns, 1).apply(columns).confidence.tolist() == [1.0] * 7


def test_clusters_are_put_in_the_order_of_ids() -> None:
    columns = table(np.array([[0.0], [9.0], [9.0]]))
    assigned = fit(columns, 2).apply(columns).by_id(np.array([3, 1, 2]))
    assert assigned.cluster[0] == assigned.cluster[1] != assigned.cluster[2]


def elsewhere() -> Columns:
    """Rows of another scene, all over and beyond where the clusters lie."""
    values, _ = blobs()
    rng = np.random.default_rng(8)
    return table(values.values[rng.permutation(250)] * rng.uniform(-1, 2, (250, 8)))


def split(model: ClusterModel, cluster: int, parts: int, columns: Columns) -> ClusterModel:
    return model.split(cluster, parts, [columns], [np.ones(len(columns), int)], seed=0)


def test_new_clusters_have_no_names() -> None:
    columns, _ = blobs()
    assert fit(columns, 5).cluster_names == ("",) * 5
    assert fit(columns, 5).legend == {}


def test_names_and_colours_are_given_and_taken_away() -> None:
    columns, _ = blobs()
    model = fit(columns, 5).named({2: " open water ", 5: "Wiese ä"}).recolored({2: (1, 2, 3)})
    assert model.legend == {2: "open water", 5: "Wiese ä"}
    assert model.palette[2] == (1, 2, 3)
    assert model.palette[3] == fit(columns, 5).palette[3]
    loaded = ClusterModel.from_bytes(model.to_bytes(), "clusters.npz")
    assert loaded.legend == model.legend
    assert loaded.palette == model.palette
    assert model.named({5: ""}).legend == {2: "open water"}


def test_names_may_hold_the_joiners_that_their_script_needs() -> None:
    columns, _ = blobs()
    lakes = "\u062f\u0631\u06cc\u0627\u0686\u0647\u200c\u0647\u0627"
    assert fit(columns, 5).named({1: lakes}).legend == {1: lakes}


def test_changes_leave_the_model_that_they_come_from_as_it_is() -> None:
    columns, _ = blobs()
    model = fit(columns, 5)
    before = model.to_bytes()
    split(model.named({2: "x"}).recolored({3: (1, 2, 3)}).merged([2, 3]), 2, 2, columns)
    assert model.to_bytes() == before


def test_merged_clusters_keep_the_lowest_id_and_the_others_theirs() -> None:
    columns, _ = blobs()
    model = fit(columns, 5)
    merged = model.merged([4, 2])
    assert merged.ids.tolist() == [1, 2, 3, 5]
    assert len(merged) == 4
    assert merged.palette == {i: color for i, color in model.palette.items() if i != 4}
    for rows in (columns, elsewhere()):
        before, after = model.apply(rows), merged.apply(rows)
        np.testing.assert_array_equal(
            after.cluster, np.where(before.cluster == 4, 2, before.cluster)
        )
        np.testing.assert_array_equal(after.distance, before.distance)
        assert (after.confidence >= before.confidence).all()
    # What lay between the two is no border any more.
    assert (after.confidence > before.confidence).any()


def test_merged_clusters_take_the_first_name_that_there_is() -> None:
    columns, _ = blobs()
    model = fit(columns, 5).named({3: "river", 4: "lake"})
    assert model.merged([4, 1, 3]).legend == {1: "river"}
    assert model.merged([4, 1, 3], "water").legend == {1: "water"}
    assert model.merged([1, 2]).legend == model.legend


def test_a_split_moves_no_segment_of_another_cluster_in_any_scene() -> None:
    columns, truth = blobs()
    model = fit(columns, 3)
    cluster = int(model.apply(columns).cluster[truth == 0][0])
    changed = split(model, cluster, 3, columns)
    assert changed.ids.tolist() == [1, 2, 3, 4, 5]
    assert changed.palette.items() >= model.palette.items()
    assert len(set(changed.palette.values())) == 5
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


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 99)), max_size=6))
@settings(max_examples=12, deadline=None)
def test_any_changes_one_after_the_other_do_what_they_say(
    changes: list[tuple[bool, int, int]],
) -> None:
    columns, _ = blobs(per_cluster=12)
    rows = elsewhere()
    model = fit(columns, 4)
    for merges, first, second in changes:
        ids = model.ids.tolist()
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
        assert len(set(model.ids.tolist())) == len(model) == len(model.colors)
        assert set(model.apply(columns).cluster) <= set(model.ids.tolist())


def test_a_merged_cluster_is_split_by_its_segments_and_not_by_its_centres() -> None:
    # Two clusters side by side, each of an upper and a lower half: merged and split, the halves.
    rng = np.random.default_rng(4)
    right, upper = np.repeat([0, 1], 40), np.tile([0, 1], 40)
    values = np.stack([4.0 * right, 9.0 * upper], axis=1) + rng.normal(scale=0.1, size=(80, 2))
    columns = table(values)
    model = fit(columns, 4)
    of = model.apply(columns).cluster
    sides = model.merged(sorted(set(of[right == 0]))).merged(sorted(set(of[right == 1])))
    both = sides.merged(sides.ids.tolist())
    halves = split(both, int(both.ids[0]), 2, columns).apply(columns).cluster
    assert max(adjusted_rand_score(halves, right), adjusted_rand_score(halves, upper)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model, _: model.named({9: "x"}), "no cluster 9; expected some of 1 to 5"),
        (lambda model, _: model.recolored({0: (0, 0, 0)}), "no cluster 0; expected"),
        (lambda model, _: model.merged([1, 7, 8]), "no cluster 7, 8; expected"),
        (lambda model, _: model.merged([2, 2]), "clusters to merge: 2; expected two"),
        (lambda model, _: model.merged([2, 3]).merged([3, 4]), "expected some of 1 to 2, 4 to 5"),
        (lambda model, _: model.named({1: "a\nb"}), "name 'a\\\\nb' of cluster 1"),
        (lambda model, rows: split(model, 6, 2, rows), "no cluster 6"),
        (lambda model, rows: split(model, 1, 1, rows), "into 1, expected 2 at least"),
        (lambda model, rows: split(model, 1, 51, rows), "cluster 1 has only 50 segments"),
        (lambda model, rows: split(model, 1, 65535, rows), "expected 65535 at most"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(
    change: Callable[[ClusterModel, Columns], ClusterModel], message: str
) -> None:
    columns, _ = blobs()
    with pytest.raises(RunError, match=message):
        change(fit(columns, 5), columns)


def test_segments_that_are_all_alike_cannot_be_split() -> None:
    columns = table(np.array([[0.0]] * 5 + [[9.0]] * 3))
    with pytest.raises(RunError, match="only 1 different segments"):
        split(fit(columns, 2), 1, 2, columns)


def test_a_model_with_an_earlier_name_of_a_column_is_read() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 2))
    now = Columns("rgb", ("shape",), ("shape.size", "shape.ellipticity"), values)
    model = fit(now, 3)
    earlier = replace(model, names=("shape.size", "shape.solidity"))
    loaded = ClusterModel.from_bytes(earlier.to_bytes(), "clusters.npz")
    assert loaded.to_bytes() == model.to_bytes()
    np.testing.assert_array_equal(loaded.apply(now).cluster, model.apply(now).cluster)


def test_a_model_of_another_format_is_refused() -> None:
    columns, _ = blobs()
    data = BytesIO()
    with np.load(BytesIO(fit(columns, 2).to_bytes())) as arrays:
        np.savez(data, **{**arrays, "format_version": np.array(2)})
    with pytest.raises(RunError, match=r"old\.npz: cluster model has format 2, expected 3"):
        ClusterModel.from_bytes(data.getvalue(), "old.npz")
