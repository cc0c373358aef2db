"""Files of a training set: pictures and masks as PNG, rasters as GeoTIFF, lists as JSON lines."""

from __future__ import annotations

import csv
import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from rasterio.dtypes import in_dtype_range
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from alps_geo.files import gdal_error, run_errors
from alps_geo.scene.raster import WARNING_FILTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.outputs.training_set.chips import ChipImage, LabelledChip

# rasterio raises SystemError where GDAL fails and gives no reason.
_ERRORS = (gdal_error("rasterio"), SystemError)


def write_image(path: Path, chip: LabelledChip) -> None:
    """Write the pixels of a chip: a picture as PNG, values of its own as TIFF.

    Parameters
    ----------
    path : pathlib.Path
        The file; its folder is made if need be. The suffix decides the format.
    chip : LabelledChip
        The chip.

    Raises
    ------
    RunError
        If the file cannot be written; so do the other functions.
    """
    if path.suffix == ".png":
        write_png(path, np.moveaxis(chip.image.values, 0, -1))
    else:
        write_tiff(path, chip.image, chip)


def write_png(path: Path, pixels: NDArray[np.uint8 | np.uint16]) -> None:
    """Write a PNG of one channel (H, W), uint8 or uint16, or of red, green and blue (H, W, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with run_errors(path):
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")


def write_tiff(path: Path, image: ChipImage, chip: LabelledChip) -> None:
    """Write bands as a GeoTIFF that lies where the chip lies."""
    count, height, width = image.values.shape
    # Left alone, GDAL takes the fourth band of bytes for transparency.
    kind = {"photometric": "RGB"} if image.is_picture else {"photometric": "MINISBLACK"}
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": image.values.dtype,
        "nodata": _nodata(image),
        "compress": "deflate",
        **kind,
        **({} if image.is_picture else {"alpha": "NO"}),
    }
    if chip.transform is not None:
        profile |= {"transform": chip.transform, "crs": chip.crs}
    path.parent.mkdir(parents=True, exist_ok=True)
    with WARNING_FILTERS, warnings.catch_warnings(), run_errors(path, *_ERRORS):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        # GDAL tells of a full disk late or never; in memory there is none.
        with MemoryFile() as memory:
            with memory.open(**profile) as raster:
                raster.write(image.values)
                raster.descriptions = image.names
            path.write_bytes(memory.read())


def _nodata(image: ChipImage) -> float | None:
    """Return the nodata value, if a file of this data type can have it."""
    value = image.nodata
    return value if value is not None and in_dtype_range(value, image.values.dtype) else None


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with run_errors(path):
        path.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write JSON for people."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def append_rows(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Add rows to the end of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    append_text(path, text.getvalue())


def append_text(path: Path, text: str) -> None:
    """Add text to the end of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with run_errors(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)
