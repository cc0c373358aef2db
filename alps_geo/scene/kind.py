"""Kinds of rasters: names, refused kinds, and notes on their placement."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.scene.placed import source_of
from alps_geo.scene.raster import is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader


def scene_name(path: str) -> str:
    """Return the stem of the file that `path` names, as a valid name of a folder.

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
    """Return size in bytes and time of change of a local file."""
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
    if dataset.driver == "PNG" and is_local(path):
        check_png(Path(path))
    if dataset.transform.is_degenerate:
        raise SceneError(f"{path} has pixels of no size: mend its transform (gdal_edit -a_ullr)")


def check_png(path: Path) -> None:
    """Check that a PNG is whole, for GDAL reads zeros from one that is cut off or damaged.

    Raises
    ------
    SceneError
        If it is not: the checksum of each of its chunks is compared (W3C PNG, section 5).
    """
    with path.open("rb") as file:
        file.seek(8)  # the signature, by which GDAL knows the format
        while len(head := file.read(8)) == 8:
            content = file.read(int.from_bytes(head[:4]))
            if zlib.crc32(content, zlib.crc32(head[4:])) != int.from_bytes(file.read(4)):
                break
            if head[4:] == b"IEND":
                return
    raise SceneError(f"{path} is cut off or damaged: copy or download it again")


def placement_notes(dataset: DatasetReader) -> Iterator[str]:
    """Yield the assumptions about the placement of a scene."""
    source = source_of(dataset)
    if source.subdatasets:
        yield (
            f"the file holds {len(source.subdatasets)} rasters, the first is used; "
            f"others open as {source.subdatasets[-1]} and the like"
        )
    if source is not dataset:
        yield _warp_note(source, dataset)
    elif dataset.crs is not None:
        if dataset.transform.is_identity:
            yield "the scene has a CRS but no transform: its coordinates are pixels"
    elif dataset.gcps[0] or dataset.rpcs is not None:
        yield (
            "the scene has control points or RPCs that GDAL cannot warp it by: its coordinates "
            "are pixels, and so are areas"
        )
    else:
        yield "the scene has no CRS: areas are in pixels"


def _warp_note(source: DatasetReader, warped: DatasetReader) -> str:
    points = len(source.gcps[0])
    by = f"{points} control points" if points else "RPCs, at a height of 0 m"
    crs = "coordinates without a CRS, so areas are in pixels"
    if warped.crs is not None:
        crs = warped.crs.to_string().split("[", maxsplit=1)[0]
    return (
        f"the scene is placed by {by}: it is read and labelled as GDAL warps it (nearest pixel) "
        f"to {warped.height} x {warped.width} pixels in {crs}"
    )
