"""Polygons of ground truth: a layer of a vector file on the grid of the labels, and its classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyogrio
from rasterio import Affine
from rasterio.features import rasterize
from rasterio.transform import xy
from rasterio.warp import transform_bounds

from alps_geo.classes.vector_file import (
    layer_crs,
    listed,
    pick_field,
    pick_layer,
    read_features,
)
from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate.truth_file import check_crs, class_number, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import geopandas
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.evaluate.truth_file import TruthFile

# Reprojected edges of a window bulge a little: features are looked for this much farther out.
_SEARCH_MARGIN = 0.05


@dataclass(frozen=True)
class PolygonLayer:
    """A layer of a vector file, read window by window on the grid of labels.

    Attributes
    ----------
    path : str
        The vector file.
    labels : IdRaster
        Raster that gives the grid.
    name : str
        Name of the layer.
    crs : str or None
        CRS of the layer.
    fields : tuple of str
        Its columns, without the geometry.
    geometry_type : str
        Type of its geometries as OGR names it, "Unknown" for several.
    """

    path: str
    labels: IdRaster
    name: str
    crs: str | None
    fields: tuple[str, ...]
    geometry_type: str

    def read(self, window: Window, columns: Sequence[str]) -> geopandas.GeoDataFrame:
        """Read the features near a window, in (col, row) pixels of the labels, in file order.

        Features without a geometry, or without a value in one of the columns, are left out. The
        index holds the ids of the features in the file.
        """
        frame = read_features(
            self.path,
            layer=self.name,
            columns=list(columns),
            bbox=self._search_box(window),
            fid_as_index=True,
        ).sort_index()
        has_values = frame[list(columns)].notna().all(axis=1)
        frame = frame[has_values & frame.geometry.notna() & ~frame.is_empty]
        if self.labels.crs is not None and len(frame):
            frame = frame.to_crs(self.labels.crs.to_wkt())
        into_pixels = ~self.labels.map_transform
        coefficients = [getattr(into_pixels, name) for name in "abdecf"]
        return frame.set_geometry(frame.geometry.affine_transform(coefficients))

    def _search_box(self, window: Window) -> tuple[float, float, float, float] | None:
        """Return the bounds of a window in the CRS of the file, or None where it has none there."""
        (top, bottom), (left, right) = window.toranges()
        rows, cols = (top, top, bottom, bottom), (left, right, left, right)
        xs, ys = xy(self.labels.map_transform, rows, cols, offset="ul")
        box = (min(xs), min(ys), max(xs), max(ys))
        if self.labels.crs is not None:
            box = transform_bounds(self.labels.crs, self.crs, *box)
        left, bottom, right, top = box
        if not (np.isfinite(box).all() and left <= right and bottom <= top):
            # Beyond the projection, or across the antimeridian: all features are looked at.
            return None
        margin = _SEARCH_MARGIN * max(right - left, top - bottom)
        return left - margin, bottom - margin, right + margin, top + margin


def open_layer(path: str, labels: IdRaster, layer: str | None) -> PolygonLayer:
    """Find the layer of a vector file that holds the truth of labels.

    Raises
    ------
    SceneError
        If there is no such layer, several to choose from, or a CRS on one side alone.
    """
    layer = pick_layer(path, layer)
    info = pyogrio.read_info(path, layer=layer)
    crs = layer_crs(info["crs"])
    check_crs(path, crs, labels)
    return PolygonLayer(path, labels, layer, crs, tuple(info["fields"]), info["geometry_type"])


@dataclass(frozen=True)
class ClassColumn:
    """The column of a layer that holds classes.

    Attributes
    ----------
    path : str
        The vector file.
    field : str
        Name of the column.
    codes : mapping
        Class of each value: the number itself, or 1, 2, … for texts in alphabetical order.
    names : mapping of int to str
        The texts by their classes; empty for a column of numbers.
    """

    path: str
    field: str
    codes: Mapping[Any, int]
    names: Mapping[int, str]

    def classes(self, option: str, values: Iterable[str]) -> frozenset[int]:
        """Return the classes of some values that were typed for an option.

        Raises
        ------
        SettingsError
            If a value is no number in a column of numbers, or no text of a column of texts.
        """
        if not self.names:
            return frozenset(class_number(option, text, self.path) for text in values)
        by_text = {text: number for number, text in self.names.items()}
        for text in values:
            if text not in by_text:
                raise SettingsError(
                    f"{option} is {text!r}, but the classes in column {self.field} of {self.path} "
                    f"are {listed(by_text)}: give some of these"
                )
        return frozenset(by_text[text] for text in values)


def read_classes(layer: PolygonLayer, field: str | None) -> ClassColumn:
    """Read the classes of a layer, without a geometry.

    Raises
    ------
    SceneError
        If there is no such column, none is given of several, or it holds no class.
    """
    path = layer.path
    field = pick_field(path, list(layer.fields), field)
    values = _distinct_values(path, layer.name, field)
    if all(isinstance(value, (int, float, np.number, np.bool_)) for value in values):
        numbers = whole_numbers(f"{path}, column {field}", np.array(values, float)).tolist()
        return ClassColumn(path, field, dict(zip(values, numbers, strict=True)), {})
    codes = {value: number for number, value in enumerate(sorted(values, key=str), start=1)}
    return ClassColumn(path, field, codes, {number: str(value) for value, number in codes.items()})


@dataclass(frozen=True)
class PolygonTruth:
    """Polygons with a class each; of two that overlap, the later in the file is seen.

    Attributes
    ----------
    layer : PolygonLayer
        The polygons.
    column : ClassColumn
        Their classes.
    ignored : frozenset of int
        Classes that are not to be compared.
    """

    unit: ClassVar[str] = "polygons"

    layer: PolygonLayer
    column: ClassColumn
    ignored: frozenset[int]

    @property
    def names(self) -> Mapping[int, str]:
        """Names of classes, for a column of texts."""
        return self.column.names

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return classes, ignored ones too, and a mask of the pixels that have one."""
        field, codes = self.column.field, self.column.codes
        features = self.layer.read(window, [field])
        # 0 is where nothing is drawn, so that a class may be 0.
        numbers = {code: number for number, code in enumerate(codes.values(), start=1)}
        shapes = [
            (geometry, numbers[codes[value]])
            for geometry, value in zip(features.geometry, features[field], strict=True)
        ]
        drawn = draw(shapes, window)
        return np.array([0, *numbers], np.int32)[drawn], drawn > 0

    def counts(self) -> Mapping[int, int]:
        """Count the polygons of each class in the whole file."""
        field = self.column.field
        frame = read_features(
            self.layer.path, layer=self.layer.name, columns=[field], read_geometry=False
        )
        codes = self.column.codes
        return Counter(codes[value] for value in frame[field].dropna().tolist())


def open_polygons(file: TruthFile, labels: IdRaster) -> PolygonTruth:
    """Open a vector file of ground truth on the grid of the labels.

    Raises
    ------
    SceneError
        If it cannot be read, or holds no classes.
    SettingsError
        If `ignore` does not go with the file.
    """
    layer = open_layer(file.path, labels, file.layer)
    column = read_classes(layer, file.field)
    return PolygonTruth(layer, column, column.classes("--ignore", file.ignore))


def draw(shapes: Sequence[tuple[Any, int]], window: Window) -> NDArray[np.int32]:
    """Draw geometries in pixels of the labels, with a number each, into a window; 0 elsewhere."""
    shape = (int(window.height), int(window.width))
    if not shapes:
        return np.zeros(shape, np.int32)
    drawn: NDArray[np.int32] = rasterize(
        shapes,
        shape,
        fill=0,
        # The features are in pixels: windows differ by whole ones, so they draw the same.
        transform=Affine.translation(window.col_off, window.row_off),
        dtype=np.int32,
    )
    return drawn


def _distinct_values(path: str, layer: str, field: str) -> list[Any]:
    """Return the different classes, nulls left out, without reading a geometry."""
    quoted = [name.replace('"', '""') for name in (field, layer)]
    query = 'SELECT DISTINCT "{}" FROM "{}"'.format(*quoted)
    frame = read_features(path, sql=query, read_geometry=False)
    values = frame[frame.columns[0]].dropna().tolist() if len(frame) else []
    if not values:
        raise SceneError(
            f"{path}: column {field} holds no class in any feature; "
            "expected numbers or texts: give another column as --field"
        )
    return values
