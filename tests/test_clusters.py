import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from alps_geo.clusters import ClusterModel, default_colors, fit_clusters
from alps_geo.errors import RunError


def blobs(per_cluster: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    centers = rng.normal(scale=10, size=(5, 8))
    truth = np.repeat(np.arange(5), per_cluster)
    # Columns of very different size: without standardising, the first alone would decide.
    features = (centers[truth] + rng.normal(size=(len(truth), 8))) * 10.0 ** np.arange(4, -4, -1)
    return features, truth


def test_well_separated_groups_are_found() -> None:
    features, truth = blobs()
    model = fit_clusters(features, np.ones(len(truth), int), 5, seed=0)
    assert adjusted_rand_score(truth, model.apply(features)) == 1.0


def test_cluster_one_covers_the_most_ground() -> None:
    features, truth = blobs()
    area = np.where(truth == 3, 1000, np.where(truth == 1, 500, 10))
    model = fit_clusters(features, area, 5, seed=0)
    found = model.apply(features)
    assert set(found[truth == 3]) == {1}
    assert set(found[truth == 1]) == {2}
    assert set(found) == {1, 2, 3, 4, 5}


def test_the_same_seed_gives_the_same_model() -> None:
    features, truth = blobs()
    once = fit_clusters(features, np.ones(len(truth), int), 4, seed=7)
    again = fit_clusters(features, np.ones(len(truth), int), 4, seed=7)
    assert once.to_bytes() == again.to_bytes()


def test_a_saved_model_gives_the_same_clusters() -> None:
    features, truth = blobs()
    model = fit_clusters(features, np.ones(len(truth), int), 5, seed=0)
    loaded = ClusterModel.from_bytes(model.to_bytes(), "clusters.npz")
    np.testing.assert_array_equal(loaded.apply(features), model.apply(features))
    assert loaded.palette == model.palette


def test_a_constant_feature_does_no_harm() -> None:
    features, truth = blobs()
    features[:, 2] = 5.0
    model = fit_clusters(features, np.ones(len(truth), int), 5, seed=0)
    assert adjusted_rand_score(truth, model.apply(features)) == 1.0


def test_more_clusters_than_segments_is_an_error_that_says_both() -> None:
    with pytest.raises(RunError, match="9 clusters asked for, but SAM found only 5 segments"):
        fit_clusters(np.eye(5), np.ones(5, int), 9, seed=0)


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(RunError, match=r"my\.npz: not a cluster model"):
        ClusterModel.from_bytes(data, "my.npz")


def test_nothing_to_apply_gives_nothing() -> None:
    model = fit_clusters(np.eye(3), np.ones(3, int), 2, seed=0)
    assert model.apply(np.empty((0, 3))).shape == (0,)


def test_colours_differ_and_never_run_out() -> None:
    colors = default_colors(256)
    assert len(np.unique(colors, axis=0)) == 256
    assert default_colors(1000).shape == (1000, 3)
