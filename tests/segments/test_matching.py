"""Large objects that windows cut off: one segment where tiles agree, superpixels where not."""

import numpy as np
import pytest
from dense_masks import packed
from helpers import EMBEDDINGS, painted, stitched, sums_by_id
from numpy.typing import NDArray
from rasterio.windows import Window

from alps_geo.features.images import band_scale
from alps_geo.features.sums import RegionSums
from alps_geo.grid import Tile, TileGrid
from alps_geo.scene import TilePixels
from alps_geo.segments.fragments import FragmentRules, Fragments, cut_fragments
from alps_geo.segments.pairing import match_labels
from alps_geo.segments.superpixels import TileBands
from alps_geo.settings import LabelSettings
from alps_geo.windows import origin

GRID = TileGrid(64, 352, 96, 32)
RIVER = np.zeros((64, 352), dtype=bool)
RIVER[20:48] = True


def scene_of(river: NDArray[np.floating]) -> NDArray[np.float32]:
    """Draw a river of this brightness, by column, between banks of noise."""
    banks = np.random.default_rng(0).normal(0, 10, RIVER.shape)
    return np.where(RIVER, np.broadcast_to(river, RIVER.shape), banks).astype(np.float32)[None]


def pixels_of(bands: NDArray[np.float32]) -> TilePixels:
    shape = bands.shape[1:]
    return TilePixels(np.zeros((*shape, 3), np.uint8), bands, np.ones(shape, bool))


def bands_of(bands: NDArray[np.float32], tile: Tile) -> TileBands:
    """Cut a tile out of the bands of a scene, and scale them by all of it."""
    inside = bands[:, *tile.window.toslices()]
    return TileBands(pixels_of(inside), band_scale(pixels_of(bands)), origin(tile.window), 16)


def cut(bands: NDArray[np.float32], tile: Tile, *, found: bool) -> Fragments:
    """Cut a tile in which SAM finds the river, or nothing."""
    where = tile.window.toslices()
    dense = RIVER[where][None] if found else np.zeros((0, *RIVER[where].shape), bool)
    scores = np.full(len(dense), 0.9, np.float32)
    masks = packed(dense, scores, scores - 0.1)
    return cut_fragments(
        GRID,
        tile,
        bands_of(bands, tile),
        masks,
        EMBEDDINGS,
        FragmentRules(1.0, fill=True),
    )


def segments_of(
    river: NDArray[np.floating], missing: tuple[int, ...] = ()
) -> tuple[NDArray[np.uint32], RegionSums]:
    """Stitch the river's tiles; SAM does not find it in those that are missing."""
    bands = scene_of(river)
    tiles = {tile: cut(bands, tile, found=tile.col not in missing) for tile in GRID}

    def read(window: Window) -> TilePixels:
        return pixels_of(bands[:, *window.toslices()])

    found = stitched(GRID, tiles.__getitem__, superpixel_size=16)
    return painted(GRID, found), sums_by_id(GRID, found, tiles, read)


def test_a_river_longer_than_many_tiles_is_one_segment_of_sam() -> None:
    ids, sums = segments_of(np.full(352, 80.0))
    river = np.unique(ids[RIVER])
    assert len(river) == 1
    assert not np.isin(ids[~RIVER], river).any()
    of_river = river - 1
    assert not sums.is_filled[of_river].any()
    assert sums.predicted_iou[of_river] == pytest.approx(0.9)
    assert sums.stability_score[of_river] == pytest.approx(0.8)
    assert sums.is_filled[np.unique(ids[~RIVER]) - 1].all()


def test_a_lake_that_fills_tiles_is_one_segment_of_sam() -> None:
    grid = TileGrid(160, 160, 64, 32)
    lake = np.zeros((160, 160), dtype=bool)
    lake[8:152, 8:152] = True
    assert any(lake[tile.window.toslices()].all() for tile in grid)
    banks = np.random.default_rng(0).normal(0, 10, lake.shape)
    bands = np.where(lake, 80.0, banks).astype(np.float32)[None]
    tiles = {}
    for tile in grid:
        where = tile.window.toslices()
        score = np.full(1, 0.9, np.float32)
        tiles[tile] = cut_fragments(
            grid,
            tile,
            bands_of(bands, tile),
            packed(lake[where][None], score, score),
            EMBEDDINGS,
            FragmentRules(LabelSettings().mask_area_gate, fill=True),
        )
    found = stitched(grid, tiles.__getitem__)
    assert found.area.max() == lake.sum()


@pytest.mark.parametrize("missing", [0, 2, 4])
def test_a_river_that_one_tile_does_not_know_ends_at_no_edge_of_a_tile(missing: int) -> None:
    ids, sums = segments_of(np.full(352, 80.0), missing=(missing,))
    assert sums.is_filled[np.unique(ids[RIVER]) - 1].all()
    assert np.bincount(ids[RIVER]).max() < 1000


def test_a_river_that_changes_from_tile_to_tile_is_not_swallowed_whole() -> None:
    # Each tile's part is even and like the next one's; the ends are unlike.
    ids, sums = segments_of(np.linspace(0.0, 100.0, 352))
    assert sums.is_filled[np.unique(ids[RIVER]) - 1].all()
    assert ids[30, 5] != ids[30, 340]


def test_objects_that_disagree_in_the_overlap_stay_apart() -> None:
    first = np.array([[1, 1, 1, 1, 1, 2]])
    second = np.array([[7, 3, 3, 3, 3, 3]])
    assert match_labels(first, second).tolist() == [[1, 3]]
    assert match_labels(first[:, ::-1], first[:, ::-1]).tolist() == [[1, 1], [2, 2]]
    assert match_labels(np.array([[1, 1]]), np.array([[1, 2]])).tolist() == []


def test_masks_that_agree_in_the_overlap_and_look_unlike_beyond_it_stay_apart() -> None:
    grid = TileGrid(16, 56, 32, 8)
    bands = np.zeros((1, 16, 56), dtype=np.float32)
    bands[:, :, 32:] = 100
    left, right = grid
    tiles = {}
    for tile in (left, right):
        dense = np.zeros((1, 16, 32), dtype=bool)
        dense[0, 6:10] = True
        scores = np.ones(1, np.float32)
        tiles[tile] = cut_fragments(
            grid,
            tile,
            bands_of(bands, tile),
            packed(dense, scores, scores),
            EMBEDDINGS,
            FragmentRules(1.0, fill=False),
        )
    found = stitched(grid, tiles.__getitem__)
    assert len(found) == 2
