import numpy as np
import pytest
from numpy.typing import NDArray

from alps_geo.fragments import cut_fragments
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


def test_small_masks_lie_over_large_ones_and_nodata_is_nobodys(overlapping: TileMasks) -> None:
    valid = np.ones((16, 16), dtype=bool)
    valid[:, 15] = False
    tile = next(iter(TileGrid(16, 16, 16, 4)))
    fragments = cut_fragments(tile, pixels_of(valid), overlapping, max_mask_area=1.0)
    assert fragments.labels[5, 5] == 2
    assert fragments.labels[3, 3] == 1
    assert fragments.labels[0, 0] == 3
    assert (fragments.labels[:, 15] == 0).all()
    assert fragments.sums.area.tolist() == [84, 16, 140]
    assert fragments.valid_pixels == 240
    np.testing.assert_allclose(fragments.sums.predicted_iou, [0.9, 0.8, 0.95], rtol=1e-6)


def test_the_gate_drops_masks_that_cover_too_much(overlapping: TileMasks) -> None:
    tile = next(iter(TileGrid(16, 16, 16, 4)))
    fragments = cut_fragments(tile, pixels_of(np.ones((16, 16), bool)), overlapping, 0.5)
    assert fragments.labels[0, 0] == 0
    assert fragments.sums.area.tolist() == [84, 16]
