import numpy as np
from helpers import region_sums
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from alps_geo.features import pixel_counts, pixel_sums
from alps_geo.fragments import Fragments, no_fragments, touching_pairs
from alps_geo.grid import Tile, TileGrid
from alps_geo.scene import TilePixels
from alps_geo.stitch import Segments, match_labels, stitch


def planted(scene: NDArray[np.int32], tile: Tile) -> Fragments:
    """What a perfect SAM finds in a tile of a scene whose segments are known."""
    rows, cols = tile.window.toslices()
    ids, labels = np.unique(np.append(0, scene[rows, cols]), return_inverse=True)
    labels = labels[1:].reshape(scene[rows, cols].shape)
    count = len(ids) - 1
    core = np.zeros_like(labels)
    core[tile.core_slices] = labels[tile.core_slices]
    area = pixel_counts(core, count)
    coordinates = np.stack(np.meshgrid(*map(np.arange, scene.shape), indexing="ij"))
    sums = region_sums(area, band_sums=pixel_sums(core, count, coordinates[:, rows, cols]))
    touching = touching_pairs(core[tile.core_slices].astype(np.int32))
    return Fragments(labels.astype(np.int32), sums, touching, tile.core.width * tile.core.height)


def assembled(grid: TileGrid, scene: NDArray[np.int32]) -> tuple[NDArray[np.uint32], Segments]:
    found = stitch(grid, lambda tile: planted(scene, tile))
    result = np.zeros(scene.shape, dtype=np.uint32)
    for index, tile in enumerate(grid):
        result[tile.core.toslices()] = found.core_ids(index, tile, planted(scene, tile))
    return result, found


@st.composite
def scenes_and_grids(draw: st.DrawFn) -> tuple[NDArray[np.int32], TileGrid]:
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    tile_size = draw(st.integers(4, 40))
    overlap = draw(st.integers(1, tile_size // 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    smooth = ndimage.gaussian_filter(rng.normal(size=(height, width)), draw(st.floats(0.5, 4)))
    classes = np.digitize(smooth, [0.0])
    scene, _ = ndimage.label(classes == draw(st.integers(0, 1)))
    return scene.astype(np.int32), TileGrid(height, width, tile_size, overlap)


@settings(max_examples=200, deadline=None)
@given(scenes_and_grids())
def test_planted_segments_come_back_whatever_the_grid(
    case: tuple[NDArray[np.int32], TileGrid],
) -> None:
    scene, grid = case
    result, found = assembled(grid, scene)
    expected = relabel_by_pairs(scene, result)
    np.testing.assert_array_equal(result, expected)
    assert found.valid_pixels == scene.size
    ids = np.arange(1, len(found) + 1)
    np.testing.assert_array_equal(found.sums.area, ndimage.sum_labels(result > 0, result, ids))
    rows, cols = np.indices(scene.shape)
    np.testing.assert_allclose(found.sums.band_sums[:, 0], ndimage.sum_labels(rows, result, ids))
    np.testing.assert_allclose(found.sums.band_sums[:, 1], ndimage.sum_labels(cols, result, ids))


def relabel_by_pairs(scene: NDArray[np.int32], result: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Give the planted segments the ids of the result, asserting that this is one to one."""
    pairs = np.unique(np.stack([scene.ravel(), result.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]
    assert len(np.unique(pairs[1])) == pairs.shape[1]
    table = np.zeros(int(scene.max()) + 1, dtype=np.uint32)
    table[pairs[0]] = pairs[1]
    return table[scene]


def test_a_segment_longer_than_many_tiles_gets_one_id() -> None:
    road = np.zeros((40, 400), dtype=np.int32)
    road[18:23] = 1
    result, found = assembled(TileGrid(40, 400, 32, 8), road)
    assert len(found) == 1
    assert set(np.unique(result)) == {0, 1}
    assert found.sums.area.tolist() == [5 * 400]


def test_objects_that_disagree_in_the_overlap_stay_apart() -> None:
    first = np.array([[1, 1, 1, 1, 1, 2]])
    second = np.array([[7, 3, 3, 3, 3, 3]])
    assert match_labels(first, second).tolist() == [[1, 3]]
    assert match_labels(first[:, ::-1], first[:, ::-1]).tolist() == [[1, 1], [2, 2]]
    assert match_labels(np.array([[1, 1]]), np.array([[1, 2]])).tolist() == []


def test_small_segments_are_dropped_and_ids_stay_without_gaps() -> None:
    scene = np.zeros((20, 20), dtype=np.int32)
    scene[0, :2] = 1
    scene[5:15, 5:15] = 2
    grid = TileGrid(20, 20, 10, 4)
    found = stitch(grid, lambda tile: planted(scene, tile), min_area=3)
    assert found.sums.area.tolist() == [100]


@st.composite
def mosaics_and_grids(draw: st.DrawFn) -> tuple[NDArray[np.int32], TileGrid]:
    """Draw patches of all sizes that leave no pixel out, and a grid."""
    height, width = draw(st.integers(1, 50)), draw(st.integers(1, 50))
    tile_size = draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = rng.integers(0, (height, width), (draw(st.integers(1, 60)), 2))
    _, nearest = cKDTree(points).query(np.argwhere(np.ones((height, width), bool)))
    scene = nearest.reshape(height, width) + 1
    return scene, TileGrid(height, width, tile_size, draw(st.integers(0, tile_size // 2)))


@settings(max_examples=200, deadline=None)
@given(mosaics_and_grids(), st.integers(1, 30))
def test_specks_join_a_neighbour_and_every_pixel_keeps_a_segment(
    case: tuple[NDArray[np.int32], TileGrid], min_area: int
) -> None:
    scene, grid = case
    found = stitch(grid, lambda tile: planted(scene, tile), min_area=min_area, keep_specks=True)
    result = np.zeros(scene.shape, dtype=np.uint32)
    for index, tile in enumerate(grid):
        result[tile.core.toslices()] = found.core_ids(index, tile, planted(scene, tile))
    np.testing.assert_array_equal(np.unique(result), np.arange(1, len(found) + 1))
    np.testing.assert_array_equal(found.sums.area, np.bincount(result.ravel())[1:])
    np.testing.assert_allclose(
        found.sums.band_sums[:, 0],
        np.bincount(result.ravel(), np.indices(scene.shape)[0].ravel())[1:],
    )
    if len(grid) == 1 and scene.size >= min_area:
        assert found.sums.area.min() >= min_area


def test_a_speck_joins_the_largest_of_its_neighbours_and_none_else() -> None:
    scene = np.repeat([[1, 1, 1, 1, 2, 3, 3, 3, 3, 3]], 2, axis=0).astype(np.int32)
    found = stitch(
        TileGrid(2, 10, 16, 2), lambda tile: planted(scene, tile), min_area=3, keep_specks=True
    )
    assert found.sums.area.tolist() == [8, 12]


def test_a_speck_that_touches_nothing_stays() -> None:
    scene = np.zeros((9, 9), dtype=np.int32)
    scene[4, 4] = 1
    found = stitch(
        TileGrid(9, 9, 16, 2), lambda tile: planted(scene, tile), min_area=5, keep_specks=True
    )
    assert found.sums.area.tolist() == [1]


def test_a_scene_without_masks_has_no_segments() -> None:
    pixels = TilePixels(
        image=np.zeros((8, 8, 3), np.uint8),
        bands=np.zeros((4, 8, 8), np.float32),
        valid=np.zeros((8, 8), bool),
    )
    found = stitch(TileGrid(8, 8, 8, 2), lambda _: no_fragments(pixels))
    assert len(found) == 0
    assert found.sums.band_sums.shape == (0, 4)
