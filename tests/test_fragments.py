import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.windows import Window

from alps_geo.descriptors import band_scale
from alps_geo.fragments import Fragments, cut_fragments, touching_pairs
from alps_geo.grid import Tile, TileGrid
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
    fragments = cut(pixels_of(valid), overlapping, fill=False)
    assert fragments.labels[5, 5] == 2
    assert fragments.labels[3, 3] == 1
    assert fragments.labels[0, 0] == 3
    assert (fragments.labels[:, 15] == 0).all()
    assert fragments.sums.area.tolist() == [84, 16, 140]
    assert fragments.valid_pixels == 240
    np.testing.assert_allclose(fragments.sums.predicted_iou, [0.9, 0.8, 0.95], rtol=1e-6)


def test_the_gate_drops_masks_that_cover_too_much(overlapping: TileMasks) -> None:
    fragments = cut(pixels_of(np.ones((16, 16), bool)), overlapping, 0.5, fill=False)
    assert fragments.labels[0, 0] == 0
    assert fragments.sums.area.tolist() == [84, 16]


def test_filling_leaves_no_valid_pixel_out_and_says_what_it_filled(
    overlapping: TileMasks,
) -> None:
    valid = np.ones((16, 16), dtype=bool)
    valid[:, 15] = False
    fragments = cut(pixels_of(valid), overlapping, 0.5, fill=True)
    np.testing.assert_array_equal(fragments.labels > 0, valid)
    assert fragments.sums.area[:2].tolist() == [84, 16]
    assert fragments.sums.is_filled.tolist() == [False, False] + [True] * (len(fragments.sums) - 2)
    assert fragments.sums.area.sum() == valid.sum()


def blocks(side: int) -> TilePixels:
    """Draw one even quarter beside three that are checkered, in three bands."""
    rng = np.random.default_rng(0)
    coarse = rng.choice([-1.0, 1.0], size=(3, side // 16, side // 16))
    bands = coarse.repeat(16, axis=1).repeat(16, axis=2) * 100 + rng.normal(size=(3, side, side))
    bands[:, : side // 2, : side // 2] = rng.normal(size=(3, side // 2, side // 2))
    return TilePixels(
        np.zeros((side, side, 3), np.uint8), bands.astype(np.float32), np.ones((side, side), bool)
    )


def test_large_uneven_masks_give_way_to_superpixels_and_even_ones_stay_whole() -> None:
    side = 128
    dense = np.zeros((3, side, side), dtype=bool)
    dense[0, : side // 2, : side // 2] = True  # even
    dense[1, side // 2 :] = True  # uneven
    dense[2, 8:40, 70:86] = True  # uneven, but small
    masks = TileMasks.from_dense(
        dense,
        np.full(3, 0.9, np.float32),
        np.full(3, 0.9, np.float32),
        np.ones((256, 4, 4), np.float32),
    )
    pixels = blocks(side)
    whole = cut(pixels, masks, fill=False)
    assert whole.sums.area.tolist() == dense.sum(axis=(1, 2)).tolist()
    filled = cut(pixels, masks, fill=True)
    assert np.unique(filled.labels[dense[0]]).tolist() == [1]
    assert np.unique(filled.labels[dense[2]]).tolist() == [2]
    lower = np.unique(filled.labels[dense[1]])
    assert len(lower) > 16
    assert filled.sums.is_filled[lower - 1].all()
    # No fill lies on both sides of a mask's border, nor across two colours.
    sign = np.sign(pixels.bands)
    for number in lower.tolist():
        inside = filled.labels == number
        assert (np.abs(sign[:, inside].mean(axis=1)) > 0.6).all()


def test_fragments_of_neighbouring_tiles_add_up_to_those_of_the_whole(
    overlapping: TileMasks,
) -> None:
    pixels = pixels_of(np.ones((16, 16), bool))
    tile = one_tile(16, 16)
    scale = band_scale(pixels)
    whole = cut(pixels, overlapping, fill=False)
    halves = [
        cut_fragments(
            Tile(0, part, tile.window, Window(part * 8, 0, 8, 16)),
            pixels,
            overlapping,
            scale,
            max_mask_area=1.0,
            fill=False,
        )
        for part in range(2)
    ]
    expected = whole.sums.arrays()
    for name, sums in halves[0].sums.arrays().items():
        np.testing.assert_allclose(
            sums + halves[1].sums.arrays()[name], expected[name], rtol=1e-9, atol=1e-6
        )


def test_labels_touch_along_sides_not_corners_and_not_across_gaps() -> None:
    labels = np.array([[1, 1, 0, 4], [1, 2, 0, 4], [3, 2, 5, 5]], dtype=np.int32)
    assert touching_pairs(labels).tolist() == [[1, 2], [1, 3], [2, 3], [2, 5], [4, 5]]
    assert touching_pairs(labels[:1, :1]).shape == (0, 2)
