"""Cloud-optimised GeoTIFFs of labels and of segment ids, written window by window."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning

from alps_geo.errors import DiskError
from alps_geo.files import (
    GDAL_CACHE_BYTES,
    gdal_error,
    replacing,
    run_errors,
    unwritable,
    write_bytes,
)
from alps_geo.outputs.attribute_table import (
    TAG,
    UNLABELLED,
    Counts,
    read_counts,
    table_element,
)
from alps_geo.scene.placed import GroundControl, has_transform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from affine import Affine
    from numpy.typing import DTypeLike, NDArray
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.clusters.colors import Color
    from alps_geo.scene import Scene

_BLOCK = 512
_COLORMAP_TYPES = ("uint8", "uint16")
# rasterio raises SystemError where GDAL fails and gives no reason, as on a full disk.
_WRITE_ERRORS = (gdal_error("rasterio"), SystemError)


@dataclass(frozen=True)
class GeoBox:
    """Shape of a raster, and its place on the ground.

    Attributes
    ----------
    height, width : int
        In pixels.
    crs : rasterio.crs.CRS or None
    transform : affine.Affine or None
        None for a raster without a geotransform.
    control : GroundControl, optional
        Ground control points, in place of CRS and transform.
    """

    height: int
    width: int
    crs: CRS | None
    transform: Affine | None
    control: GroundControl | None = None

    @classmethod
    def of_scene(cls, scene: Scene) -> GeoBox:
        """Return the box of a scene."""
        transform = scene.transform if scene.has_transform else None
        return cls(scene.height, scene.width, scene.crs, transform, scene.control)

    @classmethod
    def of_raster(cls, raster: rasterio.io.DatasetReader) -> GeoBox:
        """Return the box of an open raster."""
        if has_transform(raster):
            return cls(raster.height, raster.width, raster.crs, raster.transform)
        control = GroundControl.of(raster)
        return cls(raster.height, raster.width, raster.crs, None, control)


@dataclass(frozen=True)
class IdBand:
    """A band of ids, 0 for none.

    Attributes
    ----------
    dtype : numpy dtype
        uint8, uint16 or uint32.
    description : str
        Shown by GIS programs.
    colormap : mapping of id to (red, green, blue), optional
        0 to 255 each.
    category_names : mapping of id to str
        Names of ids; ids without one are called by their numbers. GDAL reads them from a sidecar
        file alone, so they go next to the raster in ``<name>.aux.xml``; without them a sidecar of
        an earlier raster is removed.
    tags : mapping of str to str
        Tags of the file: those of TIFF by GDAL's names, and any others.
    counts : Counts, optional
        Pixels and areas of the ids, all with colours and names, for GDAL's table of attributes in
        the same file.
    is_quantity : bool
        True if the values are amounts and no ids: overviews take their mean.

    Raises
    ------
    ValueError
        If a colour table is asked for other ids than uint8 or uint16: TIFF has none.
    """

    dtype: DTypeLike
    description: str
    colormap: Mapping[int, Color] | None = None
    category_names: Mapping[int, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    counts: Counts | None = None
    is_quantity: bool = False

    def __post_init__(self) -> None:
        dtype = np.dtype(self.dtype)
        if self.colormap is not None and dtype.name not in _COLORMAP_TYPES:
            raise ValueError(f"colour table for {dtype}, expected one of {_COLORMAP_TYPES}")


def write_cog(
    path: Path,
    blocks: Iterable[tuple[Window, NDArray[np.unsignedinteger]]],
    box: GeoBox,
    band: IdBand,
) -> None:
    """Write a one-band raster of ids as a valid cloud-optimised GeoTIFF.

    The blocks go into a plain tiled GeoTIFF first, so memory doesn't grow with the raster, and from
    there into the COG. The same pixels give the same bytes, whatever the order of the blocks.

    Compression is DEFLATE without a predictor: on ids, which jump at every border, a predictor made
    files a fifth to a third larger. Overviews take the mode (the most common label); 32-bit ids
    take the nearest pixel, because GDAL's mode has gone through float32, which cannot hold them.

    Parameters
    ----------
    path : pathlib.Path
        File to write. A file that is there is replaced at the end.
    blocks : iterable of (rasterio.windows.Window, array of (rows, cols))
        The raster in pieces that overlap nowhere, in any order; pixels outside of them are 0,
        which is nodata.
    box : GeoBox
        Shape and place of the raster.
    band : IdBand
        Type, description, colours and names.

    Raises
    ------
    RunError
        If the file cannot be written whole; DiskError if that is the disk's fault.
    """
    write_cogs({path: band}, ((window, (block,)) for window, block in blocks), box)


def write_cogs(
    bands: Mapping[Path, IdBand],
    blocks: Iterable[tuple[Window, Sequence[NDArray[np.unsignedinteger]]]],
    box: GeoBox,
) -> None:
    """Write some rasters of one box in one pass over their pixels; see `write_cog`.

    Parameters
    ----------
    bands : mapping of pathlib.Path to IdBand
        Files to write, which take their places after all are written.
    blocks : iterable of (rasterio.windows.Window, arrays of (rows, cols))
        The rasters in pieces, with an array for each file.
    box : GeoBox
        Shape and place of the rasters.

    Raises
    ------
    RunError
        If a file cannot be written whole; DiskError if that is the disk's fault.
    """
    with ExitStack() as stack:
        parts = [
            _Part(path, stack.enter_context(replacing(path)), box, bands[path]) for path in bands
        ]
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES))
        stack.enter_context(warnings.catch_warnings())
        # A scene without georeferencing was announced when it was opened.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        sums = _write_blocks(parts, blocks)
        for part, total in zip(parts, sums, strict=True):
            part.finish(total)


def write_legend(path: Path, band: IdBand) -> None:
    """Give the ids of a raster that `write_cog` wrote other names and counts.

    The raster itself stays.

    Raises
    ------
    RunError
        If they cannot be written.
    """
    sidecar = _sidecar(path)
    with run_errors(sidecar):
        content = _with_legend(sidecar, band)
        if content is None:
            sidecar.unlink(missing_ok=True)
    if content is not None:
        write_bytes(sidecar, content)


def stored_counts(path: Path) -> Counts | None:
    """Read pixels and areas of the ids of a raster from its sidecar; None if it has none.

    Raises
    ------
    RunError
        If the sidecar cannot be read.
    """
    with run_errors(_sidecar(path)):
        table = _parsed(_sidecar(path)).find(f"PAMRasterBand[@band='1']/{TAG}")
    return None if table is None else read_counts(table)


def _profile(box: GeoBox, band: IdBand) -> dict[str, Any]:
    """Return rasterio's profile of the plain GeoTIFF that becomes a COG."""
    return {
        "driver": "GTiff",
        "height": box.height,
        "width": box.width,
        "count": 1,
        "dtype": np.dtype(band.dtype).name,
        "crs": box.crs,
        "nodata": 0,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "sparse_ok": True,
        "bigtiff": "if_safer",
        **({} if box.transform is None else {"transform": box.transform}),
    }


def _describe(target: rasterio.io.DatasetWriter, box: GeoBox, band: IdBand) -> None:
    target.set_band_description(1, band.description)
    target.update_tags(**band.tags)
    if box.control is not None:
        target.gcps = box.control.for_rasterio()
    if band.colormap is not None:
        target.write_colormap(1, dict(band.colormap))


@dataclass(frozen=True)
class _Part:
    """A raster that is being written, and will take its place at a path."""

    path: Path
    written: Path
    box: GeoBox
    band: IdBand

    @property
    def raw(self) -> Path:
        """Path of the plain GeoTIFF that becomes the COG."""
        return self.written.with_name("raw.tif")

    def open(self) -> rasterio.io.DatasetWriter:
        """Open the plain GeoTIFF."""
        with run_errors(self.path, *_WRITE_ERRORS):
            return rasterio.open(self.raw, "w", **_profile(self.box, self.band))

    def finish(self, total: int) -> None:
        """Turn the plain GeoTIFF, whose pixels have that sum, into a COG with its sidecar."""
        with run_errors(self.path, *_WRITE_ERRORS):
            _convert(self.raw, self.written, self.box, self.band)
            if content := _with_legend(_sidecar(self.written), self.band):
                _sidecar(self.written).write_bytes(content)
            intact = _sum(self.written) == total
        if not intact:
            raise DiskError(unwritable(self.path, "what was written reads back different"))
        with run_errors(self.path):
            if not _sidecar(self.written).exists():
                _sidecar(self.path).unlink(missing_ok=True)


def _write_blocks(
    parts: Sequence[_Part],
    blocks: Iterable[tuple[Window, Sequence[NDArray[np.unsignedinteger]]]],
) -> list[int]:
    """Write pieces into the plain GeoTIFFs; return the sum of the pixels of each."""
    sums = [0] * len(parts)
    with ExitStack() as stack:
        targets = [stack.enter_context(part.open()) for part in parts]
        for part, target in zip(parts, targets, strict=True):
            _describe(target, part.box, part.band)
        for window, arrays in blocks:
            for index, array in enumerate(arrays):
                with run_errors(parts[index].path, *_WRITE_ERRORS):
                    targets[index].write(array, 1, window=window)
                sums[index] += int(array.sum(dtype=np.uint64))
    return sums


def _convert(raw: Path, cog: Path, box: GeoBox, band: IdBand) -> None:
    """Turn the plain GeoTIFF into a COG, and remove it and its sidecar."""
    rasterio.shutil.copy(
        raw,
        cog,
        driver="COG",
        compress="deflate",
        blocksize=_BLOCK,
        bigtiff="if_safer",
        num_threads="all_cpus",
        overview_resampling=_resampling(band),
        # An overview of one column is one column again, which validators take for an error.
        overviews="none" if box.width == 1 else "auto",
    )
    raw.unlink()
    _sidecar(raw).unlink(missing_ok=True)


def _resampling(band: IdBand) -> str:
    """Return the name of GDAL's method by which overviews are made."""
    if band.is_quantity:
        return "average"
    return "nearest" if np.dtype(band.dtype).itemsize > 2 else "mode"


def _sum(path: Path) -> int:
    """Sum all pixels, as GDAL hides errors when a file closes: zeros would pass for data."""
    with rasterio.open(path) as raster:
        return sum(
            int(raster.read(1, window=window).sum(dtype=np.uint64))
            for _, window in raster.block_windows(1)
        )


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.aux.xml")


def _with_legend(sidecar: Path, band: IdBand) -> bytes | None:
    """Return a sidecar with other category names and counts; None if it would be empty.

    GDAL stores a CRS there that no TIFF can hold, QGIS statistics; both stay.
    """
    root, names = _parsed(sidecar), band.category_names
    element = root.find("PAMRasterBand[@band='1']")
    if element is None:
        element = ET.SubElement(root, "PAMRasterBand", band="1")
    for earlier in [*element.findall("CategoryNames"), *element.findall(TAG)]:
        element.remove(earlier)
    if names:
        categories = ET.SubElement(element, "CategoryNames")
        for value in range(max(names) + 1):
            text = names.get(value) or (str(value) if value else UNLABELLED)
            ET.SubElement(categories, "Category").text = text
    if band.counts is not None:
        element.append(table_element(band.counts, band.colormap or {}, names))
    if len(element) == 0:
        root.remove(element)
    # GDAL passes over a sidecar that begins with an XML declaration.
    return ET.tostring(root, encoding="unicode").encode() if len(root) else None


def _parsed(sidecar: Path) -> ET.Element:
    """Parse a sidecar; an empty one if there is none."""
    if sidecar.exists():
        with suppress(ET.ParseError):  # GDAL passes over a damaged one too
            return ET.parse(sidecar).getroot()
    return ET.Element("PAMDataset")
