"""Polygons with holes as one ring: filled, they are the same pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alps_geo.outputs.polygons import polygonize
from alps_geo.outputs.training_set.bridges import bridged

SHAPE = (12, 13)
REGIONS = arrays(np.bool_, SHAPE, elements=st.integers(0, 3).map(lambda n: n > 0))


def parts_of(region: np.ndarray) -> list[shapely.Polygon]:
    rows, (height, width) = region.astype(np.uint32), region.shape
    found = polygonize(lambda i, j: rows[i:j], (height, width), Affine.identity())
    return [part for each in found for part in shapely.get_parts(each.geometry)]


def crossings(ring: np.ndarray) -> np.ndarray:
    """Fill a ring by the even-odd rule: count edges to the left of a point in each pixel."""
    after = np.roll(ring, -1, axis=0)
    rows, cols = np.indices(SHAPE) + 0.4
    count = np.zeros(SHAPE, np.int64)
    for (x0, y0), (x1, y1) in zip(ring, after, strict=True):
        count += (min(y0, y1) < rows) & (rows < max(y0, y1)) & (min(x0, x1) < cols)
    inside: np.ndarray = count % 2 == 1
    return inside


def opencv(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill a ring as Ultralytics does: shares in float32, fractions of pixels dropped."""
    shares = (ring / shape[::-1]).astype(np.float32)
    pixels = (shares * np.array(shape[::-1], np.float32)).astype(np.int32)
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [pixels], 1)
    return mask.astype(bool)


@given(REGIONS)
def test_a_ring_fills_to_the_region_by_any_rule(region: np.ndarray) -> None:
    even, gdal, painted = (np.zeros(SHAPE, np.bool_) for _ in range(3))
    for part in parts_of(region):
        ring = bridged(part)
        # Bridges too lie inside the polygon.
        assert part.buffer(1e-9).covers(shapely.LinearRing(ring))
        even ^= crossings(ring)
        gdal |= rasterio.features.rasterize([shapely.Polygon(ring)], SHAPE).astype(bool)
        painted |= opencv(ring, SHAPE)
    np.testing.assert_array_equal(even, region)
    np.testing.assert_array_equal(gdal, region)
    np.testing.assert_array_equal(painted, region)


@pytest.mark.parametrize("side", [7, 100, 512, 999, 4096])
def test_chips_of_any_size_are_filled_exactly(side: int) -> None:
    rng = np.random.default_rng(side)
    region = np.zeros((side, side), bool)
    region[1:, :-2] = True
    region[tuple(rng.integers(0, side, (2, 40)))] = False
    for part in parts_of(region):
        expected = rasterio.features.rasterize([part], region.shape).astype(bool)
        np.testing.assert_array_equal(opencv(bridged(part), region.shape), expected)
