import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.windows import Window

from alps_geo.fragments import CUT, OWNED, cut_fragments
from alps_geo.grid import TileGrid
from alps_geo.sam import TileMasks
from alps_geo.scene import TilePixels


@pytest.fixture
def overlapping() -> TileMasks:
    dense = np.zeros((3, 16, 16), dtype=bool)
    dense[0, 2:12, 2:12] = True
    dense[1, 4:8, 4:8] = True
    dense[2] = True
    return TileMasks.from_dense(
        dense,
        np.array([0.9, 0.8, 0.95], np.float32),
        np.array([0.97, 0.96, 0.99], np.float32),
        np.ones((256, 1, 1), np.float32),
    )


def pixels_of(valid: NDArray[np.bool_]) -> TilePixels:
    return TilePixels(
        image=np.zeros((*valid.shape, 3), np.uint8),
        bands=np.arange(valid.size, dtype=np.float32).reshape(1, *valid.shape),
        valid=valid,
    )


def one_tile(height: int, width: int) -> Tile:
    return next(iter(TileGrid(height, width, max(height, width), 0)))


def cut(pixels: TilePixels, masks: TileMasks, gate: float = 1.0, *, fill: bool) -> Fragments:
    tile = one_tile(*pixels.valid.shape)
    scale = band_scale(pixels)
    return cut_fragments(tile, pixels, masks, scale, max_mask_area=gate, fill=fill)


def test_small_masks_lie_over_large_ones_and_nodata_is_nobodys(overlapping: TileMasks) -> None:
    valid = np.ones((16, 16), dtype=bool)
    valid[:, 15] = False
    grid = TileGrid(16, 16, 16, 4)
    fragments = cut_fragments(grid, grid[0, 0], pixels_of(valid), overlapping, max_mask_area=1.0)
    assert fragments.labels[5, 5] == 2
    assert fragments.labels[3, 3] == 1
    assert fragments.labels[0, 0] == 3
    assert (fragments.labels[:, 15] == 0).all()
    assert fragments.size.tolist() == [84, 16, 140]
    np.testing.assert_allclose(fragments.sums.predicted_iou, [0.9, 0.8, 0.95], rtol=1e-6)


def test_the_gate_drops_masks_that_cover_too_much(overlapping: TileMasks) -> None:
    grid = TileGrid(16, 16, 16, 4)
    pixels = pixels_of(np.ones((16, 16), bool))
    fragments = cut_fragments(grid, grid[0, 0], pixels, overlapping, 0.5)
    assert fragments.labels[0, 0] == 0
    assert fragments.size.tolist() == [84, 16]


def test_fragments_are_ranked_by_how_well_the_tile_knows_them() -> None:
    grid = TileGrid(16, 28, 16, 4)
    assert [tile.core_slices[1] for tile in grid] == [slice(0, 14), slice(2, 16)]
    dense = np.zeros((4, 16, 16), dtype=bool)
    dense[0, 0:4, 0:4] = True  # at the scene's own edge, which cuts nothing off
    dense[1, 8:12, 4:16] = True  # reaches the edge beyond which the scene goes on
    dense[2, 6, 14:16] = True
    dense[3, 0:2, 12:15] = True  # its centroid is in column 13, the last of the core
    scores = np.ones(4, np.float32)
    masks = TileMasks.from_dense(dense, scores, scores, np.ones((256, 1, 1), np.float32))
    fragments = cut_fragments(grid, grid[0, 0], pixels_of(np.ones((16, 16), bool)), masks, 1.0)
    assert fragments.rank.tolist() == [OWNED, CUT, CUT, OWNED]
    assert fragments.sums.weight[0] == 16
    assert fragments.sums.weight[1] == pytest.approx(4 * (8 + 4 / 2))
