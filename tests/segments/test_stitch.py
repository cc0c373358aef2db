from dataclasses import dataclass, replace

import numpy as np
from dense_masks import packed
from helpers import EMBEDDINGS, painted, stitched, sums_by_id
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage
from scipy.spatial import cKDTree

from alps_geo.features.images import band_scale
from alps_geo.features.sums import WEIGHT
from alps_geo.grid import Tile, TileGrid
from alps_geo.scene import TilePixels
from alps_geo.segments.fragments import FragmentRules, Fragments, cut_fragments, no_fragments
from alps_geo.segments.stitch import Stitched
from alps_geo.segments.superpixels import TileBands
from alps_geo.windows import origin


def planted(scene: NDArray[np.int32], grid: TileGrid, tile: Tile) -> Fragments:
    """Fragments of a perfect SAM in a tile of a scene whose segments are known."""
    labels = scene[tile.window.toslices()]
    dense = np.stack([labels == i for i in [-1, *np.unique(labels[labels > 0])]])
    scores = np.full(len(dense), 0.9, np.float32)
    # The feature of a pixel is its own value, which the pooling then has to give back.
    embeddings = replace(EMBEDDINGS, sam=np.full((256, 1, 1), 0.5, np.float16))
    masks = packed(dense, scores, scores - 0.1)
    scale = band_scale(pixels_of(scene[None]))
    return cut_fragments(
        grid,
        tile,
        TileBands(pixels_of(labels[None]), scale, origin(tile.window), 16),
        masks,
        embeddings,
        FragmentRules(1.0, fill=False),
    )


def pixels_of(bands: NDArray[np.number]) -> TilePixels:
    shape = bands.shape[1:]
    return TilePixels(
        np.zeros((*shape, 3), np.uint8), bands.astype(np.float32), np.ones(shape, bool)
    )


def read_coordinates(window: Window) -> TilePixels:
    rows, cols = np.indices((window.height, window.width))
    return pixels_of(np.stack([rows + window.row_off, cols + window.col_off]))


def assembled(
    grid: TileGrid,
    scene: NDArray[np.int32],
    min_area: int = 1,
    *,
    superpixel_size: int | None = None,
) -> tuple[NDArray[np.uint32], Stitched]:
    tiles = {tile: planted(scene, grid, tile) for tile in grid}
    found = stitched(grid, tiles.__getitem__, min_area=min_area, superpixel_size=superpixel_size)
    return painted(grid, found), found


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


@settings(max_examples=100)
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
    np.testing.assert_array_equal(found.area, ndimage.sum_labels(result > 0, result, ids))
    tiles = {tile: planted(scene, grid, tile) for tile in grid}
    sums = sums_by_id(grid, found, tiles, read_coordinates, ("sam", "shape", "spread"))
    squares = sums.mean("squares") - sums.band_means**2
    np.testing.assert_array_equal(sums.area, found.area)
    # The weights of all tiles add up to 1 for each pixel, so the sums are those of the whole.
    np.testing.assert_allclose(sums.named[WEIGHT][:, 0], found.area)
    np.testing.assert_allclose(sums.embedding("sam"), 0.5)
    np.testing.assert_allclose(sums.predicted_iou, 0.9, rtol=1e-6)
    for axis, coordinates in enumerate(np.indices(scene.shape)):
        expected = ndimage.mean(coordinates, result, ids) if len(ids) else []
        np.testing.assert_allclose(sums.band_means[:, axis], expected)
        np.testing.assert_allclose(sums.mean("moments")[:, axis], expected)
        spread = [np.var(coordinates, where=result == i) for i in ids]
        np.testing.assert_allclose(squares[:, axis], spread, atol=1e-5)


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
    assert found.area.tolist() == [5 * 400]


def test_small_segments_are_dropped_and_ids_stay_without_gaps() -> None:
    scene = np.zeros((20, 20), dtype=np.int32)
    scene[0, :2] = 1
    scene[5:15, 5:15] = 2
    grid = TileGrid(20, 20, 10, 4)
    found = stitched(grid, lambda tile: planted(scene, grid, tile), min_area=3)
    assert found.area.tolist() == [100]


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


@settings(max_examples=60)
@given(mosaics_and_grids(), st.integers(1, 30))
def test_specks_join_a_neighbour_and_every_pixel_keeps_a_segment(
    case: tuple[NDArray[np.int32], TileGrid], min_area: int
) -> None:
    scene, grid = case
    result, found = assembled(grid, scene, min_area, superpixel_size=16)
    np.testing.assert_array_equal(np.unique(result), np.arange(1, len(found) + 1))
    np.testing.assert_array_equal(found.area, np.bincount(result.ravel())[1:])
    rows = np.indices(scene.shape)[0].ravel()
    mean_rows = np.bincount(result.ravel(), rows)[1:] / found.area
    tiles = {tile: planted(scene, grid, tile) for tile in grid}
    sums = sums_by_id(grid, found, tiles, read_coordinates)
    np.testing.assert_allclose(sums.band_means[:, 0], mean_rows)
    # What was whole stays whole, whatever joined it.
    pairs = np.unique(np.stack([scene.ravel(), result.ravel()]), axis=1)
    if len(grid) == 1:
        assert len(np.unique(pairs[0])) == pairs.shape[1]
        assert found.area.min() >= min(min_area, scene.size)


def test_a_speck_joins_the_largest_of_its_neighbours_and_none_else() -> None:
    scene = np.repeat([[1, 1, 1, 1, 2, 3, 3, 3, 3, 3]], 2, axis=0).astype(np.int32)
    result, found = assembled(TileGrid(2, 10, 16, 2), scene, 3, superpixel_size=16)
    assert found.area.tolist() == [8, 12]
    assert result[0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_a_speck_joins_across_the_border_of_tiles() -> None:
    """The speck lies along the border of the cores, next to a pond here and a lake beyond it."""
    grid = TileGrid(4, 24, 16, 8)  # cores meet at column 12
    scene = np.repeat([[1] * 9 + [2] * 2 + [3] + [4] * 12], 4, axis=0).astype(np.int32)
    result, found = assembled(grid, scene, 5, superpixel_size=16)
    assert result[0].tolist() == [1] * 9 + [2] * 2 + [3] * 13
    tiles = {tile: planted(scene, grid, tile) for tile in grid}
    sums = sums_by_id(grid, found, tiles, read_coordinates)
    assert found.area.tolist() == [36, 8, 52]
    np.testing.assert_allclose(sums.named[WEIGHT][:, 0], [36, 8, 52])


def test_a_speck_that_touches_nothing_stays() -> None:
    scene = np.zeros((9, 9), dtype=np.int32)
    scene[4, 4] = 1
    _, found = assembled(TileGrid(9, 9, 16, 2), scene, 5, superpixel_size=16)
    assert found.area.tolist() == [1]


def test_a_scene_without_masks_has_no_segments() -> None:
    grid = TileGrid(8, 8, 8, 2)
    found = stitched(grid, lambda _: no_fragments((8, 8), 2))
    assert len(found) == 0


def test_an_object_that_one_tile_cuts_off_is_taken_from_the_tile_that_sees_it_whole() -> None:
    """The left tile calls the right part of its window one thing; the right tile knows better."""
    scene = np.zeros((16, 28), dtype=np.int32)
    scene[4:12, 13:20] = 1
    grid = TileGrid(16, 28, 16, 4)
    left, right = tuple(grid)
    wrong = scene.copy()
    wrong[:, 10:16] = 2
    tiles = {left: planted(wrong, grid, left), right: planted(scene, grid, right)}
    found = stitched(grid, tiles.__getitem__)
    result = painted(grid, found)
    assert len(np.unique(result[4:12, 13:20])) == 1
    assert result[8, 13] != result[0, 13]


@settings(max_examples=100)
@given(scenes_and_grids(), st.integers(0, 2**32 - 1))
def test_every_pixel_is_counted_once_when_tiles_disagree(
    case: tuple[NDArray[np.int32], TileGrid], seed: int
) -> None:
    scene, grid = case
    rng = np.random.default_rng(seed)
    tiles = {
        tile: planted(np.where(rng.random(scene.shape) < 0.1, 3, scene), grid, tile)
        for tile in grid
    }
    found = stitched(grid, tiles.__getitem__, min_area=4)
    result = painted(grid, found)
    ids = np.arange(1, len(found) + 1)
    np.testing.assert_array_equal(found.area, ndimage.sum_labels(result > 0, result, ids))
    assert (found.area >= 4).all()
    assert result.max(initial=0) == len(found)


@dataclass(frozen=True)
class Pair:
    """Two tiles, 64 x 64 each, whose cores meet at column 48 of the scene, and what they see."""

    grid = TileGrid(64, 96, 64, 32)
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]

    def by_sam(self) -> NDArray[np.bool_]:
        """Stitch the two; tell which pixels belong to a mask, and check that all have a segment."""
        pixels = pixels_of(np.ones((1, 64, 64)))
        tiles = {}
        for tile, dense in zip(self.grid, (self.left, self.right), strict=True):
            scores = np.full(len(dense), 0.9, np.float32)
            masks = packed(dense, scores, scores)
            tiles[tile] = cut_fragments(
                self.grid,
                tile,
                TileBands(pixels, band_scale(pixels), origin(tile.window), 16),
                masks,
                EMBEDDINGS,
                FragmentRules(1.0, fill=True),
            )
        found = stitched(self.grid, tiles.__getitem__, superpixel_size=16)
        ids = painted(self.grid, found)
        assert (ids > 0).all()
        return np.asarray(~sums_by_id(self.grid, found, tiles, read_coordinates).is_filled[ids - 1])


def seen(*boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Masks of a 64 x 64 tile: (top, bottom, left, right) each, in its own pixels."""
    masks = np.zeros((len(boxes), 64, 64), dtype=bool)
    for mask, (top, bottom, left, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return masks


def test_a_mask_that_its_owner_would_see_and_does_not_is_disowned() -> None:
    # Columns 42 to 60 of the scene, so the right tile is asked, which sees columns 32 to 96.
    shed = (4, 20, 42, 60)
    assert not Pair(left=seen(shed), right=seen()).by_sam().any()


def test_a_mask_that_its_owner_sees_too_stays() -> None:
    found = Pair(left=seen((4, 20, 42, 60)), right=seen((4, 20, 10, 29))).by_sam()
    expected = np.zeros((64, 96), dtype=bool)
    expected[4:20, 42:61] = True
    np.testing.assert_array_equal(found, expected)


def test_a_mask_that_its_owner_cannot_see_whole_stays() -> None:
    masks = seen((4, 20, 45, 62))
    masks[0, 4:6, 28:45] = True  # a tail beyond the right tile's edge
    assert Pair(left=masks, right=seen()).by_sam()[:, :64][masks[0]].all()


def test_fill_yields_to_whole_masks_of_another_tile_and_cut_off_ones_to_fill() -> None:
    whole = (4, 20, 10, 30)  # columns 42 to 62 of the scene, its centroid in the right core
    cut_off = (40, 60, 0, 20)  # from the right tile's edge, columns 32 to 52
    expected = np.zeros((64, 96), dtype=bool)
    expected[4:20, 42:62] = True
    found = Pair(left=seen(), right=seen(whole, cut_off)).by_sam()
    np.testing.assert_array_equal(found, expected)


def test_what_is_left_of_superpixels_where_tiles_meet_joins_by_their_size() -> None:
    """Two tiles that cut noise apart each in its own way leave pieces along their border."""
    grid = TileGrid(64, 96, 64, 32)
    noise = np.random.default_rng(0).normal(size=(1, 64, 128)).astype(np.float32)
    tiles = {
        tile: cut_fragments(
            grid,
            tile,
            TileBands(
                pixels_of(noise[:, :, 32 * number :][:, :, :64]),
                band_scale(pixels_of(noise)),
                origin(tile.window),
                16,
            ),
            packed(seen(), *np.zeros((2, 0), np.float32)),
            EMBEDDINGS,
            FragmentRules(1.0, fill=True),
        )
        for number, tile in enumerate(grid)
    }
    counts = [len(stitched(grid, tiles.__getitem__, superpixel_size=size)) for size in (4, 16, 64)]
    assert counts[0] > counts[1] > counts[2]
