from dataclasses import replace

import numpy as np
import pytest
from cluster_tables import blobs, elsewhere, fit, split, table

from alps_geo.clusters.legend import Legend
from alps_geo.clusters.model import ClusterModel
from alps_geo.clusters.tree import CentreTree
from alps_geo.errors import RunError


def test_a_saved_model_is_the_same_when_it_is_read() -> None:
    columns, _ = blobs()
    model = split(fit(columns, 5).named({2: "water"}).merged([3, 4]), 1, 2, columns)
    loaded = ClusterModel.from_bytes(model.to_bytes(), "clusters.npz")
    assert loaded.to_bytes() == model.to_bytes()
    assert loaded.legend == model.legend
    assert loaded.projection.column_names == model.projection.column_names
    assert loaded.features == ("texture",)
    assert loaded.stamp == model.stamp
    for rows in (columns, elsewhere()):
        np.testing.assert_array_equal(loaded.apply(rows).cluster, model.apply(rows).cluster)


def test_confidence_is_the_margin_to_the_second_cluster() -> None:
    columns = table(np.array([[0.0], [0.0], [0.0], [9.0], [9.0], [9.0], [4.4]]))
    assigned = fit(columns, 2).apply(columns)
    assert assigned.confidence.dtype == np.float32
    assert assigned.confidence[-1] < 0.5 < assigned.confidence[3]
    assert (assigned.confidence >= 0).all()
    assert (assigned.confidence <= 1).all()
    assert fit(columns, 1).apply(columns).confidence.tolist() == [1.0] * 7


def test_nothing_to_apply_gives_nothing() -> None:
    model = fit(table(np.eye(3)), 2)
    assert model.apply(table(np.empty((0, 3)))).cluster.shape == (0,)


def test_a_scene_of_a_kind_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(RunError, match="know scenes of rgb, and this is one of grey"):
        fit(table(np.eye(4)), 2).apply(table(np.eye(4), kind="grey"))


def test_a_stamp_tells_clusters_apart_and_not_their_names() -> None:
    columns, _ = blobs()
    model = fit(columns, 5)
    looks = model.named({2: "water"}).recolored({2: (1, 2, 3)})
    assert looks.stamp == model.stamp == ClusterModel.from_bytes(looks.to_bytes(), "here").stamp
    others = [model.merged([2, 3]), split(model, 2, 2, columns), fit(columns, 4), fit(columns, 6)]
    assert len({model.stamp, *(other.stamp for other in others)}) == 5


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
    assert merged.legend.ids.tolist() == [1, 2, 3, 5]
    assert len(merged) == 4
    whole = model.legend.palette
    assert merged.legend.palette == {i: color for i, color in whole.items() if i != 4}
    for rows in (columns, elsewhere()):
        before, after = model.apply(rows), merged.apply(rows)
        np.testing.assert_array_equal(
            after.cluster, np.where(before.cluster == 4, 2, before.cluster)
        )
        np.testing.assert_array_equal(after.distance, before.distance)
        assert (after.confidence >= before.confidence).all()
    # The place between the two is no border any more.
    assert (after.confidence > before.confidence).any()


def test_parts_of_different_models_are_refused() -> None:
    columns, _ = blobs()
    model = fit(columns, 5)
    with pytest.raises(ValueError, match="are not those of the legend"):
        replace(model, legend=Legend.default(4))
    with pytest.raises(ValueError, match="centres have 2 columns, expected 8"):
        replace(model, tree=CentreTree.flat(np.zeros((5, 2))))
