"""Description of segments by the scene's own pixels, and the blended embeddings of all tiles."""

from dataclasses import replace

import numpy as np
from dense_masks import packed
from helpers import EMBEDDINGS, cell_size, stitched, sums_by_id
from numpy.typing import NDArray
from rasterio.windows import Window

from alps_geo.features.columns import ColumnSchema
from alps_geo.features.embeddings import Embeddings
from alps_geo.features.images import band_scale
from alps_geo.features.sums import MASKS, WEIGHT
from alps_geo.grid import Tile, TileGrid
from alps_geo.scene import TilePixels
from alps_geo.segments.core_sums import Source
from alps_geo.segments.fragments import FragmentRules, Fragments, cut_fragments, failed_fragments
from alps_geo.segments.pooling import sum_segments
from alps_geo.segments.superpixels import TileBands
from alps_geo.windows import origin

SIDE = 300
BANDS = np.random.default_rng(0).normal(2, 1, (2, SIDE, SIDE)).astype(np.float32)
NOTHING = replace(EMBEDDINGS, sam=np.zeros((256, 8, 8), np.float16))
SCENE = (np.indices((SIDE, SIDE)) // 25 * [[[12]], [[1]]]).sum(axis=0) + 1


def read(window: Window) -> TilePixels:
    bands = BANDS[:, *window.toslices()]
    shape = bands.shape[1:]
    return TilePixels(np.zeros((*shape, 3), np.uint8), bands, np.ones(shape, bool))


def perfect(
    grid: TileGrid, tile: Tile, embeddings: Embeddings = NOTHING, *, whole: bool = False
) -> Fragments:
    """Cut a tile by the masks of a perfect SAM, which may be described whole."""
    labels = SCENE[tile.window.toslices()]
    dense = np.stack([labels == i for i in np.unique(labels)])
    scores = np.full(len(dense), 0.9, np.float32)
    masks = packed(dense, scores, scores)
    pixels = read(tile.window)
    bands = TileBands(pixels, band_scale(pixels), origin(tile.window), 16)
    rules = FragmentRules(1.0, fill=False, cell_size=cell_size if whole else None)
    return cut_fragments(grid, tile, bands, masks, embeddings, rules)


def test_texture_and_context_are_those_of_the_scene_whatever_the_tiles() -> None:
    one, several = TileGrid(SIDE, SIDE, SIDE, 0), TileGrid(SIDE, SIDE, 180, 90)
    assert len(several) > 4
    sums = []
    for grid in (one, several):
        tiles = {tile: perfect(grid, tile) for tile in grid}
        found = stitched(grid, tiles.__getitem__)
        sums.append(sums_by_id(grid, found, tiles, read, ("spread", "texture", "context", "shape")))
    # Ids follow the grid, and each segment has a place of its own.
    first, second = (each.take(np.lexsort(each.mean("moments").T)) for each in sums)
    np.testing.assert_array_equal(first.area, second.area)
    np.testing.assert_allclose(first.mean("squares"), second.mean("squares"), rtol=1e-6)
    for name in ("texture", "context"):
        np.testing.assert_allclose(first.mean(name), second.mean(name), rtol=1e-4)
    assert np.abs(first.mean("context") - 2).max() < 0.2


def test_what_is_not_asked_for_is_not_measured() -> None:
    grid = TileGrid(SIDE, SIDE, SIDE, 0)
    tiles = {tile: perfect(grid, tile) for tile in grid}
    sums = sums_by_id(grid, stitched(grid, tiles.__getitem__), tiles, read, ("spectral",))
    assert sums.named.keys() == {"bands", "squares", MASKS}


def told_apart(
    grid: TileGrid, failed: tuple[Tile, ...] = (), *, whole: bool = False
) -> dict[Tile, Fragments]:
    """Tiles whose embeddings, of SAM and another backbone, say which tile it is."""
    tiles = {}
    for number, tile in enumerate(grid):
        embeddings = Embeddings(
            np.full((256, 8, 8), number, np.float16), np.full((3, 5, 5), -number, np.float32)
        )
        tiles[tile] = perfect(grid, tile, embeddings, whole=whole)
        if tile in failed:
            tiles[tile] = failed_fragments(tile, len(BANDS))
    return tiles


def expected_features(grid: TileGrid, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Blend the numbers of the tiles pixel by pixel, then average under each segment."""
    blend = np.zeros((SIDE, SIDE))
    for number, tile in enumerate(grid):
        blend[tile.window.toslices()] += number * grid.weights(tile)
    return np.array([blend[i == SCENE].mean() for i in ids])


def test_features_blend_the_embeddings_of_all_tiles_that_see_a_pixel() -> None:
    grid = TileGrid(SIDE, SIDE, 180, 40)
    tiles = told_apart(grid)
    sums = sums_by_id(
        grid, stitched(grid, tiles.__getitem__), tiles, read, ("sam", "timm", "shape")
    )
    np.testing.assert_allclose(sums.named[WEIGHT][:, 0], sums.area)
    where = sums.mean("moments")[:, :2].astype(int)
    expected = expected_features(grid, SCENE[where[:, 0], where[:, 1]])
    np.testing.assert_allclose(sums.embedding("sam")[:, 0], expected)
    np.testing.assert_allclose(sums.embedding("backbone")[:, 2], -expected)


def test_a_failed_tile_has_no_say() -> None:
    grid = TileGrid(SIDE, 150, 180, 80)
    first, failed, _ = grid
    tiles = told_apart(grid, failed=(failed,))
    found = stitched(grid, tiles.__getitem__)
    sums = sums_by_id(grid, found, tiles, read)
    assert found.valid_pixels == 150 * (SIDE - failed.core.height) == found.area.sum()
    # Some of the first tile's pixels would have blended with those of the one that failed.
    assert (sums.named[WEIGHT][:, 0] < sums.area).any()
    in_first = sums.mean("moments")[:, 0] < first.core.height
    assert set(np.unique(sums.embedding("sam")[in_first])) == {0}
    np.testing.assert_allclose(sums.embedding("sam")[~in_first], 2)


def test_embeddings_may_come_from_other_tiles_than_the_outlines() -> None:
    grid, views = TileGrid(SIDE, SIDE, 180, 40), TileGrid(SIDE, SIDE, 180, 40, (60, 30))
    assert len(views) > len(grid)
    tiles, others = told_apart(grid), told_apart(views)
    found = stitched(grid, tiles.__getitem__)
    source = Source(
        lambda tile: others[tile].embeddings,
        read,
        band_scale(read(Window(0, 0, SIDE, SIDE))),
        views,
        cell_size,
    )
    schema = ColumnSchema(("band_1", "band_2"), "float32", ("sam", "shape"))
    for batch in sum_segments(grid, found, source, schema):
        np.testing.assert_allclose(batch.sums.named[WEIGHT][:, 0], batch.sums.area)
        where = batch.sums.mean("moments")[:, :2].astype(int)
        expected = expected_features(views, SCENE[where[:, 0], where[:, 1]])
        np.testing.assert_allclose(batch.sums.embedding("sam")[:, 0], expected)


def test_masks_that_nothing_hides_are_the_same_whole_and_by_their_pixels() -> None:
    grid = TileGrid(SIDE, SIDE, SIDE, 0)
    (tile,) = grid
    rng = np.random.default_rng(1)
    random = Embeddings(
        rng.normal(size=(256, 8, 8)).astype(np.float16), rng.normal(size=(3, 5, 5)).astype("f")
    )
    found = []
    for whole in (False, True):
        tiles = {tile: perfect(grid, tile, random, whole=whole)}
        segments = stitched(grid, tiles.__getitem__)
        found.append(sums_by_id(grid, segments, tiles, read, ("sam", "timm")))
        if whole:
            # Their embedding is not needed again.
            tiles[tile] = replace(tiles[tile], embeddings=Embeddings.empty())
            found.append(sums_by_id(grid, segments, tiles, read, ("sam",)))
    by_pixels, both, alone = found
    np.testing.assert_allclose(both.embedding("sam"), by_pixels.embedding("sam"), rtol=1e-9)
    np.testing.assert_allclose(alone.embedding("sam"), by_pixels.embedding("sam"), rtol=1e-9)
    np.testing.assert_array_equal(both.embedding("backbone"), by_pixels.embedding("backbone"))


def test_a_mask_that_tiles_share_is_the_mean_of_its_parts() -> None:
    grid = TileGrid(SIDE, SIDE, 180, 40)
    tiles = told_apart(grid, whole=True)
    sums = sums_by_id(
        grid, stitched(grid, tiles.__getitem__), tiles, read, ("sam", "timm", "shape")
    )
    where = sums.mean("moments")[:, :2].astype(int)
    ids = SCENE[where[:, 0], where[:, 1]]
    # The mask of a pixel is of the tile whose number it has.
    numbers = sums.embedding("sam")
    np.testing.assert_allclose(numbers, numbers[:, :1].repeat(256, axis=1))
    blend = expected_features(grid, ids)
    np.testing.assert_allclose(sums.embedding("backbone")[:, 0], -blend)
    inside = np.isin(blend, range(len(grid)))
    assert 0 < inside.sum() < len(ids)
    np.testing.assert_allclose(numbers[inside, 0], blend[inside])
    seen = [[n for n, t in enumerate(grid) if (SCENE[t.window.toslices()] == i).any()] for i in ids]
    least, most = np.array([(min(each), max(each)) for each in seen]).T
    assert ((least - 1e-9 <= numbers[:, 0]) & (numbers[:, 0] <= most + 1e-9)).all()
