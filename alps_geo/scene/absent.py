"""Areas of a mosaic whose files are absent.

GDAL reports a missing file when a mosaic first needs it. Once a mosaic of mosaics was read in the
process, GDAL remembers files that it could not open, and then reads zeros in their place without an
error. So absent files are looked for before a mosaic is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from rasterio.windows import Window, from_bounds, intersect

from alps_geo.scene.tile_index import index_file, location_column, next_to, read_index
from alps_geo.windows import transferred, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

# "s3://…", "/vsicurl/…", and GDAL's own names for a part of a file: "NETCDF:…", "GTIFF_DIR:…".
# One letter before the colon is a drive of Windows.
NOT_A_FILE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|/vsi|[A-Za-z][A-Za-z0-9_]+:")


@dataclass(frozen=True)
class AbsentFile:
    """A missing file of a mosaic.

    Attributes
    ----------
    name : str
        The file.
    area : rasterio.windows.Window
        The pixels of the mosaic that come from it.
    """

    name: str
    area: Window

    def reaches(self, window: Window) -> bool:
        """Return True if a window needs pixels of the file."""
        return bool(intersect(self.area, window))


def absent_files(dataset: DatasetReader, path: str) -> Iterator[AbsentFile]:
    """Find the absent local files of a mosaic.

    Parameters
    ----------
    dataset : rasterio.io.DatasetReader
        A VRT or a tile index.
    path : str
        Its name.
    """
    if dataset.driver == "GTI":
        yield from _of_index(dataset, path)
        return
    everything = whole(*dataset.shape)
    root = _parsed(Path(path))
    if root is None:
        return
    # A scene that is warped onto the map has other pixels than the file.
    has_its_pixels = _shape(root) == dataset.shape
    for absent in _of_vrt(root, Path(path)):
        yield absent if has_its_pixels else AbsentFile(absent.name, everything)


def _of_index(dataset: DatasetReader, path: str) -> Iterator[AbsentFile]:
    index, column = index_file(path), location_column(path)
    table = None if index is None else read_index(index)
    if index is None or table is None or column not in table:
        return
    for location, outline in zip(table[column].astype(str), table.geometry, strict=True):
        name = next_to(index, location)
        if NOT_A_FILE.match(name) or Path(name).exists():
            continue
        area = whole(*dataset.shape)
        if table.crs == dataset.crs:
            area = from_bounds(*outline.bounds, transform=dataset.transform)
            # An outline that ends on the border of a pixel may lie beyond it by rounding.
            area = area.round()
        yield AbsentFile(name, area)


def _of_vrt(root: ET.Element, path: Path) -> Iterator[AbsentFile]:
    everything = whole(*_shape(root))
    within: dict[str, list[AbsentFile] | None] = {}  # every band names all files
    for source in root.iter():
        # A warped VRT has one source, in pixels of its own.
        tag = "SourceDataset" if source.tag == "GDALWarpOptions" else "SourceFilename"
        named = source.find(tag)
        if named is None or not named.text:
            continue
        is_relative = named.get("relativeToVRT") == "1"
        name = str(path.parent / named.text) if is_relative else named.text
        if name not in within:
            within[name] = _within(name)
        inside = within[name]
        if inside is None:
            yield AbsentFile(name, _rect(source, "DstRect") or everything)
            continue
        for absent in inside:
            yield AbsentFile(absent.name, _placed(absent.area, source) or everything)


def _within(name: str) -> list[AbsentFile] | None:
    """List the absent files of a source, in its own pixels; None if it is absent itself."""
    path = Path(name)
    if NOT_A_FILE.match(name):
        return []
    if not path.exists():
        return None
    root = _parsed(path) if path.suffix.lower() == ".vrt" else None
    return [] if root is None else list(_of_vrt(root, path))


def _placed(area: Window, source: ET.Element) -> Window | None:
    """Return the pixels of a source's area in the mosaic; None if the mosaic doesn't give them."""
    from_, to = _rect(source, "SrcRect"), _rect(source, "DstRect")
    if from_ is None or to is None:
        return None
    return transferred(area, from_, to)


def _rect(source: ET.Element, name: str) -> Window | None:
    rect = source.find(name)
    if rect is None:
        return None
    return Window(*(float(rect.get(key, 0)) for key in ("xOff", "yOff", "xSize", "ySize")))


def _shape(root: ET.Element) -> tuple[int, int]:
    return int(root.get("rasterYSize", 0)), int(root.get("rasterXSize", 0))


def _parsed(path: Path) -> ET.Element | None:
    """Parse a VRT; None for any other file."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError):
        return None
    return root if root.tag == "VRTDataset" else None
