from dataclasses import fields
from typing import Self

import numpy as np
import pytest
from cluster_tables import blobs, fit, table
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score

from alps_geo.clusters.fit import Recipe, fit_clusters
from alps_geo.clusters.scaling import group_projection
from alps_geo.clusters.tree import Assigned
from alps_geo.errors import RunError
from alps_geo.features.columns import Columns, batches
from alps_geo.features.registry import find_part


def test_well_separated_groups_are_found() -> None:
    columns, truth = blobs()
    assert adjusted_rand_score(truth, fit(columns, 5).apply(columns).cluster) == 1.0


def test_cluster_one_covers_the_most_ground() -> None:
    columns, truth = blobs()
    area = np.where(truth == 3, 1000, np.where(truth == 1, 500, 10))
    model = fit_clusters([columns], [area], 5, seed=0).model
    found = model.apply(columns).cluster
    assert set(found[truth == 3]) == {1}
    assert set(found[truth == 1]) == {2}
    assert set(found) == {1, 2, 3, 4, 5}


def test_the_same_seed_gives_the_same_model() -> None:
    columns, _ = blobs()
    assert fit(columns, 4, seed=7).to_bytes() == fit(columns, 4, seed=7).to_bytes()


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
    weighted = fit_clusters([columns], areas, 2, 0).model.apply(columns)
    raw = fit_clusters([columns], areas, 2, 0, recipe=Recipe(raw=True)).model
    assert adjusted_rand_score(np.arange(200) % 2, weighted.cluster) == 1
    found = raw.apply(columns)
    assert adjusted_rand_score(np.arange(200) < 100, found.cluster) == 1
    center = columns.values[found.cluster == 1].mean(axis=0)
    np.testing.assert_allclose(raw.tree.centers[0], center, rtol=1e-6)


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
    model = fit_clusters([dark, bright], [np.ones(40, int)] * 2, 2, seed=0).model
    assert len(set(model.apply(dark).cluster)) == 1
    assert set(model.apply(dark).cluster).isdisjoint(model.apply(bright).cluster)


def test_scenes_of_two_kinds_are_each_standardised_by_itself() -> None:
    low = table(np.array([[0.0], [1.0]] * 20), kind="uint8")
    high = table(np.array([[1000.0], [3000.0]] * 20), kind="uint16")
    model = fit_clusters([low, high], [np.ones(40, int)] * 2, 2, seed=0).model
    assert model.projection.kinds == ("uint8", "uint16")
    np.testing.assert_array_equal(model.apply(low).cluster, model.apply(high).cluster)


def test_only_columns_that_all_scenes_have_are_compared() -> None:
    first = Columns("a", ("spectral",), ("mean.red", "mean.nir"), np.eye(4)[:, :2])
    second = Columns("b", ("spectral",), ("mean.green", "mean.red"), np.eye(4)[:, :2])
    model = fit_clusters([first, second], [np.ones(4, int)] * 2, 2, seed=0).model
    assert model.projection.column_names == ("mean.red",)


def test_scenes_with_nothing_in_common_are_an_error_that_says_what_to_do() -> None:
    first, second = table(np.eye(4), "mean"), table(np.eye(4), "context", "b")
    with pytest.raises(RunError, match=r"no feature in common.*add sam or texture to --features"):
        fit_clusters([first, second], [np.ones(4, int)] * 2, 2, seed=0)


def test_more_clusters_than_segments_is_an_error_that_says_both() -> None:
    with pytest.raises(RunError, match="9 clusters asked for, but the number of segments is 5"):
        fit(table(np.eye(5)), 9)


def test_rows_that_are_read_in_pieces_are_the_same_as_in_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    # Sums of pieces are rounded otherwise, and by no more than that.
    for name in ("mean", "scale", "matrix"):
        one, other = getattr(pieces.projection, name), getattr(whole.projection, name)
        np.testing.assert_allclose(one, other, 1e-9, 1e-9)
    np.testing.assert_allclose(pieces.tree.centers, whole.tree.centers, 1e-9, 1e-9)
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
    monkeypatch.setattr("alps_geo.clusters.sampling._RUN_ROWS", 2)
    areas = [np.ones(len(columns), int)]
    model = fit_clusters([columns], areas, 20, seed=0, recipe=Recipe(batch_size=3)).model
    assert 20 <= min(sizes) <= max(sizes) < 2 * 20 + 2
    assert len(set(model.apply(columns).cluster)) == 20


@pytest.mark.parametrize("passes", [1, 2])
def test_batches_in_order_give_the_clusters_of_scikit_learn(passes: int) -> None:
    rows = np.random.default_rng(0).normal(size=(700, 8))
    kmeans = MiniBatchKMeans(20, random_state=3, batch_size=64, n_init="auto")
    for start in [*range(0, 700, 64)] * passes:
        kmeans.partial_fit(rows[start : start + 64])
    tables = [table(part) for part in np.split(rows, [5, 200, 200, 450])]
    areas = [np.ones(len(each), dtype=np.int64) for each in tables]
    recipe = Recipe(64, passes, raw=True, in_order=True)
    model = fit_clusters(tables, areas, 20, 3, recipe=recipe).model
    found = np.concatenate([model.apply(each).cluster for each in tables])
    assert adjusted_rand_score(kmeans.predict(rows), found) == 1.0
