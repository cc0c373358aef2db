"""Images of which segments are described: bands on the scale of the scene, and averages of them.

Every image depends on a few pixels around each, and nothing else, so that sums over pixels add up,
and tiles that overlap agree wherever both see enough of the surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from alps_geo.windows import origin, within

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.scene import TilePixels

CLIP = 4.0
"""Standardised bands end here, in standard deviations: a glint or a dead pixel counts no more."""

_WINSOR = (1.0, 99.0)
_BOXES_FROM = 3.0


@dataclass(frozen=True)
class BandScale:
    """Level and spread of each band over a whole scene, the same for all of its tiles.

    Attributes
    ----------
    mean, std : ndarray of float64, shape (B,)
        In the bands' own units; `std` is positive.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def standardise(
        self, bands: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return (B, H, W) bands in standard deviations, within `CLIP` of 0; 0 where invalid."""
        mean = self.mean.astype(np.float32)[:, None, None]
        std = self.std.astype(np.float32)[:, None, None]
        standard: NDArray[np.float32] = np.clip((bands - mean) / std, -CLIP, CLIP)
        standard[:, ~valid] = 0
        return standard


def band_scale(pixels: TilePixels) -> BandScale:
    """Measure level and spread of the bands over the valid pixels of a look at the whole scene.

    The extreme 1 % at each end count as the percentile there, so that a few wild values do not
    decide the spread. A band that is constant gets the spread 1.
    """
    if not pixels.valid.any():
        count = len(pixels.bands)
        return BandScale(np.zeros(count), np.ones(count))
    values = pixels.bands[:, pixels.valid].astype(np.float64)
    low, high = np.percentile(values, _WINSOR, axis=1)
    values = np.clip(values, low[:, None], high[:, None])
    std = values.std(axis=1)
    # A spread that is nothing but rounding counts as none.
    constant = std <= 1e-6 * np.maximum(np.abs(values).max(axis=1), 1e-30)
    # What varies in less than 1 % of the pixels still varies.
    spare = pixels.bands[:, pixels.valid].astype(np.float64).std(axis=1)
    std = np.where(constant, np.where(spare > 0, spare, 1.0), std)
    return BandScale(values.mean(axis=1), std)


@dataclass(frozen=True, eq=False)
class CorePixels:
    """Pixels of a tile's core, with a margin around it.

    Attributes
    ----------
    pixels : TilePixels
        The pixels of `window`.
    window, core : rasterio.windows.Window
        The pixels that were read, and the core inside them, in scene pixels.
    scale : BandScale
        Level and spread of the scene's bands.
    """

    pixels: TilePixels
    window: Window
    core: Window
    scale: BandScale

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where the scene has data, shape (H, W) of the window."""
        return self.pixels.valid

    @property
    def inside(self) -> tuple[slice, slice]:
        """Slices of the core in arrays that cover the window."""
        return within(self.core, self.window)

    @property
    def origin(self) -> tuple[int, int]:
        """The scene's row and column of the core's first pixel."""
        return origin(self.core)

    @cached_property
    def standard(self) -> NDArray[np.float32]:
        """Standardised bands, shape (B, H, W) of the window; see `BandScale.standardise`."""
        return self.scale.standardise(self.pixels.bands, self.pixels.valid)

    @cached_property
    def core_bands(self) -> NDArray[np.float64]:
        """The bands, shape (B, h, w) of the core."""
        return self.pixels.bands[:, *self.inside].astype(np.float64)


class Blur:
    """A Gaussian average over valid pixels, near enough; see `blur_reach` for how far it looks."""

    def __init__(self, valid: NDArray[np.bool_], sigma: float) -> None:
        self._sigma = sigma
        self._valid = valid
        self._weight = None if valid.all() else self._filter(valid.astype(np.float32))

    def of(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average a (H, W) image."""
        if self._weight is None:
            return self._filter(image)
        total = self._filter(np.where(self._valid, image, np.float32(0)))
        mean: NDArray[np.float32] = np.divide(total, np.maximum(self._weight, np.float32(1e-6)))
        return mean

    def _filter(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._sigma < _BOXES_FROM:
            return np.asarray(gaussian_filter(image, self._sigma, radius=blur_reach(self._sigma)))
        # Three box filters are close to a Gaussian, at a price that does not grow with its width.
        for _ in range(3):
            image = uniform_filter(image, _box(self._sigma))
        return np.asarray(image)


def blur_reach(sigma: float) -> int:
    """Reach of a Gaussian average of this width, in pixels."""
    return round(3 * sigma) if sigma < _BOXES_FROM else 3 * (_box(sigma) // 2)


def _box(sigma: float) -> int:
    """Side of the box filter of which three make a Gaussian of this width, in pixels."""
    return 2 * round((sqrt(4 * sigma**2 + 1) - 1) / 2) + 1
