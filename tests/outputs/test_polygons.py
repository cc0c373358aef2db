"""Polygons are exactly the regions of the raster, however it was cut into strips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from helpers import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from alps_geo.features.mapping import HERE
from alps_geo.outputs.ground import NamedMeasures
from alps_geo.outputs.polygons import Polygons, polygonize, simplify
from alps_geo.tiles.processes import ProcessExecutor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alps_geo.features.mapping import Mapper

NORTH_UP = Affine(1, 0, 0, 0, -1, 0)
# A third of a metre, and an offset, that no binary number holds exactly.
TRANSFORMS = {
    "north-up": Affine(1 / 3, 0, 327432.1, 0, -1 / 3, 4269825.7),
    "south-up": Affine(1 / 3, 0, 327432.1, 0, 1 / 3, 4269825.7),
    "rotated": Affine.translation(327432.1, 4269825.7)
    @ Affine.rotation(33)
    @ Affine.scale(1 / 3, -1 / 7),
}

Raster = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class StoredRows:
    """Rows of a raster in a file of numpy, for other processes."""

    path: Path

    def __call__(self, start: int, stop: int) -> Raster:
        """Read some rows."""
        rows: Raster = np.load(self.path)[start:stop]
        return rows


def polygons_of(
    raster: Raster, transform: Affine = NORTH_UP, strip: int = 512
) -> dict[int, shapely.MultiPolygon]:
    found: dict[int, shapely.MultiPolygon] = {}
    height, width = raster.shape
    for batch in polygonize(rows_of(raster), (height, width), transform, strip=strip):
        assert np.all(np.diff(batch.segment_id) > 0)
        for segment, polygon in zip(batch.segment_id.tolist(), batch.geometry, strict=True):
            assert segment not in found, "each id comes once"
            found[segment] = polygon
    return found


def rows_of(raster: Raster) -> Callable[[int, int], Raster]:
    return lambda start, stop: raster[start:stop]


def burnt(polygons: dict[int, shapely.MultiPolygon], raster: Raster, transform: Affine) -> Raster:
    if not polygons:
        return np.zeros_like(raster)
    shapes = [(polygon, segment) for segment, polygon in polygons.items()]
    raster_back: Raster = rasterio.features.rasterize(
        shapes, out_shape=raster.shape, transform=transform, dtype="uint32"
    )
    return raster_back


def real_segments(name: str, levels: int) -> Raster:
    """4-connected pieces of a real band's levels; the darkest stay unlabelled."""
    with rasterio.open(DATA / name) as scene:
        band = ndimage.uniform_filter(scene.read(1)[:384, :384].astype(float), 5)
    cuts = np.quantile(band, np.linspace(0, 1, levels + 1)[1:-1])
    classes = np.digitize(band, cuts)
    segments = np.zeros(band.shape, np.uint32)
    for level in range(1, levels):
        pieces, _ = ndimage.label(classes == level)
        segments += np.where(pieces, pieces + segments.max(), 0).astype(np.uint32)
    return segments


REAL = {
    "fields": real_segments("sentinel2_uint16_4band.tif", 6),
    "crowns": real_segments("neon_osbs_10cm.tif", 4),
}

small_rasters = hnp.arrays(
    np.uint32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.integers(0, 3),
    fill=st.nothing(),
)


@settings(max_examples=200)
@given(small_rasters)
def test_burning_the_polygons_back_gives_the_same_raster(raster: Raster) -> None:
    polygons = polygons_of(raster)
    assert set(polygons) == set(np.unique(raster).tolist()) - {0}
    assert np.array_equal(burnt(polygons, raster, NORTH_UP), raster)


@settings(max_examples=200)
@given(small_rasters)
def test_polygons_are_valid_and_cover_their_pixels_only(raster: Raster) -> None:
    for segment, polygon in polygons_of(raster).items():
        assert polygon.is_valid, shapely.is_valid_reason(polygon)
        assert polygon.area == np.count_nonzero(raster == segment)


@settings(max_examples=200)
@given(small_rasters)
def test_parts_are_the_four_connected_pieces(raster: Raster) -> None:
    for segment, polygon in polygons_of(raster).items():
        _, pieces = ndimage.label(raster == segment)
        assert len(polygon.geoms) == pieces
        for part in polygon.geoms:
            assert part.exterior.is_ccw
            assert not any(hole.is_ccw for hole in part.interiors)


@settings(max_examples=200)
@given(small_rasters, st.integers(1, 8))
def test_strips_leave_no_trace(raster: Raster, strip: int) -> None:
    whole, cut = polygons_of(raster), polygons_of(raster, strip=strip)
    assert set(whole) == set(cut)
    assert all(shapely.equals_exact(whole[segment], cut[segment], 0) for segment in whole)


@settings(max_examples=200)
@given(small_rasters)
def test_gdal_finds_the_same_regions(raster: Raster) -> None:
    theirs: dict[int, list[shapely.Geometry]] = {}
    shapes = rasterio.features.shapes(raster.astype(np.int32), raster > 0, transform=NORTH_UP)
    for shape, segment in shapes:
        theirs.setdefault(int(segment), []).append(shapely.geometry.shape(shape))
    ours = polygons_of(raster)
    assert set(ours) == set(theirs)
    assert all(ours[segment].equals(shapely.union_all(theirs[segment])) for segment in ours)


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("name", REAL)
def test_real_regions_burn_back_under_any_transform(name: str, transform: Affine) -> None:
    raster = REAL[name]
    polygons = polygons_of(raster, transform, strip=100)
    geometries = np.array(list(polygons.values()))
    assert shapely.is_valid(geometries).all()
    assert not shapely.is_empty(geometries).any()
    assert np.array_equal(burnt(polygons, raster, transform), raster)


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_neighbours_share_their_edges_exactly(transform: Affine) -> None:
    geometries = np.array(list(polygons_of(REAL["fields"], transform).values()))
    assert shapely.coverage_is_valid(geometries)
    assert all(part.exterior.is_ccw for part in shapely.get_parts(geometries))


@pytest.mark.parametrize("tolerance", [1, 30])
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_simplified_polygons_leave_no_gap_up_to_the_corners(
    transform: Affine, tolerance: float
) -> None:
    raster = REAL["fields"] + 1  # what was no segment is one now
    found = polygons_of(raster, transform)
    exact = Polygons(np.array(list(found)), np.array(list(found.values())))
    height, width = raster.shape
    simple = simplify(exact, tolerance, height, width, transform)
    assert simple.segment_id.tolist() == exact.segment_id.tolist()
    assert shapely.coverage_is_valid(simple.geometry)
    corners = [transform @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
    scene = shapely.Polygon(corners)
    assert shapely.area(simple.geometry).sum() == pytest.approx(scene.area, rel=1e-9)
    covered = shapely.coverage_union_all(simple.geometry)
    assert shapely.symmetric_difference(covered, scene).area < 1e-9 * scene.area
    vertices = [shapely.get_num_coordinates(p.geometry).sum() for p in (exact, simple)]
    assert vertices[1] < vertices[0]


def test_a_scene_of_one_pixel_is_still_one_when_simplified() -> None:
    found = polygons_of(np.array([[7]], np.uint32))
    exact = Polygons(np.array([7]), np.array(list(found.values())))
    simple = simplify(exact, 5, 1, 1, NORTH_UP)
    assert shapely.area(simple.geometry).tolist() == [1]


@pytest.mark.parametrize("strip", [1, 7, 64, 384])
def test_strips_leave_no_trace_on_real_regions(strip: int) -> None:
    raster = REAL["crowns"]
    whole, cut = polygons_of(raster), polygons_of(raster, strip=strip)
    assert all(shapely.equals_exact(whole[segment], cut[segment], 0) for segment in whole)
    assert len(whole) == len(cut)


def test_a_segment_is_yielded_as_soon_as_it_has_ended() -> None:
    raster = np.array([[1, 2], [1, 0], [3, 0], [0, 0], [3, 0], [3, 4]], np.uint32)
    batches = polygonize(rows_of(raster), (6, 2), NORTH_UP, strip=2)
    assert [batch.segment_id.tolist() for batch in batches] == [[2], [1], [3, 4]]


def test_rings_within_rings_within_rings() -> None:
    raster = np.zeros((13, 13), np.uint32)
    for ring in range(6):
        raster[ring : 13 - ring, ring : 13 - ring] = 1 + ring % 2
    raster[6, 6] = 1
    first = polygons_of(raster)[1]
    assert [len(part.interiors) for part in first.geoms] == [1, 1, 1, 0]
    assert [part.area for part in first.geoms] == [48, 32, 16, 1]


def test_holes_that_touch_at_a_corner_stay_valid() -> None:
    raster = np.ones((4, 4), np.uint32)
    raster[1, 1] = raster[2, 2] = 0
    polygon = polygons_of(raster)[1]
    assert polygon.is_valid
    assert len(polygon.geoms[0].interiors) == 2


def test_the_largest_id_of_uint32_survives() -> None:
    raster = np.array([[2**32 - 1, 2**31, 0]], np.uint32)
    assert set(polygons_of(raster)) == {2**32 - 1, 2**31}


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1)])
def test_scenes_of_one_pixel_width(shape: tuple[int, int]) -> None:
    raster = (np.arange(50)[: shape[0] * shape[1]].reshape(shape) // 3 + 1).astype(np.uint32)
    assert np.array_equal(burnt(polygons_of(raster, strip=4), raster, NORTH_UP), raster)


def test_nothing_labelled_gives_no_polygon() -> None:
    assert polygons_of(np.zeros((5, 5), np.uint32), strip=2) == {}


def test_polygons_and_measures_are_the_same_from_other_processes(tmp_path: Path) -> None:
    raster, transform = REAL["crowns"], TRANSFORMS["north-up"]
    np.save(tmp_path / "rows.npy", raster)
    measure = NamedMeasures("EPSG:32636", transform)

    def traced(mapper: Mapper) -> list[Polygons]:
        rows = StoredRows(tmp_path / "rows.npy")
        found = polygonize(rows, raster.shape, transform, strip=100, measure=measure, mapper=mapper)
        return list(found)

    here, there = traced(HERE), traced(ProcessExecutor(2))
    assert [len(batch) for batch in here] == [len(batch) for batch in there]
    for one, other in zip(here, there, strict=True):
        assert np.array_equal(one.segment_id, other.segment_id)
        assert shapely.equals_identical(one.geometry, other.geometry).all()
        assert one.measures.keys() == other.measures.keys() == {"area_m2", "perimeter_m"}
        assert all(np.array_equal(one.measures[k], other.measures[k]) for k in one.measures)
