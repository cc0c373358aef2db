"""True area and perimeter of polygons on the ground, whatever their CRS.

A polygon's edges are straight in its CRS, as a GIS draws them. They are cut into steps of about a
kilometre, taken to longitude and latitude on the CRS's own ellipsoid, and summed there: the area
under each step follows from the authalic latitude function (Snyder 1987, Map Projections: A Working
Manual, USGS PP 1395, eq. 3-12), its length from the radii of curvature at its middle. Both agree
with geodesic polygons to about 1e-8, and are several times quicker because all vertices of all
polygons are computed at once. Close to a pole, where meridians meet too fast for this, rings are
measured as geodesic polygons instead (Karney 2013, Algorithms for geodesics, J. Geodesy 87).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import shapely
from pyproj import CRS, Geod, Transformer

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.scene import Scene

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

# Metres.
_STEP = 1000.0
_POLAR = np.radians(89.0)


@dataclass(frozen=True)
class Measures:
    """Area and perimeter of polygons: arrays (n,); perimeters include those of holes.

    In square metres and metres; in pixels without a CRS. NaN where a vertex lies outside of the
    part of the Earth that its projection shows.
    """

    area: Floats
    perimeter: Floats


AREA = "area_m2"
"""Attribute of the polygons of a scene with a CRS: their area on the ground."""


@dataclass(frozen=True)
class NamedMeasures:
    """Measures of the polygons of a scene by the names of their attributes.

    Without a CRS there is no ground, and they are in pixels.

    Attributes
    ----------
    crs : anything that pyproj takes, or None
        CRS of the scene.
    transform : affine.Affine
        Its transform.
    """

    crs: object | None
    transform: Affine

    @property
    def area(self) -> str:
        """Name of their area."""
        return "area_px" if self.crs is None else AREA

    def __call__(self, geometries: NDArray[np.object_]) -> dict[str, Floats]:
        """Measure polygons (n,)."""
        found = ground_measures(geometries, self.crs, self.transform)
        perimeter = "perimeter_px" if self.crs is None else "perimeter_m"
        return {self.area: found.area, perimeter: found.perimeter}


def ground_measures(
    geometries: NDArray[np.object_], crs: object | None, transform: Affine
) -> Measures:
    """Measure polygons on the ellipsoid of their CRS.

    Parameters
    ----------
    geometries : array (n,) of shapely.Polygon or shapely.MultiPolygon
    crs : pyproj.CRS, rasterio.crs.CRS, anything else that pyproj takes, or None
        Of the coordinates, x before y. A local CRS, tied to no place on Earth, is measured in its
        plane.
    transform : affine.Affine
        Transform of the scene, which gives the size of a pixel without a CRS.

    Returns
    -------
    Measures
    """
    if crs is None:
        return _measure(geometries, _Plane(~transform))
    horizontal = horizontal_crs(CRS.from_user_input(crs))
    unit = horizontal.axis_info[0].unit_conversion_factor
    base = base_crs(horizontal.geodetic_crs)
    geod = None if base is None else base.get_geod()
    if base is None or geod is None:
        return _measure(geometries, _Plane(transform.scale(unit)))
    ellipsoid = _Ellipsoid(horizontal, base, geod)
    step = _STEP / (unit * ellipsoid.axis if horizontal.is_geographic else unit)
    return _measure(_cut(geometries, step), ellipsoid)


def pixel_area(raster: Scene | DatasetReader) -> float:
    """Return the ground area of the central pixel of a raster, in m², or pixels without a CRS."""
    row, col = raster.height // 2, raster.width // 2
    corners = [raster.transform @ (col + x, row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    pixel = np.array([shapely.Polygon(corners)], dtype=object)
    return float(ground_measures(pixel, raster.crs, raster.transform).area[0])


def _cut(geometries: NDArray[np.object_], step: float) -> NDArray[np.object_]:
    """Add vertices to edges longer than `step`, in polygons that are large enough to have one."""
    left, bottom, right, top = shapely.bounds(geometries).T
    large = np.hypot(right - left, top - bottom) > step
    cut = np.array(geometries, object)
    cut[large] = shapely.segmentize(cut[large], step)
    return cut


class _Surface(Protocol):
    """Measures closed rings, given as points one after the other."""

    def rings(self, points: Floats, start: Ints) -> tuple[Floats, Floats]:
        """Return area and length of each; ring i is ``points[start[i] : start[i + 1]]``."""


def _measure(geometries: NDArray[np.object_], surface: _Surface) -> Measures:
    parts, polygon_of_part = shapely.get_parts(geometries, return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    points = shapely.get_coordinates(rings)
    start = np.append(0, np.cumsum(shapely.get_num_coordinates(rings)))
    area, length = surface.rings(points, start)
    is_hole = np.append(False, part_of_ring[1:] == part_of_ring[:-1])
    polygon = polygon_of_part[part_of_ring]
    size = len(geometries)
    return Measures(
        np.bincount(polygon, np.where(is_hole, -area, area), minlength=size).astype(float),
        np.bincount(polygon, length, minlength=size).astype(float),
    )


@dataclass(frozen=True)
class _Plane:
    """A plane, after an affine transform of the points."""

    transform: Affine

    def rings(self, points: Floats, start: Ints) -> tuple[Floats, Floats]:
        matrix = np.array(
            [[self.transform.a, self.transform.b], [self.transform.d, self.transform.e]]
        )
        x, y = matrix @ (points - np.repeat(points[start[:-1]], np.diff(start), axis=0)).T
        doubled = x[:-1] * y[1:] - x[1:] * y[:-1]
        length = np.hypot(np.diff(x), np.diff(y))
        return np.abs(_ring_sums(doubled, start)) / 2, _ring_sums(length, start)


class _Ellipsoid:
    """The ellipsoid under a CRS, reached by way of its base: longitude and latitude on it."""

    def __init__(self, crs: CRS, base: CRS, geod: Geod) -> None:
        self._to_base = Transformer.from_crs(crs, base, always_xy=True)
        self._radians = base.axis_info[0].unit_conversion_factor
        self._along_graticule = crs == base
        self._geod = geod
        self.axis = float(geod.a)

    def rings(self, points: Floats, start: Ints) -> tuple[Floats, Floats]:
        lon, lat = (self._radians * np.asarray(x) for x in self._to_base.transform(*points.T))
        with np.errstate(invalid="ignore"):
            turn = np.remainder(np.diff(lon) + np.pi, 2 * np.pi) - np.pi
            band = self._band(lat)
            band -= np.repeat(band[start[:-1]], np.diff(start))
            area = np.abs(_ring_sums(turn * (band[1:] + band[:-1]) / 2, start))
            length = _ring_sums(self._lengths(turn, lat), start)
            goes_round = np.abs(_ring_sums(turn, start)) > np.pi
            polar = goes_round | (np.maximum.reduceat(np.abs(lat), start[:-1]) > _POLAR)
        # Pixels of a geographic CRS end at the pole along a parallel, which the sums take exactly.
        for ring in np.flatnonzero(polar & (not self._along_graticule)):
            at = slice(start[ring], start[ring + 1])
            measured = self._geod.polygon_area_perimeter(lon[at], lat[at], radians=True)
            area[ring], length[ring] = abs(measured[0]), measured[1]
        return area, length

    def _band(self, lat: Floats) -> Floats:
        """Return the area between the equator and latitudes, per radian of longitude."""
        squared = self._geod.es
        sine = np.sin(lat)
        shape = sine
        if squared:
            eccentricity = np.sqrt(squared)
            shape = np.arctanh(eccentricity * sine) / eccentricity
        return self.axis**2 * (1 - squared) / 2 * (sine / (1 - squared * sine**2) + shape)

    def _lengths(self, turn: Floats, lat: Floats) -> Floats:
        squared = self._geod.es
        middle = (lat[1:] + lat[:-1]) / 2
        curve = 1 - squared * np.sin(middle) ** 2
        across = self.axis / np.sqrt(curve)
        along = across * (1 - squared) / curve
        return np.hypot(along * np.diff(lat), across * np.cos(middle) * turn)


def horizontal_crs(crs: CRS) -> CRS:
    """Strip a CRS of its vertical part, and of parameters that lead to another datum."""
    if crs.is_compound:
        return horizontal_crs(crs.sub_crs_list[0])
    if crs.is_bound and crs.source_crs is not None:
        return horizontal_crs(crs.source_crs)
    return crs


def base_crs(crs: CRS | None) -> CRS | None:
    """Return the CRS of longitude and latitude from which a geodetic CRS may be derived."""
    return base_crs(crs.source_crs) if crs is not None and crs.is_derived else crs


def _ring_sums(steps: Floats, start: Ints) -> Floats:
    """Sum values (points - 1,) of the steps from point to point along each ring."""
    steps = np.append(steps, 0.0)
    steps[start[1:] - 1] = 0.0
    return np.add.reduceat(steps, start[:-1])
