"""Placing a raster on the map: by its transform, by GDAL's warper, or in pixels.

A raster that is placed by ground control points or RPCs is read through GDAL's warper, as GIS
programs show it. One that is placed by nothing has pixel coordinates, rows downwards from 0: GIS
programs show a picture that way.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT

from alps_geo.files import gdal_error
from alps_geo.scene.raster import WARNING_FILTERS, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

PIXELS = Affine.scale(1, -1)
"""From (col, row) to the coordinates of a raster without georeferencing: (col, -row)."""

# Exact enough that no pixel depends on the window it is read with; 0 makes rasterio fail.
_TOLERANCE = 1e-6

# GDAL would drop pixels of the nodata tag, which a user may want back with --nodata, if it were
# not given another value: one that no raster holds.
_NO_NODATA = -1.6543212e38

# GDAL's own default for RPCs, which name no CRS.
_RPC_CRS = "EPSG:4326"


class WarpedScene(WarpedVRT):  # type: ignore[misc]  # rasterio has no types
    """A raster warped by GDAL: nearest pixels, with the nodata tags of its source.

    A raster without an alpha band gets one after its last: 0 outside of the raster.
    """

    @property
    def nodatavals(self) -> tuple[float | None, ...]:
        """Nodata tags of the source; an added alpha band has none."""
        tags: tuple[float | None, ...] = self.src_dataset.nodatavals
        return (*tags, None)[: self.count]

    @property
    def nodata(self) -> float | None:
        """Nodata tag of the first band."""
        return self.nodatavals[0]


@dataclass(frozen=True)
class GroundControl:
    """Ground control points of a raster.

    Attributes
    ----------
    points : tuple of (row, col, x, y, z)
        Pixel coordinates, and coordinates on the ground.
    crs : rasterio.crs.CRS or None
        CRS of the coordinates on the ground.
    """

    points: tuple[tuple[float, float, float, float, float], ...]
    crs: CRS | None

    @classmethod
    def of(cls, dataset: DatasetReader) -> GroundControl | None:
        """Read the points of a raster; None if it has none."""
        points, crs = dataset.gcps
        if not points:
            return None
        return cls(tuple((p.row, p.col, p.x, p.y, p.z or 0.0) for p in points), crs)

    def for_rasterio(self) -> tuple[list[GroundControlPoint], CRS]:
        """Return the value for the `gcps` of a rasterio dataset."""
        return [GroundControlPoint(*point) for point in self.points], self.crs or CRS()


@contextmanager
def opened_scene(path: str) -> Iterator[DatasetReader]:
    """Open a raster for reading, as it lies on the map.

    Raises
    ------
    SceneError
        If the file is missing, a folder, empty, not readable for this user or not a raster.
    """
    with opened(path) as dataset:
        warped = _warped(dataset)
        if warped is None:
            yield dataset
            return
        with warped:
            yield warped


def _warped(dataset: DatasetReader) -> WarpedScene | None:
    """Warp a raster by its control points or RPCs; None if it has none of use."""
    if dataset.count == 0 or not dataset.transform.is_identity:
        return None
    if not dataset.gcps[0] and dataset.rpcs is None:
        return None
    has_alpha = ColorInterp.alpha in dataset.colorinterp
    options: dict[str, Any] = {} if has_alpha else {"add_alpha": True}
    if not dataset.gcps[0]:
        options["crs"] = _RPC_CRS
    # From six points on GDAL bends the scene, which it cannot if they lie on two lines.
    for order in ({}, {"MAX_GCP_ORDER": 1}):
        with suppress(RasterioError, gdal_error("rasterio")):
            return WarpedScene(
                dataset,
                src_nodata=_NO_NODATA,
                nodata=None,
                resampling=Resampling.nearest,
                tolerance=_TOLERANCE,
                **options,
                **order,
            )
    return None


def source_of(dataset: DatasetReader) -> DatasetReader:
    """Return the raster itself where `dataset` is the warped one."""
    return dataset.src_dataset if isinstance(dataset, WarpedScene) else dataset


def added_alpha(dataset: DatasetReader) -> tuple[int, ...]:
    """Return the alpha band that warping has added, counted from 1, if it has."""
    return (dataset.count,) if dataset.count > source_of(dataset).count else ()


def has_transform(dataset: DatasetReader) -> bool:
    """Return True if a raster has a geotransform, be it the identity."""
    if not dataset.transform.is_identity:
        return True
    if dataset.gcps[0] or dataset.rpcs is not None:
        return False
    with WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("error", NotGeoreferencedWarning)
        try:
            dataset.read_transform()
        except NotGeoreferencedWarning:
            return False
    return True


def map_transform(dataset: DatasetReader) -> Affine:
    """Return the transform from (col, row) to coordinates, `PIXELS` where a raster has none."""
    transform: Affine = dataset.transform
    return transform if has_transform(dataset) else PIXELS


def north_up(transform: Affine) -> tuple[slice, slice]:
    """Return the order of rows and columns in which a raster is drawn with north up and west left.

    Rotated rasters, and those without a place on the map, are drawn as they are stored.
    """
    if transform.is_identity or transform.b or transform.d:
        return slice(None), slice(None)
    backwards, forwards = slice(None, None, -1), slice(None)
    return backwards if transform.e > 0 else forwards, backwards if transform.a < 0 else forwards
