"""Bands that are tagged as alpha: transparency, or data with the wrong tag."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

# Resampling leaves values between 0 and full this near to both, in pixels.
SOFT_EDGE = 2

# The windows that are looked at, in pixels, and how many along each side of the scene.
_WINDOW = 512
_WINDOWS_PER_SIDE = 8

# Values that mean fully opaque, other than the largest of the dtype.
_OPAQUE = (1, 255, 65535)
# Resampling and blending leave 254 for full in places; no data band holds only such values.
_NEARLY_FULL = 0.98

# A ramp from 0 to full, as blending and bilinear resampling leave it: at least this share of the
# pixels that aren't 0 is full, of the values between lies in areas that reach to 0, of the zeros
# survives an opening with 3 x 3 pixels, has one colour in the other bands, or is connected to the
# border of the scene.
_LEAST_FULL = 0.5
_LEAST_REACHING = 0.95
_LEAST_SOLID = 0.5
_LEAST_ONE_COLOR = 0.95
_LEAST_AT_BORDER = 0.9
# Resampling by Lanczos or cubic kernels rings this far from the ramp, in pixels of the look.
_RINGING = 6
# Lossy compression moves 8-bit colours by this much.
_COLOR_TOLERANCE = 3


@dataclass(frozen=True)
class AlphaSample:
    """Some pixels of a band that is tagged as alpha, at full resolution.

    Attributes
    ----------
    pixels : numpy.ndarray
        (H, W).
    core : tuple of slice
        The pixels that are judged; those around them, two pixels wide, are their neighbours.
    """

    pixels: NDArray[Any]
    core: tuple[slice, slice]


def is_true_alpha(samples: Iterable[AlphaSample]) -> bool:
    """Return True if a band that is tagged as alpha holds nothing but 0 and full.

    Values between are allowed only as the soft edge that resampling leaves, two pixels from both
    0 and full; wider ones are for `is_ramp` to judge.

    Parameters
    ----------
    samples : iterable of AlphaSample
        No more of them are taken than are needed.
    """
    level = None
    for sample in samples:
        pixels, core = sample.pixels, sample.core
        if not pixels.any():
            continue
        found = _opaque(pixels)
        if found is None or found != (level or found):
            return False
        level = found
        full = pixels >= _NEARLY_FULL * level
        between = (pixels != 0) & ~full
        if between.any() and (between & ~_is_edge(pixels, full))[core].any():
            return False
    return True


def is_ramp(alpha: NDArray[Any], readable: NDArray[np.bool_]) -> bool:
    """Return True if a band tagged as alpha is 0 in areas, full elsewhere, and a ramp between.

    Near infrared is 0 in dark water and full where it is overexposed, but between the two nearly
    everywhere, not only next to where it is 0.

    Parameters
    ----------
    alpha : numpy.ndarray
        (H, W), all of the scene, possibly decimated.
    readable : numpy.ndarray
        bool (H, W), False where the file is damaged.
    """
    level = _opaque(alpha)
    zero = (alpha == 0) & readable
    if level is None or not zero.any():
        return False
    full = alpha >= _NEARLY_FULL * level
    between = readable & ~zero & ~full
    if full.sum() < _LEAST_FULL * (full | between).sum():
        return False
    if _reaching(between, zero) < _LEAST_REACHING * between.sum():
        return False
    return bool(_solid(zero).sum() >= _LEAST_SOLID * zero.sum())


def is_blank_below(alpha: NDArray[Any], others: NDArray[Any]) -> bool:
    """Return True if other bands hold one colour where alpha is 0, or alpha is 0 at the border.

    Parameters
    ----------
    alpha : numpy.ndarray
        (H, W), all of the scene, 0 somewhere.
    others : numpy.ndarray
        (B, H, W), in the file's dtype.
    """
    zero = alpha == 0
    return _is_one_color(others[:, zero]) or _share_at_border(zero) >= _LEAST_AT_BORDER


def is_partial(alpha: NDArray[Any]) -> NDArray[np.bool_]:
    """Find pixels that are neither 0 nor nearly full."""
    level = _opaque(alpha) or alpha.max()
    return np.asarray((alpha != 0) & (alpha < _NEARLY_FULL * level))


def _opaque(pixels: NDArray[Any]) -> float | None:
    """Return the value of full opacity; None where the largest value is not near to one."""
    largest = float(pixels.max())
    levels = [*_OPAQUE, _largest(pixels.dtype)]
    level = min((level for level in levels if level >= largest), default=None)
    return None if level is None or largest < _NEARLY_FULL * level else float(level)


def _solid(zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find areas at least three pixels wide; those at the scene's border go on beyond it.

    So a collar of a single pixel counts, and single pixels at the border, as of dark water, do not.
    """
    beyond = np.pad(zero, 2, mode="edge")
    opened = ndimage.binary_opening(beyond, np.ones((3, 3)))
    return np.asarray(opened[2:-2, 2:-2])


def _reaching(between: NDArray[np.bool_], zero: NDArray[np.bool_]) -> int:
    """Count the pixels of areas that come near to pixels of 0."""
    square = np.ones((3, 3))
    areas, count = ndimage.label(between, square)
    touched = np.zeros(count + 1, np.bool_)
    touched[areas[ndimage.binary_dilation(zero, square, iterations=_RINGING)]] = True
    touched[0] = False
    return int(touched[areas].sum())


def _is_one_color(colors: NDArray[Any]) -> bool:
    """Return True if (B, n) pixels have one colour, n >= 1."""
    if not len(colors):
        return False
    tolerance = _COLOR_TOLERANCE if colors.dtype == np.uint8 else 0
    middle = np.median(colors, axis=1, keepdims=True)
    same = (np.abs(colors - middle) <= tolerance) | (np.isnan(colors) & np.isnan(middle))
    return bool(same.all(axis=0).mean() >= _LEAST_ONE_COLOR)


def _share_at_border(zero: NDArray[np.bool_]) -> float:
    areas, _ = ndimage.label(zero)
    edges = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    return float(np.isin(areas, np.setdiff1d(edges, 0)).sum() / zero.sum())


def _is_edge(pixels: NDArray[Any], full: NDArray[np.bool_]) -> NDArray[np.bool_]:
    size = 2 * SOFT_EDGE + 1
    near_zero = ndimage.minimum_filter(pixels, size) == 0
    return np.asarray(near_zero & ndimage.maximum_filter(full, size))


def _largest(dtype: np.dtype[Any]) -> float:
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def alpha_cores(height: int, width: int) -> Iterator[Window]:
    """Windows that a band is sampled at.

    They are spread evenly, and cover all of scenes up to 4096 pixels: decimation would miss small
    areas of data, and reading all of a huge scene would take minutes.
    """
    for rows, cols in product(_spread(height), _spread(width)):
        yield Window.from_slices(rows, cols)


def _spread(length: int) -> list[tuple[int, int]]:
    if length <= _WINDOW * _WINDOWS_PER_SIDE:
        return list(pairwise([*range(0, length, _WINDOW), length]))
    starts = np.linspace(0, length - _WINDOW, _WINDOWS_PER_SIDE).astype(int).tolist()
    return [(start, start + _WINDOW) for start in starts]
