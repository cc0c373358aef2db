"""Patches: connected areas of one cluster or class, against a labelling of the whole raster."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from skimage.measure import label

from alps_geo.outputs.patches import STRIP, find_patches
from alps_geo.outputs.raster_rows import RasterRows


def write(path: Path, ids: NDArray[np.uint32]) -> Path:
    height, width = ids.shape
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint32"
        ) as raster,
    ):
        raster.write(ids, 1)
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("height", [1, STRIP, STRIP + 1, 3 * STRIP - 7])
def test_patches_are_the_regions_of_the_whole_raster(tmp_path: Path, height: int) -> None:
    random = np.random.default_rng(height)
    segments = random.integers(0, 40, (height, 60), np.uint32).repeat(3, axis=1)
    of_segment = np.append(0, random.integers(1, 4, 39))
    of_segment[7] = 0
    ids = of_segment[segments]
    expected = label(ids, connectivity=1, background=0)  # type: ignore[no-untyped-call]
    rows = RasterRows(write(tmp_path / "segments.tif", segments))
    found = find_patches(rows, height, of_segment)
    strips = range(0, height, STRIP)
    drawn = np.concatenate([found.read(s, min(s + STRIP, height)) for s in strips])
    assert len(found) == expected.max()
    # One to one, and numbered as rows meet them.
    pairs = np.unique(np.stack([expected.ravel(), drawn.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(expected))
    assert (drawn == 0).tolist() == (ids == 0).tolist()
    firsts = [np.flatnonzero(drawn.ravel() == patch)[0] for patch in range(1, len(found) + 1)]
    np.testing.assert_array_equal(found.ids, ids.ravel()[firsts])
    for patch in range(1, len(found) + 1):
        assert found.segments[patch - 1] == len(np.unique(segments[drawn == patch]))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_segments_has_no_patches(tmp_path: Path) -> None:
    path = write(tmp_path / "segments.tif", np.zeros((10, 10), np.uint32))
    found = find_patches(RasterRows(path), 10, np.zeros(1, np.int64))
    assert len(found) == 0
    assert not found.read(0, 10).any()
