"""Opening and reading rasters through rasterio: quietly, bounded, and with errors that help.

GDAL's messages become the reason inside a `SceneError`; its warning about rasters without
georeferencing never reaches the caller, who learns of it from `Scene.notes`.
"""

from __future__ import annotations

import os
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.windows import Window

from alps_geo.errors import SceneError, reason_of
from alps_geo.scene.absent import NOT_A_FILE, absent_files
from alps_geo.scene.swallowed import heard_errors
from alps_geo.windows import halves, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    Reader = Callable[..., NDArray[np.generic]]

# A remote server is asked for the sidecar files by name, not for a listing of its folder, which
# can be endless; a dropped connection is worth another try in a run of hours.
_GDAL_OPTIONS: dict[str, Any] = {"GDAL_HTTP_MAX_RETRY": 3, "GDAL_HTTP_RETRY_DELAY": 1}
_GDAL_REMOTE_OPTIONS: dict[str, Any] = {**_GDAL_OPTIONS, "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}

# Rows of a mosaic that are read at once.
_STRIP_ROWS = 512

# Python's warning filters belong to the process, so two threads must not swap them at once.
WARNING_FILTERS = threading.Lock()

# Rasters that are made of others; GDAL reads a tile index as if a missing file of it were empty.
_MOSAICS = {"GTI", "VRT"}

# A damaged raster is read in pieces, down to this part of each side.
_DAMAGED_PARTS = 64
# The same for a tile index, which is opened again for each piece.
_MISSING_PARTS = 16

Piece = TypeVar("Piece")


def is_local(path: str) -> bool:
    """Return True if `path` names a local file or folder, not a URL or a GDAL dataset name."""
    return NOT_A_FILE.match(path) is None or Path(path).exists()


def real_path(path: str) -> str:
    """Resolve the path of a local file; names of other sources stay as they are."""
    return str(Path(path).resolve()) if is_local(path) else path


def absolute_path(path: str) -> str:
    """Make the path of a local file absolute, without following links; others stay as they are."""
    return str(Path(path).absolute()) if is_local(path) else path


@contextmanager
def opened(path: str) -> Iterator[DatasetReader]:
    """Open a raster for reading.

    Raises
    ------
    SceneError
        If the file is missing, a folder, empty, not readable for this user or not a raster.
    """
    local = is_local(path)
    if local:
        _check_file(path)
    options = _GDAL_OPTIONS if local else {**_GDAL_REMOTE_OPTIONS, **s3_options(os.environ)}
    with rasterio.Env(**options), _open(path) as dataset:
        yield dataset


def s3_options(environ: Mapping[str, str]) -> dict[str, str]:
    """Return GDAL's options for the S3 server that the AWS tools are told of.

    GDAL has a name of its own for it; one that the user has set counts.

    >>> s3_options({"AWS_ENDPOINT_URL": "http://minio:9000"})["AWS_S3_ENDPOINT"]
    'minio:9000'

    Parameters
    ----------
    environ : mapping of str to str
        The environment.
    """
    url = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if not url or "AWS_S3_ENDPOINT" in environ:
        return {}
    parts = urlsplit(url)
    return {
        "AWS_S3_ENDPOINT": f"{parts.netloc}{parts.path}".rstrip("/"),
        "AWS_HTTPS": "NO" if parts.scheme == "http" else "YES",
        # Servers other than Amazon's have no name for each bucket.
        "AWS_VIRTUAL_HOSTING": environ.get("AWS_VIRTUAL_HOSTING", "FALSE"),
    }


def _check_file(path: str) -> None:
    file = Path(path)
    if not file.exists():
        raise SceneError(f"{path} does not exist: check the path of the scene")
    if file.is_dir():
        raise SceneError(f"{path} is a folder, expected a raster file")
    if not os.access(file, os.R_OK):
        raise SceneError(f"{path} may not be read by this user: change its permissions")
    if file.stat().st_size == 0:
        raise SceneError(f"{path} is empty (0 bytes): copy or download it again")


def _open(path: str) -> DatasetReader:
    with WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            return rasterio.open(path)
        except RasterioError as error:
            raise SceneError(
                f"{path} cannot be opened as a raster ({reason_of(error)}): "
                "expected a GeoTIFF, VRT, JP2 or another format that GDAL reads"
            ) from error


def read_window(
    dataset: DatasetReader,
    path: str,
    indexes: Sequence[int],
    window: Window,
    *,
    shape: tuple[int, int] | None = None,
    masks: bool = False,
) -> NDArray[Any]:
    """Read bands, or their GDAL masks, inside a window.

    Parameters
    ----------
    indexes : sequence of int
        Bands, counted from 1; may be empty.
    shape : tuple of int, optional
        (rows, cols) to decimate to by nearest neighbour, from overviews where there are any.
    masks : bool
        Read the bands' masks (uint8, 0 = not valid) in place of their values.

    Returns
    -------
    numpy.ndarray
        (len(indexes), rows, cols), in the bands' dtype, or one that holds all of theirs.

    Raises
    ------
    SceneError
        If a block cannot be read.
    """
    size = shape or (round(window.height), round(window.width))
    if dataset.driver in _MOSAICS and indexes:
        for absent in absent_files(dataset, path):
            if absent.reaches(window):
                reason = f"{absent.name}: No such file or directory"
                raise _unreadable(dataset, path, window, reason)
    if not indexes:
        return np.zeros((0, *size), np.uint8)
    # One band a time where they differ in dtype, as in some VRTs: rasterio reads only like bands.
    mixed = not masks and len({dataset.dtypes[index - 1] for index in indexes}) > 1
    groups = [[index] for index in indexes] if mixed else [list(indexes)]
    decimated = size != (round(window.height), round(window.width))
    slow = decimated and dataset.driver == "VRT" and not dataset.overviews(indexes[0])
    read = _read_strips if slow else _read_at_once
    try:
        with _reopened(dataset, path) as source, heard_errors() as errors:
            reader = source.read_masks if masks else source.read
            pixels = np.concatenate([read(reader, group, window, size) for group in groups])
    except RasterioIOError as error:
        raise _unreadable(dataset, path, window, reason_of(error)) from error
    if errors and dataset.driver in _MOSAICS:
        raise _unreadable(dataset, path, window, errors[0])
    return pixels


@contextmanager
def _reopened(dataset: DatasetReader, path: str) -> Iterator[DatasetReader]:
    """Open a tile index again: it reports a missing file only at the first read."""
    if dataset.driver != "GTI":
        yield dataset
        return
    with _open(path) as again:
        yield again


def _unreadable(dataset: DatasetReader, path: str, window: Window, reason: str) -> SceneError:
    top, left = int(window.row_off), int(window.col_off)
    remedy = "the file seems truncated or damaged, copy or download it again"
    if dataset.driver in _MOSAICS:
        remedy = "a file that it is made of is missing or damaged, put it back"
    return SceneError(
        f"{path}: rows {top} to {top + round(window.height)}, columns {left} to "
        f"{left + round(window.width)} cannot be read ({reason}): {remedy}"
    )


def _read_at_once(
    reader: Reader, bands: list[int], window: Window, size: tuple[int, int]
) -> NDArray[np.generic]:
    shape = (len(bands), *size)
    return reader(bands, window=window, out_shape=shape, resampling=Resampling.nearest)


def _read_strips(
    reader: Reader, bands: list[int], window: Window, size: tuple[int, int]
) -> NDArray[np.generic]:
    """Read whole rows, some at a time, and pick the nearest pixels.

    GDAL would go through a mosaic's sources once for every row that is picked, which takes 50 times
    as long.
    """
    height, width = round(window.height), round(window.width)
    rows, cols = (
        ((np.arange(count) + 0.5) * length / count).astype(np.int64)
        for count, length in zip(size, (height, width), strict=True)
    )
    parts = []
    for start in range(0, height, _STRIP_ROWS):
        stop = min(start + _STRIP_ROWS, height)
        picked = rows[slice(*np.searchsorted(rows, [start, stop]))] - start
        strip = Window(window.col_off, window.row_off + start, width, stop - start)
        if len(picked):
            parts.append(reader(bands, window=strip)[:, picked][:, :, cols])
    return np.concatenate(parts, axis=1)


Palette = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Layers:
    """Layers to read of a raster: bands counted from 1.

    Attributes
    ----------
    bands : tuple of int
        Bands of data.
    alpha : tuple of int
        Bands of transparency.
    masks : tuple of int
        Bands whose GDAL mask is read.
    palette : tuple of (red, green, blue, alpha), or None
        Colours that stand for the numbers of the only band: three bands and an alpha band come
        out in its place.
    """

    bands: tuple[int, ...]
    alpha: tuple[int, ...]
    masks: tuple[int, ...]
    palette: Palette | None = None


@dataclass(frozen=True)
class Pixels:
    """Pixels as they are stored.

    Attributes
    ----------
    bands, alpha : numpy.ndarray
        (n, H, W), in the file's dtype.
    masks : numpy.ndarray
        uint8 (n, H, W), 0 where invalid.
    readable : numpy.ndarray
        bool (H, W), False where the file is damaged.
    """

    bands: NDArray[Any]
    alpha: NDArray[Any]
    masks: NDArray[np.uint8]
    readable: NDArray[np.bool_]


def read_layers(
    dataset: DatasetReader,
    path: str,
    layers: Layers,
    window: Window,
    shape: tuple[int, int] | None = None,
) -> Pixels:
    """Read layers inside a window, decimated to `shape` where that is given.

    Raises
    ------
    SceneError
        If a block cannot be read.
    """
    bands = read_window(dataset, path, layers.bands, window, shape=shape)
    alpha = read_window(dataset, path, layers.alpha, window, shape=shape)
    masks = read_window(dataset, path, layers.masks, window, shape=shape, masks=True)
    if layers.palette is not None:
        colours = np.moveaxis(np.array(layers.palette, np.uint8)[bands[0]], -1, 0)
        bands, alpha = colours[:3], np.concatenate([colours[3:], alpha])
    return Pixels(bands, alpha, masks, np.ones(bands.shape[1:], np.bool_))


def read_whole(dataset: DatasetReader, path: str, layers: Layers, shape: tuple[int, int]) -> Pixels:
    """Read a whole raster at `shape`, nearest neighbour, from overviews where there are any.

    Of a damaged file the readable parts count.

    Raises
    ------
    SceneError
        If nothing at all can be read.
    """
    down, across = dataset.height / shape[0], dataset.width / shape[1]

    def read(part: Window) -> Pixels:
        top, left, height, width = part.row_off, part.col_off, part.height, part.width
        window = Window(left * across, top * down, width * across, height * down)
        return read_layers(dataset, path, layers, window, (height, width))

    found: Pixels | None = None
    parts = _MISSING_PARTS if dataset.driver == "GTI" else _DAMAGED_PARTS
    for part, piece in readable_pieces(read, whole(*shape), parts):
        if piece.readable.shape == shape:
            return piece
        found = found or _unread(piece, shape)
        for name in ("bands", "alpha", "masks", "readable"):
            getattr(found, name)[..., *part.toslices()] = getattr(piece, name)
    if found is None:
        raise SceneError(f"{path}: no part of it can be read; expected a raster with some pixels")
    return found


def readable_pieces(
    read: Callable[[Window], Piece], window: Window, parts: int = _DAMAGED_PARTS
) -> Iterator[tuple[Window, Piece]]:
    """Read a window, or the readable parts of a damaged one.

    A part that cannot be read is halved again and again, down to one in `parts` of each side.

    Parameters
    ----------
    read : callable
        Reads a window, or raises a SceneError.
    window : rasterio.windows.Window
        The pixels to read.
    parts : int
        Parts of each side, at most.

    Yields
    ------
    part : rasterio.windows.Window
        A part of the window that could be read.
    piece
        Return value of `read`.

    Raises
    ------
    SceneError
        That of the whole, if nothing at all can be read.
    """
    least = max(1, window.height // parts), max(1, window.width // parts)
    waiting, failure, found = [window], None, False
    while waiting:
        part = waiting.pop()
        try:
            piece = read(part)
        except SceneError as error:
            failure = failure or error
            waiting += reversed(halves(part, least))
            continue
        found = True
        yield part, piece
    if failure is not None and not found:
        raise failure


def _unread(piece: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return zeros for all pixels of a raster, of the dtypes of some of them."""

    def blank(part: NDArray[Any]) -> NDArray[Any]:
        return np.zeros((*part.shape[:-2], *shape), part.dtype)

    return Pixels(*map(blank, (piece.bands, piece.alpha, piece.masks, piece.readable)))
