"""Samples drawn as points, lines or polygons, placed on the segments of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyogrio
import shapely
from pyproj.exceptions import ProjError
from rasterio import Affine
from rasterio.features import rasterize
from rasterio.windows import Window
from shapely.affinity import affine_transform

from alps_geo.classes.names import CLASS_FIELD
from alps_geo.classes.samples import Votes
from alps_geo.classes.vector_file import (
    check_both_placed,
    layer_crs,
    listed,
    pick_field,
    pick_layer,
    read_features,
)
from alps_geo.errors import SceneError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray
    from rasterio.crs import CRS

LEAST_SHARE = 0.1
"""Share of a segment that an area has to cover for it to be a sample of the segment too."""

MOST_SHARE = 0.5
"""Share of an area that makes it a sample of the segment, however large that is."""

_WINDOW = 1024
_AREAS = ("Polygon", "MultiPolygon")


class SegmentGrid(Protocol):
    """Segment ids of a scene on its grid, read window by window."""

    @property
    def path(self) -> str:
        """Path of the file."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def crs(self) -> CRS | None:
        """The CRS, None if there is none."""
        ...

    @property
    def map_transform(self) -> Affine:
        """From (col, row) to coordinates of features."""
        ...

    def read(self, window: Window) -> NDArray[np.uint32]:
        """Read ids, 0 for none."""
        ...


SEGMENTS, SEGMENT_ID = "segments", "segment_id"
"""Layer of the segments of a run, and the column that is empty where a person drew a feature."""


@dataclass(frozen=True)
class SampleLayer:
    """Features with a class, as they are in a file.

    Attributes
    ----------
    path : str
        The file.
    crs : str or None
        Its CRS.
    names : ndarray of object, shape (n,)
        Class of each feature, as text.
    geometry : geopandas.GeoSeries
        Geometry of each feature.
    unlabelled : geopandas.GeoSeries
        Geometries of features without a class, as of suggestions that were passed over.
    """

    path: str
    crs: str | None
    names: NDArray[np.object_]
    geometry: gpd.GeoSeries
    unlabelled: gpd.GeoSeries

    def unlabelled_layer(self) -> SampleLayer:
        """Return the features without a class as a layer of classes without a name."""
        names = np.full(len(self.unlabelled), "", object)
        return SampleLayer(self.path, self.crs, names, self.unlabelled, self.unlabelled[:0])

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Placed:
    """Votes of a layer in one scene.

    Attributes
    ----------
    votes : Votes
        Votes of features that lie on segments.
    on_segments : ndarray of bool, shape (n,)
        True for features that do.
    inside : ndarray of bool, shape (n,)
        True for features that touch the grid of the scene, with segments there or without.
    """

    votes: Votes
    on_segments: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def read_layer(path: str, field: str | None = None, layer: str | None = None) -> SampleLayer:
    """Read the features of a vector file that have a class.

    Of the segments of a run, those are left out that the run wrote: the rest is what a person drew.

    Parameters
    ----------
    path : str
        A file in any format of GDAL, in any CRS.
    field : str, optional
        Column of the class; by default ``class``, or the only column.
    layer : str, optional
        Layer, needed if there are several.

    Raises
    ------
    SceneError
        If the file, the layer or the column is absent, if no feature has a class, or if the classes
        are numbers that are not whole.
    """
    layer = pick_layer(path, layer)
    info = pyogrio.read_info(path, layer=layer)
    fields = list(info["fields"])
    wanted = CLASS_FIELD if field is None and CLASS_FIELD in fields else field
    column = pick_field(path, fields, wanted)
    of_run = layer == SEGMENTS and SEGMENT_ID in fields
    drawn_only = {"where": f"{SEGMENT_ID} IS NULL"} if of_run else {}
    found = read_features(path, layer=layer, columns=[column], **drawn_only)
    _check_classes(path, column, found[column])
    names = np.array([_text(value) for value in found[column]], object)
    geometry = found.geometry
    drawn = ~(geometry.isna() | geometry.is_empty).to_numpy()
    kept = (names != "") & drawn
    if not kept.any():
        if not len(found):
            raise SceneError(f"{path}: has no features; expected some with a class in {column}")
        count = f"{len(found)} feature{'s' * (len(found) != 1)}"
        raise SceneError(
            f"{path}: none of its {count} has both a geometry and a class in column {column}; "
            "expected numbers or texts there: fill them in, or give another column as --field"
        )
    crs = layer_crs(info["crs"])
    return SampleLayer(path, crs, names[kept], geometry[kept], geometry[drawn & ~kept])


def place(layer: SampleLayer, grid: SegmentGrid, area: NDArray[np.integer]) -> Placed:
    """Find the segments that the features of a layer lie on.

    A point is a sample of the segment that it lies on, a line of all that it crosses, each with the
    number of its pixels. An area is a sample of the segments of which it covers a tenth, and of the
    one that holds most of it; it covers a pixel by its centre. An area between the centres of
    pixels counts as a point.

    Parameters
    ----------
    layer : SampleLayer
        The features.
    grid : SegmentGrid
        The segments of the scene.
    area : ndarray of int, shape (n,)
        Pixels of each segment, by id.

    Raises
    ------
    SceneError
        If only one of layer and scene has a CRS, or if the one cannot be turned into the other.
    """
    pixels = _in_pixels(layer, grid)
    left, top, right, bottom = shapely.bounds(pixels).T
    inside = (left < grid.width) & (top < grid.height) & (right >= 0) & (bottom >= 0)
    on_segments = np.zeros(len(layer), np.bool_)
    rows: list[tuple[int, str, float]] = []
    for index in np.flatnonzero(inside):
        found = _covered(pixels[index], grid, area)
        on_segments[index] = bool(found)
        rows += [(segment, layer.names[index], weight) for segment, weight in found.items()]
    return Placed(Votes.of(rows), on_segments, inside)


def _check_classes(path: str, column: str, values: pd.Series[Any]) -> None:
    """Check that classes that are numbers are whole."""
    if values.dtype.kind != "f":
        return
    wrong = values[values.notna() & (values != np.floor(values))]
    if len(wrong):
        raise SceneError(
            f"{path}: column {column} holds the class {wrong.iloc[0]}, expected whole numbers or "
            "texts: give a column of classes, not of measurements, as --field"
        )


def _text(value: object) -> str:
    """Return a class as text: whole numbers without a point, nothing for none."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _in_pixels(layer: SampleLayer, grid: SegmentGrid) -> NDArray[np.object_]:
    """Return the geometries in (col, row) of a scene, empty where they have no place there."""
    known = None if grid.crs is None else grid.crs.to_string()
    check_both_placed(layer.path, layer.crs, grid.path, known)
    geometry = layer.geometry
    if grid.crs is not None:
        try:
            geometry = geometry.to_crs(grid.crs.to_wkt())
        except (ProjError, ValueError) as error:
            raise SceneError(
                f"{layer.path}: its CRS cannot be turned into {listed([known])} of {grid.path} "
                f"({one_line(error)}): save it in that CRS"
            ) from error
    back = ~grid.map_transform
    matrix = [back.a, back.b, back.d, back.e, back.c, back.f]
    pixels = np.array([affine_transform(each, matrix) for each in geometry], object)
    nowhere = ~np.isfinite(shapely.bounds(pixels)).all(axis=1)
    pixels[nowhere] = shapely.Point()
    return pixels


def _covered(
    feature: shapely.Geometry, grid: SegmentGrid, area: NDArray[np.integer]
) -> dict[int, float]:
    """Count the pixels of a feature on each segment that it is a sample of."""
    found: dict[int, float] = {}
    total = 0
    for window in _windows(feature, grid):
        drawn = _drawn(feature, window)
        total += int(drawn.sum())
        ids = grid.read(window)[drawn]
        for segment, count in zip(*np.unique(ids[ids > 0], return_counts=True), strict=True):
            found[int(segment)] = found.get(int(segment), 0.0) + float(count)
    if feature.geom_type not in _AREAS:
        return found
    if not total:
        return _covered(shapely.box(*feature.bounds).centroid, grid, area)
    return {
        segment: count
        for segment, count in found.items()
        if count >= MOST_SHARE * total or count >= LEAST_SHARE * area[segment - 1]
    }


def _drawn(feature: shapely.Geometry, window: Window) -> NDArray[np.bool_]:
    """Draw a feature in a window."""
    drawn: NDArray[np.uint8] = rasterize(
        [feature],
        (window.height, window.width),
        transform=Affine.translation(window.col_off, window.row_off),
        dtype=np.uint8,
    )
    return drawn > 0


def _windows(feature: shapely.Geometry, grid: SegmentGrid) -> Iterator[Window]:
    """Cut the box of a feature into windows of bounded size."""
    left, top, right, bottom = feature.bounds
    cols, rows = _range(left, right, grid.width), _range(top, bottom, grid.height)
    for row in range(rows[0], rows[1], _WINDOW):
        for col in range(cols[0], cols[1], _WINDOW):
            height, width = min(_WINDOW, rows[1] - row), min(_WINDOW, cols[1] - col)
            yield Window(col, row, width, height)


def _range(low: float, high: float, length: int) -> tuple[int, int]:
    """Return the pixels that a range of coordinates touches, half-open, at least one."""
    start = min(max(int(np.floor(low)), 0), length - 1)
    return start, min(max(int(np.ceil(high)), start + 1), length)
