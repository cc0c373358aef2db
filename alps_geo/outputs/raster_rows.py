"""Rows of rasters of ids, read again some at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import rasterio
from rasterio.windows import Window

from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RasterRows:
    """Rows of a raster of one band, which is opened whenever some are read, in any process.

    Attributes
    ----------
    path : pathlib.Path
        The raster.

    Examples
    --------
    >>> from alps_geo.outputs.polygons import polygonize
    >>> polygons = polygonize(RasterRows(path), (height, width), transform)  # doctest: +SKIP
    """

    path: Path

    def __call__(self, start: int, stop: int) -> NDArray[np.unsignedinteger]:
        """Read the rows [start, stop), shape (stop - start, width).

        Raises
        ------
        SceneError
            If the raster cannot be opened.
        """
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES), opened(str(self.path)) as raster:
            window = Window(0, start, raster.width, stop - start)
            rows: NDArray[np.unsignedinteger] = raster.read(1, window=window)
            return rows
