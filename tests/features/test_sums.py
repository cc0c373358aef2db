import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alps_geo.features.embeddings import embedding_sums
from alps_geo.features.groups.shape import moment_images
from alps_geo.features.registry import find_group
from alps_geo.features.sums import BANDS, MASKS, WEIGHT, RegionSums, pixel_counts, pixel_sums

LABELS = arrays(np.int32, (13, 9), elements=st.integers(0, 4))


def dense_means(labels: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """Enlarge the embedding to pixels with torch, then average under each label."""
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(embedding)[None], size=labels.shape, mode="bilinear", align_corners=False
    )[0].numpy()
    return np.stack([enlarged[:, labels == i].mean(axis=1) for i in range(1, labels.max() + 1)])


def test_pooling_equals_averaging_the_enlarged_embedding() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, (64, 48)).astype(np.int32)
    embedding = rng.normal(size=(8, 16, 12))
    sums = embedding_sums(labels, 5, embedding, (4.0, 4.0), np.ones(labels.shape))
    means = sums / pixel_counts(labels, 5)[:, None]
    np.testing.assert_allclose(means, dense_means(labels, embedding), rtol=1e-9, atol=1e-12)


def test_cells_that_reach_into_the_padding_describe_nothing() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(1, 41 * 27 + 1, dtype=np.int32).reshape(41, 27)
    embedding = rng.normal(size=(3, 6, 4))
    beyond = embedding.copy()
    beyond[:, 5:], beyond[:, :, 3:] = 1e6, -1e6
    for cells in (embedding, beyond):
        sums = embedding_sums(labels, labels.size, cells, (8.0, 8.0), np.ones(labels.shape))
        within = np.pad(embedding[:, :5, :3], ((0, 0), (0, 1), (0, 1)), mode="edge")
        enlarged = np.pad(labels, ((0, 7), (0, 5)))
        np.testing.assert_allclose(sums, dense_means(enlarged, within), rtol=1e-9)


def test_fragments_smaller_than_a_cell_have_a_feature() -> None:
    labels = np.zeros((64, 64), dtype=np.int32)
    labels[5, 7] = 1
    embedding = np.random.default_rng(1).normal(size=(3, 4, 4))
    sums = embedding_sums(labels, 1, embedding, (16.0, 16.0), np.ones(labels.shape))
    np.testing.assert_allclose(sums, dense_means(labels, embedding), rtol=1e-9)


@given(LABELS, st.integers(1, 12))
def test_sums_of_two_halves_are_the_sum_of_the_whole(labels: np.ndarray, cut: int) -> None:
    rng = np.random.default_rng(2)
    embedding = rng.normal(size=(5, 4, 3))
    bands = rng.normal(size=(2, 13, 9)).astype(np.float32)
    upper, lower = labels.copy(), labels.copy()
    upper[cut:] = 0
    lower[:cut] = 0
    weights = rng.random(labels.shape)

    def sums(part: np.ndarray) -> np.ndarray:
        return embedding_sums(part, 4, embedding, (13 / 4, 3.0), weights)

    np.testing.assert_allclose(sums(upper) + sums(lower), sums(labels), atol=1e-9)
    np.testing.assert_allclose(
        pixel_sums(upper, 4, bands) + pixel_sums(lower, 4, bands),
        pixel_sums(labels, 4, bands),
        atol=1e-6,
    )
    np.testing.assert_array_equal(
        pixel_counts(upper, 4) + pixel_counts(lower, 4), pixel_counts(labels, 4)
    )


def test_grouping_adds_rows_and_leaves_out_group_zero() -> None:
    area = np.array([2.0, 3.0, 5.0, 7.0])
    sums = RegionSums(
        area,
        {
            MASKS: np.array([[0.0, 0, 0], [3.0, 3.0, 2.5], [5.0, 4.0, 5.0], [7.0, 6.0, 7.0]]),
            BANDS: np.array([[2.0], [0.0], [5.0], [25.0]]),
            "squares": np.array([[2.0], [0.0], [5.0], [97.0]]),
            "texture": np.array([[4.0], [0.0], [0.0], [5.0]]),
            "context": np.array([[4.0, 2.0], [0.0, 0.0], [5.0, 10.0], [14.0, 7.0]]),
            WEIGHT: area[:, None] / 2,
            "sam": area[:, None],
        },
    )
    grouped = sums.grouped(np.array([2, 0, 1, 2]), 2)
    np.testing.assert_array_equal(grouped.area, [5, 9])
    np.testing.assert_allclose(grouped.embedding("sam"), [[2.0], [2.0]])
    np.testing.assert_allclose(grouped.mean("texture"), [[0.0], [1.0]])
    np.testing.assert_allclose(grouped.mean("context"), [[1.0, 2.0], [2.0, 1.0]])
    np.testing.assert_allclose(grouped.band_means, [[1.0], [3.0]])
    stds = find_group("spread").columns(grouped, ["grey"])["spread.grey"]
    np.testing.assert_allclose(stds, [0.0, np.sqrt(2)])
    # The scores of a segment are those of the pixels that masks own.
    np.testing.assert_allclose(grouped.predicted_iou, [4 / 5, 6 / 7])
    np.testing.assert_allclose(grouped.stability_score, [1.0, 1.0])
    assert grouped.is_filled.tolist() == [False, False]
    assert sums.is_filled.tolist() == [True, False, False, False]
    assert np.isnan(sums.predicted_iou[0])


def test_parts_of_a_tile_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 6, (41, 27)).astype(np.int32)
    weights, embedding = rng.random(labels.shape), rng.normal(size=(3, 6, 4))
    whole = embedding_sums(labels, 5, embedding, (8.0, 8.0), weights)
    parts = [
        embedding_sums(labels[rows, cols], 5, embedding, (8.0, 8.0), weights, (rows, cols))
        for rows in (slice(0, 13), slice(13, 41))
        for cols in (slice(0, 20), slice(20, 27))
    ]
    np.testing.assert_allclose(sum(parts), whole)


@given(LABELS, st.tuples(st.integers(0, 50_000), st.integers(0, 50_000)))
def test_moments_are_those_of_the_scene_s_rows_and_columns(
    labels: np.ndarray, origin: tuple[int, int]
) -> None:
    sums = pixel_sums(labels, 4, moment_images((13, 9), origin))
    for label in range(1, 5):
        row, col = (axis.astype(float) for axis in np.nonzero(labels == label))
        row, col = row + origin[0], col + origin[1]
        terms = (row, col, row**2, col**2, row * col)
        np.testing.assert_allclose(sums[label - 1], [term.sum() for term in terms])
