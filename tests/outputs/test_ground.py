"""Area and perimeter are those of the ground, whatever the CRS measures in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio.crs
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer

from alps_geo.outputs.ground import ground_measures

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_PIXEL = Affine.identity()


def boxes(*bounds: tuple[float, float, float, float]) -> NDArray[np.object_]:
    return np.array([shapely.multipolygons([shapely.box(*each)]) for each in bounds], object)


def geodesic(polygon: shapely.Geometry, crs: CRS, step: float) -> tuple[float, float]:
    """Measure with GeographicLib, on edges cut into short ones."""
    to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    cut = shapely.segmentize(polygon, step)
    lon_lat = shapely.transform(cut, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
    geod = crs.get_geod()
    assert isinstance(geod, Geod)
    area = perimeter = 0.0
    for part in shapely.get_parts(lon_lat):
        for number, ring in enumerate([part.exterior, *part.interiors]):
            ring_area, length = geod.polygon_area_perimeter(*shapely.get_coordinates(ring).T)
            area += abs(ring_area) if number == 0 else -abs(ring_area)
            perimeter += length
    return area, perimeter


@pytest.mark.parametrize(
    ("crs", "box", "step"),
    [
        ("EPSG:26918", (327432, 4268801, 328456, 4269825), 50),
        ("EPSG:32633", (400000, 5000000, 700000, 5400000), 500),
        ("EPSG:3857", (3626000, 36000, 3626300, 36200), 50),
        ("EPSG:3857", (1e6, 8e6, 1.1e6, 8.3e6), 500),
        ("EPSG:4326", (-101.67, 41.81, -101.51, 41.97), 0.001),
        ("EPSG:4326", (10, -55, 13, -50), 0.001),
        ("EPSG:2263", (900000, 200000, 1000000, 300000), 1000),
        ("EPSG:28992", (120000, 480000, 121000, 481000), 50),
        ("EPSG:7405", (400000, 200000, 410000, 210000), 100),
        ("EPSG:32660", (700000, 7000000, 1200000, 7100000), 500),
        ("EPSG:3413", (50000, 50000, 60000, 60000), 100),
        ("EPSG:3413", (-3e6, -3e6, 3e6, 3e6), 1000),
        ("EPSG:3031", (-50, -50, 50, 50), 1000),
    ],
)
def test_agrees_with_geodesic_polygons(
    crs: str, box: tuple[float, float, float, float], step: float
) -> None:
    measured = ground_measures(boxes(box), rasterio.crs.CRS.from_string(crs), NO_PIXEL)
    area, perimeter = geodesic(boxes(box)[0], CRS(crs), step)
    assert measured.area[0] == pytest.approx(area, rel=3e-8)
    assert measured.perimeter[0] == pytest.approx(perimeter, rel=1e-8)


def test_web_mercator_is_not_taken_at_its_word() -> None:
    square = boxes((1e6, 8e6, 1e6 + 100, 8e6 + 100))
    area = ground_measures(square, "EPSG:3857", NO_PIXEL).area[0]
    assert area == pytest.approx(2792, rel=1e-3)


def test_feet_become_metres() -> None:
    square = boxes((900000, 200000, 900100, 200100))
    measured = ground_measures(square, "EPSG:2263", NO_PIXEL)
    foot = 1200 / 3937
    assert measured.area[0] == pytest.approx((100 * foot) ** 2, rel=1e-4)
    assert measured.perimeter[0] == pytest.approx(400 * foot, rel=1e-4)


def test_grads_of_paris_are_not_degrees() -> None:
    in_grads = ground_measures(boxes((1, 50, 2, 51)), "EPSG:4807", NO_PIXEL)
    in_degrees = ground_measures(
        boxes((0.9, 45, 1.8, 45.9)), "+proj=longlat +a=6378249.2 +b=6356515", NO_PIXEL
    )
    assert in_grads.area[0] == pytest.approx(in_degrees.area[0], rel=1e-9)
    assert in_grads.perimeter[0] == pytest.approx(in_degrees.perimeter[0], rel=1e-9)


def test_a_world_map_has_the_area_of_the_earth() -> None:
    world = ground_measures(boxes((-180, -90, 180, 90)), "EPSG:4326", NO_PIXEL)
    assert world.area[0] == pytest.approx(5.100656217240884e14, rel=1e-9)


def test_a_rotated_pole_is_measured_where_it_lies() -> None:
    rotated = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +R=6371229"
    box = boxes((1, 1, 1.1, 1.1))
    there = ground_measures(box, rotated, NO_PIXEL)
    here = ground_measures(box, "+proj=longlat +R=6371229", NO_PIXEL)
    assert there.area[0] == pytest.approx(here.area[0], rel=1e-8)


def test_equal_area_projections_agree_with_their_plane() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(-1e5, 1e5, (200, 2))
    squares = boxes(*np.hstack([corner, corner + np.array([0.5, 2.0])]).tolist())
    laea = "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80"
    measured = ground_measures(squares, laea, NO_PIXEL)
    assert measured.area == pytest.approx(shapely.area(squares), rel=1e-7)


def test_holes_shrink_the_area_and_lengthen_the_perimeter() -> None:
    shell = shapely.box(5e5, 5e6, 5e5 + 100, 5e6 + 100)
    hole = shapely.box(5e5 + 20, 5e6 + 20, 5e5 + 60, 5e6 + 60)
    ring = np.array([shell.difference(hole), shell, hole], object)
    measured = ground_measures(ring, "EPSG:32633", NO_PIXEL)
    assert measured.area[0] == pytest.approx(measured.area[1] - measured.area[2])
    assert measured.perimeter[0] == pytest.approx(measured.perimeter[1] + measured.perimeter[2])


def test_across_the_antimeridian() -> None:
    lon_lat = Transformer.from_crs("EPSG:4326", "EPSG:32660", always_xy=True)
    east, _ = lon_lat.transform(180, -17)
    across = boxes((east - 5000, 8110000, east + 5000, 8120000))
    measured = ground_measures(across, "EPSG:32660", NO_PIXEL)
    assert measured.area[0] == pytest.approx(1e8, rel=2e-3)
    assert measured.perimeter[0] == pytest.approx(4e4, rel=2e-3)


def test_without_a_crs_sizes_are_in_pixels() -> None:
    scene = Affine(0.5, 0, 100, 0, -0.25, 200)
    measured = ground_measures(boxes((100, 199, 102, 200)), None, scene)
    assert measured.area[0] == pytest.approx(4 * 4)
    assert measured.perimeter[0] == pytest.approx(16)


def test_a_local_crs_in_feet_is_measured_in_its_plane() -> None:
    site = 'LOCAL_CS["site",UNIT["foot",0.3048]]'
    measured = ground_measures(boxes((0, 0, 10, 10)), site, NO_PIXEL)
    assert measured.area[0] == pytest.approx(3.048**2)
    assert measured.perimeter[0] == pytest.approx(4 * 3.048)


def test_outside_of_what_the_projection_shows_there_is_no_area() -> None:
    space = boxes((-8e6, 0, -7e6, 1e6), (0, 0, 1000, 1000))
    measured = ground_measures(space, "+proj=ortho +lat_0=40 +lon_0=10", NO_PIXEL)
    assert np.isnan(measured.area).tolist() == [True, False]


def test_no_polygons_have_no_size() -> None:
    measured = ground_measures(np.array([], object), "EPSG:4326", NO_PIXEL)
    assert measured.area.shape == measured.perimeter.shape == (0,)
