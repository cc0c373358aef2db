"""Whether a band that is tagged as alpha is transparency, or data that got the wrong tag."""

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
_SOFT_EDGE = 2

# The windows that are looked at, in pixels, and how many along each side of the scene.
_WINDOW = 512
_WINDOWS_PER_SIDE = 8

# Values that "full" has in an alpha band, besides the largest of its dtype.
_OPAQUE = (1, 255, 65535)


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
    """Whether a band that is tagged as alpha is: it holds nothing but 0 and full.

    Values between are allowed only as the soft edge that resampling leaves, two pixels from both
    0 and full.

    Parameters
    ----------
    samples : iterable of AlphaSample
        No more of them are taken than are needed.
    """
    full = None
    for sample in samples:
        pixels, core = sample.pixels, sample.core
        between = (pixels != 0) & (pixels != pixels.max())
        if between.any() and (between & ~_is_edge(pixels))[core].any():
            return False
        if not pixels[core].any():
            continue
        full = pixels.max() if full is None else full
        if pixels.max() != full or full not in (*_OPAQUE, _largest(pixels.dtype)):
            return False
    return True


def _is_edge(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    size = 2 * _SOFT_EDGE + 1
    beside_zero = ndimage.minimum_filter(pixels, size) == 0
    beside_full = ndimage.maximum_filter(pixels, size) == pixels.max()
    return np.asarray(beside_zero & beside_full)


def _largest(dtype: np.dtype[Any]) -> float:
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def alpha_cores(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns to judge a band by.

    They are spread evenly, and cover all of scenes up to 4096 pixels: decimation would miss small
    areas of data, and reading all of a huge scene would take minutes.
    """
    for rows, cols in product(_spread(height), _spread(width)):
        yield slice(*rows), slice(*cols)


def with_edge(
    rows: slice, cols: slice, height: int, width: int
) -> tuple[Window, tuple[slice, slice]]:
    """Window that holds a core and its neighbours, inside a scene, and the core inside of it."""
    outer = [
        (max(0, core.start - _SOFT_EDGE), min(length, core.stop + _SOFT_EDGE))
        for core, length in ((rows, height), (cols, width))
    ]
    inner = [
        slice(core.start - first, core.stop - first)
        for core, (first, _) in zip((rows, cols), outer, strict=True)
    ]
    return Window.from_slices(*outer), (inner[0], inner[1])


def _spread(length: int) -> list[tuple[int, int]]:
    if length <= _WINDOW * _WINDOWS_PER_SIDE:
        return list(pairwise([*range(0, length, _WINDOW), length]))
    starts = np.linspace(0, length - _WINDOW, _WINDOWS_PER_SIDE).astype(int).tolist()
    return [(start, start + _WINDOW) for start in starts]
