"""Polygons with holes as one ring: filled, they are the same pixels."""

from __future__ import annotations

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from alps_geo.outputs.polygons import polygonize
from alps_geo.outputs.training_set.bridges import bridged

SHAPE = (12, 13)


def parts_of(region: np.ndarray) -> list[shapely.Polygon]:
    rows = region.astype(np.uint32)
    found = polygonize(lambda i, j: rows[i:j], *SHAPE, Affine.identity())
    return [part for each in found for part in shapely.get_parts(each.geometry)]


def crossings(ring: np.ndarray) -> np.ndarray:
    """Fill a ring by the even-odd rule: count upright edges to the left of pixel centres."""
    after = np.roll(ring, -1, axis=0)
    rows, cols = np.indices(SHAPE) + 0.5
    count = np.zeros(SHAPE, np.int64)
    for (x0, y0), (x1, y1) in zip(ring, after, strict=True):
        if x0 == x1:
            count += (min(y0, y1) < rows) & (rows < max(y0, y1)) & (x0 < cols)
    inside: np.ndarray = count % 2 == 1
    return inside


@given(arrays(np.bool_, SHAPE, elements=st.integers(0, 3).map(lambda n: n > 0)))
@settings(deadline=None)
def test_a_ring_fills_to_the_region_by_any_rule(region: np.ndarray) -> None:
    even, winding = np.zeros(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    for part in parts_of(region):
        ring = bridged(part)
        # All edges lie along the axes, and bridges inside the polygon.
        steps = np.roll(ring, -1, axis=0) - ring
        assert (np.abs(steps) > 0).sum(axis=1).max() <= 1
        assert part.covers(shapely.LinearRing(ring))
        even ^= crossings(ring)
        one = shapely.Polygon(ring)
        winding |= rasterio.features.rasterize([one], SHAPE).astype(bool)
    np.testing.assert_array_equal(even, region)
    np.testing.assert_array_equal(winding, region)


def test_a_hole_stays_empty_where_programs_draw_the_border_too() -> None:
    region = np.ones(SHAPE, np.bool_)
    region[3:9, 3:9] = False
    (part,) = parts_of(region)
    picture = Image.new("1", SHAPE[::-1])
    ImageDraw.Draw(picture).polygon([tuple(point) for point in bridged(part)], fill=1)
    assert not np.asarray(picture)[5:8, 5:8].any()
