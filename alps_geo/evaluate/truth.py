"""Ground truth on the grid of the labels, warped or rasterised from any other.

A raster is warped with its nearest pixel, polygons are drawn where they hold a pixel's centre; both
window by window. Where truth has no data, no polygon, or a class that is to be ignored, there is
no truth, and nothing is compared.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from alps_geo.classes.vector_file import is_vector
from alps_geo.errors import SceneError, one_line
from alps_geo.evaluate.rasters import check_one_band, crs_name
from alps_geo.evaluate.truth_file import check_crs, ignored_numbers, whole_numbers
from alps_geo.evaluate.truth_polygons import open_polygons
from alps_geo.scene.placed import opened_scene
from alps_geo.scene.raster import read_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.evaluate.truth_file import CountedTruth, TruthFile

# Exact enough that no pixel depends on the window it is read with; 0 makes rasterio fail.
_WARP_TOLERANCE = 1e-6

# When neither side has a CRS their coordinates are taken as they are: any CRS on both does that.
_ANY_CRS = "EPSG:3857"

_STRIP = 512
"""Rows that are counted at once."""


@contextmanager
def open_truth(file: TruthFile, labels: IdRaster) -> Iterator[CountedTruth]:
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
        yield open_polygons(file, labels)
        return
    ignored = ignored_numbers(file, "a raster")
    with opened_scene(path) as dataset:
        check_one_band(path, dataset)
        check_crs(path, dataset.crs or None, labels)
        with _warped(path, dataset, labels) as warped:
            yield _RasterTruth(path, warped, ignored)


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

    unit: ClassVar[str] = "pixels"

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

    def counts(self) -> Mapping[int, int]:
        """Count the pixels of each class on the grid of the labels."""
        found: Counter[int] = Counter()
        for start in range(0, self.dataset.height, _STRIP):
            rows = min(_STRIP, self.dataset.height - start)
            values, valid = self.read(Window(0, start, self.dataset.width, rows))
            found.update(dict(zip(*_counted(values[valid]), strict=True)))
        return found


def _counted(values: NDArray[np.int32]) -> tuple[list[int], list[int]]:
    classes, counts = np.unique(values, return_counts=True)
    return classes.tolist(), counts.tolist()
