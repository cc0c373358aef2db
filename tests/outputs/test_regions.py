"""Regions of a raster of classes, against a labelling of the whole raster."""

import numpy as np
import pytest
from scipy.ndimage import mean
from skimage.measure import label

from alps_geo.outputs.regions import STRIP, find_regions


@pytest.mark.parametrize("height", [1, STRIP, STRIP + 1, 3 * STRIP - 7])
def test_regions_are_those_of_the_whole_raster(height: int) -> None:
    random = np.random.default_rng(height)
    classes = random.integers(0, 3, (height, 60), np.uint8).repeat(3, axis=1)
    percent = random.integers(1, 101, classes.shape, np.uint8)
    expected = label(classes, connectivity=1, background=0)  # type: ignore[no-untyped-call]
    found = find_regions(lambda a, b: classes[a:b], lambda a, b: percent[a:b], height)
    read, strips = found.reader(lambda a, b: classes[a:b]), range(0, height, STRIP)
    drawn = np.concatenate([read(start, min(start + STRIP, height)) for start in strips])
    np.testing.assert_array_equal(drawn, expected)
    numbers, first, pixels = np.unique(expected, return_index=True, return_counts=True)
    each = numbers > 0
    np.testing.assert_array_equal(found.classes, classes.ravel()[first[each]])
    np.testing.assert_array_equal(found.pixels, pixels[each])
    np.testing.assert_allclose(found.values, mean(percent, expected, numbers[each]))


def test_a_raster_without_classes_has_no_regions() -> None:
    none = np.zeros((2 * STRIP, 10), np.uint8)
    found = find_regions(lambda a, b: none[a:b], lambda a, b: none[a:b], len(none))
    assert len(found) == 0
    assert not found.reader(lambda a, b: none[a:b])(STRIP, 2 * STRIP).any()
