"""Ground truth on the grid of the labels, warped or rasterised from any other.

A raster is warped with its nearest pixel, polygons are drawn where they hold a pixel's centre; both
window by window. Where truth has no data, no polygon, or a class that is to be ignored, there is
no truth, and nothing is compared.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyogrio
from rasterio import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.transform import xy
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from alps_geo.classes.vector_file import (
    check_both_placed,
    is_vector,
    layer_crs,
    listed,
    pick_field,
    pick_layer,
    read_features,
)
from alps_geo.errors import SceneError, SettingsError, one_line
from alps_geo.evaluate.rasters import check_one_band, crs_name
from alps_geo.scene.placed import opened_scene
from alps_geo.scene.raster import read_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import geopandas
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.evaluate.rasters import IdRaster

# Exact enough that no pixel depends on the window it is read with; 0 makes rasterio fail.
_WARP_TOLERANCE = 1e-6

# When neither side has a CRS their coordinates are taken as they are: any CRS on both does that.
_ANY_CRS = "EPSG:3857"

# Reprojected edges of a window bulge a little: features are looked for this much farther out.
_SEARCH_MARGIN = 0.05


class Truth(Protocol):
    """Open ground truth.

    Attributes
    ----------
    names : mapping of int to str
        Names of classes, as far as the truth knows them.
    ignored : frozenset of int
        Classes that are not to be compared.
    """

    @property
    def names(self) -> Mapping[int, str]:
        """Names of classes."""
        ...

    @property
    def ignored(self) -> frozenset[int]:
        """Classes that are not to be compared."""
        ...

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return classes, ignored ones too, and a mask of the pixels that have one."""
        ...


@dataclass(frozen=True)
class TruthFile:
    """A file or folder of ground truth, and how it is read.

    Attributes
    ----------
    path : str
        Raster of classes, or vector file of polygons; on any grid and in any CRS. Or a folder of
        rasters of classes, for a folder of masks.
    field : str, optional
        Column of a vector file that holds the class, as a number or as text; texts get the ids 1,
        2, … in alphabetical order. Not needed if it is the only column.
    layer : str, optional
        Layer of a vector file, needed if it has several with geometries.
    ignore : sequence of str
        Classes that are no truth, as numbers or, for classes of text, as text.
    names : mapping of int to str, optional
        Names of classes, which take the place of names in the file.
    ending : str, optional
        Ending of the names of the files in a folder of truth.
    """

    path: str
    field: str | None = None
    layer: str | None = None
    ignore: Sequence[str] = ()
    names: Mapping[int, str] | None = None
    ending: str | None = None


@contextmanager
def open_truth(file: TruthFile, labels: IdRaster) -> Iterator[Truth]:
    """Open a raster or a vector file of ground truth on the grid of the labels.

    Raises
    ------
    SceneError
        If the file cannot be read, or holds neither classes nor polygons.
    SettingsError
        If `field`, `layer` or `ignore` do not go with the file.
    """
    path = file.path
    if is_vector(path):
        yield _open_vector(path, labels, file.field, file.layer, file.ignore)
        return
    ignored = ignored_numbers(file, "a raster")
    with opened_scene(path) as dataset:
        check_one_band(path, dataset)
        _check_crs(path, dataset.crs or None, labels)
        with _warped(path, dataset, labels) as warped:
            yield _RasterTruth(path, warped, ignored)


def ignored_numbers(file: TruthFile, kind: str) -> frozenset[int]:
    """Return the classes of rasters that are no truth.

    Raises
    ------
    SettingsError
        If one is no number, or if the options are those of a vector file.
    """
    for option, value in (("--field", file.field), ("--layer", file.layer)):
        if value is not None:
            raise SettingsError(f"{option} is {value!r}, but {file.path} is {kind}: leave it out")
    return frozenset(_number("--ignore", text, file.path) for text in file.ignore)


def _check_crs(path: str, crs: object | None, labels: IdRaster) -> None:
    known = None if labels.crs is None else crs_name(labels.crs)
    check_both_placed(path, crs, labels.path, known)


def _number(option: str, text: str, path: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingsError(
            f"{option} is {text!r}, but the classes of {path} are whole numbers: give numbers"
        ) from None


@contextmanager
def _warped(path: str, dataset: Any, labels: IdRaster) -> Iterator[WarpedVRT]:
    """Put a raster on the grid of the labels, transparent wherever it has no data."""
    crs = labels.crs or _ANY_CRS
    options: dict[str, Any] = {} if dataset.crs else {"src_crs": _ANY_CRS}
    if ColorInterp.alpha not in dataset.colorinterp:
        options["add_alpha"] = True
    try:
        warped = WarpedVRT(
            dataset,
            crs=crs,
            transform=labels.transform,
            height=labels.height,
            width=labels.width,
            resampling=Resampling.nearest,
            tolerance=_WARP_TOLERANCE,
            **options,
        )
    except RasterioError as error:
        raise SceneError(
            f"{path}: cannot be brought onto the grid of {labels.path} ({one_line(error)}); "
            f"expected a CRS that can be turned into {crs_name(labels.crs)}: check both"
        ) from error
    with warped:
        yield warped


@dataclass(frozen=True)
class _RasterTruth:
    """A raster of classes."""

    path: str
    dataset: WarpedVRT
    ignored: frozenset[int]

    @property
    def names(self) -> Mapping[int, str]:
        return {}

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        # The alpha band itself: GDAL makes masks of it for 8 and 16 bit without sign only.
        alpha = self.dataset.colorinterp.index(ColorInterp.alpha) + 1
        values, opacity = read_window(self.dataset, self.path, (1, alpha), window)
        valid = opacity != 0
        valid &= ~np.isnan(values)
        return whole_numbers(self.path, np.where(valid, values, 0)), valid


def whole_numbers(path: str, values: NDArray[Any]) -> NDArray[np.int32]:
    """Take numbers as classes.

    Raises
    ------
    SceneError
        If they are not whole, or too large.
    """
    limits = np.iinfo(np.int32)
    wrong = (values != np.floor(values)) | (values < limits.min) | (values > limits.max)
    if wrong.any():
        raise SceneError(
            f"{path}: holds the class {values[wrong].flat[0]}, expected whole numbers from "
            f"{limits.min} to {limits.max}: give a map of classes, not of measurements"
        )
    classes: NDArray[np.int32] = values.astype(np.int32)
    return classes


def _open_vector(
    path: str, labels: IdRaster, field: str | None, layer: str | None, ignore: Sequence[str]
) -> _VectorTruth:
    layer = pick_layer(path, layer)
    info = pyogrio.read_info(path, layer=layer)
    crs = layer_crs(info["crs"])
    _check_crs(path, crs, labels)
    field = pick_field(path, list(info["fields"]), field)
    values = _distinct_values(path, layer, field)
    if all(isinstance(value, (int, float, np.number, np.bool_)) for value in values):
        numbers = whole_numbers(f"{path}, column {field}", np.array(values, float)).tolist()
        ignored = frozenset(_number("--ignore", text, path) for text in ignore)
        codes = dict(zip(values, numbers, strict=True))
        return _VectorTruth(path, labels, layer, field, crs, codes, {}, ignored)
    codes = {value: number for number, value in enumerate(sorted(values, key=str), start=1)}
    by_text = {str(value): number for value, number in codes.items()}
    for text in ignore:
        if text not in by_text:
            raise SettingsError(
                f"--ignore is {text!r}, but the classes in column {field} of {path} are "
                f"{listed(by_text)}: give some of these"
            )
    names = {number: text for text, number in by_text.items()}
    ignored = frozenset(by_text[text] for text in ignore)
    return _VectorTruth(path, labels, layer, field, crs, codes, names, ignored)


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


@dataclass(frozen=True)
class _VectorTruth:
    """Polygons with a class each; of two that overlap, the later in the file is seen."""

    path: str
    labels: IdRaster
    layer: str
    field: str
    crs: str | None
    codes: Mapping[Any, int]
    names: Mapping[int, str]
    ignored: frozenset[int]

    def read(self, window: Window) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        shape = (int(window.height), int(window.width))
        features = self._features(window)
        # 0 is where nothing is drawn, so that a class may be 0.
        numbers = {code: number for number, code in enumerate(self.codes.values(), start=1)}
        shapes = [
            (geometry, numbers[self.codes[value]])
            for geometry, value in zip(features.geometry, features[self.field], strict=True)
        ]
        if not shapes:
            return np.zeros(shape, np.int32), np.zeros(shape, bool)
        drawn = rasterize(
            shapes,
            shape,
            fill=0,
            # The features are in pixels: windows differ by whole ones, so they draw the same.
            transform=Affine.translation(window.col_off, window.row_off),
            dtype=np.int32,
        )
        return np.array([0, *numbers], np.int32)[drawn], drawn > 0

    def _features(self, window: Window) -> geopandas.GeoDataFrame:
        """Read the features near a window, in (col, row) pixels of the labels, in file order."""
        frame = read_features(
            self.path,
            layer=self.layer,
            columns=[self.field],
            bbox=self._search_box(window),
            fid_as_index=True,
        ).sort_index()
        frame = frame[frame[self.field].notna() & frame.geometry.notna() & ~frame.is_empty]
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
