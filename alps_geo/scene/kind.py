"""What kind of raster a file is: its name, what it cannot be, and how it lies on the map."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.scene.raster import is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader


def scene_name(path: str) -> str:
    """Stem of the file that `path` names, fit to name a folder.

    A part of a container adds its own name: "NETCDF:sea.nc:sst" gives "sea.nc_sst".
    """
    if is_local(path):
        return Path(path).stem
    plain = path.split("?")[0].rstrip("/")
    part = re.match(r"[A-Za-z][A-Za-z0-9_]+:(?!//)(.*)", plain)
    if part is not None:
        return re.sub(r"[^\w.-]+", "_", Path(part[1].replace('"', "")).name).strip("_")
    return Path(plain).stem


def file_facts(path: str) -> tuple[int | None, float | None]:
    """Size in bytes and time of change of a local file."""
    if not is_local(path):
        return None, None
    facts = Path(path).stat()
    return facts.st_size, facts.st_mtime


def check_kind(dataset: DatasetReader, path: str) -> None:
    """Raise SceneError for rasters that cannot be a scene."""
    if dataset.count == 0:
        if dataset.subdatasets:
            raise SceneError(
                f"{path} is a container of {len(dataset.subdatasets)} rasters, expected one: "
                f"give one of them, such as {dataset.subdatasets[0]}"
            )
        raise SceneError(f"{path} holds no raster band, expected one or more")
    odd = [dtype for dtype in dataset.dtypes if dtype.startswith("complex")]
    if odd:
        raise SceneError(
            f"{path} holds {odd[0]} values, expected real numbers: "
            "write amplitude or intensity to a file and give that"
        )
    if dataset.transform.is_degenerate:
        raise SceneError(f"{path} has pixels of no size: mend its transform (gdal_edit -a_ullr)")


def placement_notes(dataset: DatasetReader) -> Iterator[str]:
    """Say what is assumed about where the scene lies."""
    if dataset.subdatasets:
        yield (
            f"the file holds {len(dataset.subdatasets)} rasters, the first is used; "
            f"others open as {dataset.subdatasets[-1]} and the like"
        )
    if dataset.crs is not None:
        if dataset.transform.is_identity:
            yield "the scene has a CRS but no transform: its coordinates are pixels"
    elif dataset.gcps[0] or dataset.rpcs is not None:
        yield (
            "the scene is placed by control points or RPCs, not by a CRS and transform: "
            "its coordinates are pixels, and so are areas (gdalwarp makes a map of it)"
        )
    else:
        yield "the scene has no CRS: areas are in pixels"
