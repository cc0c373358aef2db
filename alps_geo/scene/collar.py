"""Collars: the black frame around a scan, a mosaic or a satellite scene.

Found are collars without a nodata tag, and the edge of tagged ones that lossy compression blurred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A collar is at least this share of the scene and this many pixels; less is a handful of zeros.
MIN_COLLAR_SHARE = 0.001
_MIN_COLLAR_PIXELS = 64
# Share of a collar that survives an opening with 3 x 3 pixels. Collars are filled areas; noise in
# dark water, even where most of it is zero, is not.
_MIN_COLLAR_SOLID = 0.5

# Lossy compression: flat black is stored as at most this grey, ...
_LOSSY_BLACK = 2
# ... and the collar's edge rings inside the block of 16 pixels (8, with colour at half
# resolution) that it crosses. Up to this value, the default of GDAL's nearblack, it is collar.
_LOSSY_REACH = 16
_LOSSY_CEILING = 15


@dataclass(frozen=True)
class PixelCentres:
    """Centres of rows and columns of pixels, from 0 to 1 across the scene."""

    rows: NDArray[np.float64]
    cols: NDArray[np.float64]

    @classmethod
    def of_window(cls, window: Window, scene_shape: tuple[int, int]) -> PixelCentres:
        """Return the centres of the pixels of a window in a scene of (height, width) pixels."""
        rows, cols = window.toslices()
        height, width = scene_shape
        return cls(
            (np.arange(rows.start, rows.stop) + 0.5) / height,
            (np.arange(cols.start, cols.stop) + 0.5) / width,
        )

    @classmethod
    def of_whole(cls, shape: tuple[int, int]) -> PixelCentres:
        """Return the centres of the pixels of a whole scene that is read at `shape`."""
        return cls.of_window(Window(0, 0, shape[1], shape[0]), shape)


@dataclass(frozen=True)
class Collar:
    """Map of a collar, which may be coarser than the scene.

    Attributes
    ----------
    shape : tuple of int
        (rows, cols) of the map, which covers the whole scene.
    packed : bytes
        The map, rows packed to bits, True where the collar is or is near.
    ceiling : int or None
        Farthest that a collar pixel is from `level` in any band, where the map is coarse; None
        where the map tells each pixel.
    level : int
        Value of the collar: 0, or the nodata value of the file.
    """

    shape: tuple[int, int]
    packed: bytes
    ceiling: int | None
    level: int = 0

    @classmethod
    def of(cls, cells: NDArray[np.bool_], ceiling: int | None, level: int = 0) -> Collar:
        """Pack a bool (rows, cols) map."""
        rows, cols = cells.shape
        return cls((rows, cols), np.packbits(cells, axis=1).tobytes(), ceiling, level)

    def near(self, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.bool_]:
        """Look up the map at some of its rows and columns: bool (len(rows), len(cols))."""
        packed = np.frombuffer(self.packed, np.uint8).reshape(self.shape[0], -1)
        bits = np.unpackbits(packed[rows], axis=1, count=self.shape[1])
        return bits[:, cols].astype(np.bool_)

    def covers(self, bands: NDArray[Any], centres: PixelCentres) -> NDArray[np.bool_]:
        """Mask the pixels of the collar, each by its own position and values.

        Parameters
        ----------
        bands : numpy.ndarray
            (B, H, W), all data bands.
        centres : PixelCentres
            Centres of the H rows and W columns.

        Returns
        -------
        numpy.ndarray
            bool (H, W).
        """
        rows, cols = self.shape
        near = self.near((centres.rows * rows).astype(int), (centres.cols * cols).astype(int))
        if self.ceiling is not None and near.any():
            near &= _is_black(_from_level(bands, self.level), self.ceiling)
        return near


def find_collar(
    bands: NDArray[Any],
    readable: NDArray[np.bool_],
    step: float,
    *,
    lossy: bool,
    level: int = 0,
) -> tuple[Collar, float] | None:
    """Find a collar: filled areas of one value that touch the scene's border.

    Parameters
    ----------
    bands : numpy.ndarray
        (B, rows, cols), all data bands of the whole scene, possibly decimated.
    readable : numpy.ndarray
        bool (rows, cols), False where the file is damaged.
    step : float
        Scene pixels per pixel of `bands`, 1 or more.
    lossy : bool
        Compressed 8-bit values: black is nearly 0 and rings at the collar's edge.
    level : int
        The value of the collar. Other than 0 only with `lossy`.

    Returns
    -------
    tuple of Collar and float, or None
        The collar and its share of the scene.
    """
    bands = _from_level(bands, level)
    black = _is_black(bands, 0) & readable
    if lossy:
        black |= (bands == bands[:1]).all(axis=0) & (bands[0] <= _LOSSY_BLACK) & readable
    collar = _filled_from_border(black)
    share = float(collar.mean())
    if share == 0:
        return None
    if step > 1:  # between the samples, each pixel's value decides
        reach = max(2, int(np.ceil(_LOSSY_REACH / step)) if lossy else 0)
        near = ndimage.binary_dilation(collar, np.ones((3, 3)), iterations=reach)
        return Collar.of(near, _LOSSY_CEILING if lossy else 0, level), share
    if lossy:
        collar = _with_ringing(collar, _is_black(bands, _LOSSY_CEILING))
    return Collar.of(collar, None, level), share


def _with_ringing(collar: NDArray[np.bool_], dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add the dark pixels and enclosed specks that lossy compression leaves at a collar's edge."""
    grown = ndimage.binary_dilation(collar, np.ones((3, 3)), iterations=_LOSSY_REACH, mask=dark)
    areas, _ = ndimage.label(~grown)
    speck = np.bincount(areas.ravel()) < _LOSSY_REACH**2
    speck[0] = True  # the collar itself
    return np.asarray(speck[areas])


def _filled_from_border(black: NDArray[np.bool_]) -> NDArray[np.bool_]:
    areas, count = ndimage.label(black)
    sizes = np.bincount(areas.ravel(), minlength=count + 1)
    at_border = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    square = np.ones((3, 3))
    core = ndimage.binary_erosion(black, square, border_value=1)
    filled = ndimage.binary_dilation(core, square, mask=black)
    solid = np.bincount(areas[filled], minlength=count + 1)
    smallest = max(_MIN_COLLAR_PIXELS, MIN_COLLAR_SHARE * black.size)
    keep = np.zeros(count + 1, np.bool_)
    keep[at_border] = True
    keep &= (sizes >= smallest) & (solid >= _MIN_COLLAR_SOLID * sizes)
    keep[0] = False
    collar: NDArray[np.bool_] = keep[areas]
    return collar


def _from_level(bands: NDArray[Any], level: int) -> NDArray[Any]:
    """Return the distance of 8-bit values from the value of a collar."""
    if level == 0:
        return bands
    return np.abs(bands.astype(np.int16) - level)


def _is_black(bands: NDArray[Any], ceiling: int) -> NDArray[np.bool_]:
    if ceiling == 0:
        return np.asarray((bands == 0).all(axis=0))
    return np.asarray(bands.max(axis=0) <= ceiling)
