"""Rasters of ids, read window by window."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import ColorInterp

from alps_geo.errors import SceneError
from alps_geo.scene.placed import map_transform
from alps_geo.scene.raster import opened, read_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader
    from rasterio.windows import Window


@dataclass(frozen=True)
class IdRaster:
    """An open raster of cluster or segment ids.

    Attributes
    ----------
    path : str
        Path of the file.
    dataset : rasterio.io.DatasetReader
        The open file.
    zero_based : bool
        True if the file counts ids from 0, with the highest number of its type for unlabelled.
    """

    path: str
    dataset: DatasetReader
    zero_based: bool = False

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.dataset.height)

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.dataset.width)

    @property
    def crs(self) -> CRS | None:
        """The CRS, None if there is none."""
        return self.dataset.crs or None

    @property
    def transform(self) -> Affine:
        """From (col, row) to coordinates of the CRS."""
        transform: Affine = self.dataset.transform
        return transform

    @property
    def map_transform(self) -> Affine:
        """From (col, row) to coordinates of polygons: (col, -row) if nothing places the raster."""
        return map_transform(self.dataset)

    def read(self, window: Window) -> NDArray[np.uint32]:
        """Read ids; 0 where the raster has none, by its value or by its nodata, alpha or mask.

        Ids of a file that counts from 0 come one higher.

        Raises
        ------
        SceneError
            If a block cannot be read, or holds a number that is no id.
        """
        ids = read_window(self.dataset, self.path, (1,), window)[0]
        valid = read_window(self.dataset, self.path, (1,), window, masks=True)[0] != 0
        if self.zero_based:
            valid &= ids != np.iinfo(ids.dtype).max
            ids = ids.astype(np.int64) + 1
        ids = np.where(valid, ids, 0)
        if ids.size and (int(ids.min()) < 0 or int(ids.max()) > np.iinfo(np.uint32).max):
            wrong = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
            raise SceneError(
                f"{self.path}: holds the id {wrong}, expected ids from 0 to 4294967295 "
                "with 0 for unlabelled: give labels.tif or segments.tif of a run"
            )
        return ids.astype(np.uint32)


@contextmanager
def open_ids(path: str, *, zero_based: bool = False) -> Iterator[IdRaster]:
    """Open a raster of ids, which may count them from 0: see `IdRaster`.

    Raises
    ------
    SceneError
        If it cannot be opened, has several bands, or holds no integers.
    """
    with opened(path) as dataset:
        check_one_band(path, dataset)
        if not np.issubdtype(np.dtype(dataset.dtypes[0]), np.integer):
            raise SceneError(
                f"{path}: holds {dataset.dtypes[0]} numbers, expected integer ids: "
                "give labels.tif or segments.tif of a run"
            )
        yield IdRaster(path, dataset, zero_based)


def check_one_band(path: str, dataset: DatasetReader) -> None:
    """Refuse a raster with more than one band of data.

    Raises
    ------
    SceneError
        If there are several, alpha not counted.
    """
    bands = [kind for kind in dataset.colorinterp if kind != ColorInterp.alpha]
    if len(bands) != 1:
        raise SceneError(
            f"{path}: has {len(bands)} bands, expected one band of ids or classes: "
            "give the labelled raster, not the imagery or a picture of it"
        )


def check_same_grid(one: IdRaster, other: IdRaster) -> None:
    """Refuse two rasters whose pixels do not lie on each other.

    Raises
    ------
    SceneError
        If shape, CRS or transform differ.
    """
    if (one.height, one.width) != (other.height, other.width):
        found = f"{other.height} x {other.width} pixels, not {one.height} x {one.width}"
    elif one.crs != other.crs:
        found = f"the CRS {crs_name(other.crs)}, not {crs_name(one.crs)}"
    elif not other.transform.almost_equals(one.transform, precision=1e-6):
        found = "another transform"
    else:
        return
    raise SceneError(
        f"{other.path}: has {found} as {one.path} has; "
        "expected both on one grid: give two rasters of the same scene"
    )


def crs_name(crs: CRS | None) -> str:
    """Name a CRS in a few words."""
    return "none" if crs is None else str(crs.to_string()).split("[", maxsplit=1)[0]
