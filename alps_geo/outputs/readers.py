"""Results read again: polygons as a GeoDataFrame, labels as a masked array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from alps_geo.errors import RunError, SceneError
from alps_geo.outputs.gpkg.write import ERRORS
from alps_geo.scene.placed import PIXELS, has_transform
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rasterio.crs import CRS

    BBox: TypeAlias = tuple[float, float, float, float] | gpd.GeoDataFrame | gpd.GeoSeries
    Masked = np.ma.MaskedArray[Any, np.dtype[np.unsignedinteger]]


def read_polygons(
    path: Path, bbox: BBox | None = None, clusters: Sequence[int] | None = None
) -> gpd.GeoDataFrame:
    """Read the segments of a GeoPackage, all or a part of them.

    Parameters
    ----------
    path : pathlib.Path
        The file that `alps_geo.outputs.gpkg.write.write_segments_gpkg` wrote.
    bbox : (west, south, east, north) or geopandas object, optional
        As for `geopandas.read_file`; found by the spatial index.
    clusters : sequence of int, optional
        Ids of the clusters whose segments are read.

    Raises
    ------
    RunError
        The file cannot be read.
    """
    where = None
    if clusters is not None:
        where = f"cluster IN ({', '.join(map(str, clusters)) or 'NULL'})"
    try:
        return gpd.read_file(path, layer="segments", engine="pyogrio", bbox=bbox, where=where)
    except ERRORS as error:
        raise RunError(_unreadable(path, error)) from error


def read_labels(
    path: Path, window: Window | None = None, longest: int | None = None
) -> tuple[Masked, Affine, CRS | None]:
    """Read clusters by pixel; pixels without one are masked.

    Parameters
    ----------
    path : pathlib.Path
        A ``labels.tif``.
    window : rasterio.windows.Window, optional
        Part of the raster, cut at its edge; by default all of it.
    longest : int, optional
        Longest side of the array in pixels; a larger window is decimated by nearest neighbour.

    Returns
    -------
    masked array of uint8 or uint16, shape (height, width)
    affine.Affine
        From (col, row) of the array to map coordinates.
    rasterio.crs.CRS or None

    Raises
    ------
    RunError
        The file cannot be read, or the window lies outside it.
    """
    try:
        with opened(str(path)) as raster:
            whole = Window(0, 0, raster.width, raster.height)
            part = whole if window is None else _cut(path, window, whole)
            step = max(1.0, max(part.height, part.width) / (longest or np.inf))
            shape = max(1, round(part.height / step)), max(1, round(part.width / step))
            values = raster.read(
                1, window=part, out_shape=shape, masked=True, resampling=Resampling.nearest
            )
            # Not `window_transform`, which multiplies in a way that affine warns of.
            placed = raster.transform if has_transform(raster) else PIXELS
            transform = placed @ Affine.translation(part.col_off, part.row_off)
            scale = part.width / shape[1], part.height / shape[0]
            return values, transform @ transform.scale(*scale), raster.crs
    except (SceneError, RasterioError, OSError) as error:
        raise RunError(_unreadable(path, error)) from error


def _cut(path: Path, window: Window, whole: Window) -> Window:
    if not rasterio.windows.intersect(window, whole):
        raise RunError(
            f"{path}: {window} lies outside the raster, expected a part of its "
            f"{whole.width} x {whole.height} pixels"
        )
    return window.intersection(whole)


def _unreadable(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"{path} cannot be read ({reason}); expected a result of a finished run"
