"""What describes a pixel beside its bands: images of texture and context, in the scene's scale.

Every image is a plain function of a few pixels around, so that sums over pixels add up, and tiles
that overlap agree wherever both see enough of the surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.scene import TilePixels

CLIP = 4.0
"""Standardised bands end here, in standard deviations: a glint or a dead pixel weighs no more."""

TEXTURE_SCALES = (1.0, 2.0, 4.0)
"""Widths (sigma, in pixels) of the detail that the texture images measure."""

CONTEXT_SCALES = (8.0, 16.0)
"""Widths (sigma, in pixels) of the surroundings that the context images average."""

_WINSOR = (1.0, 99.0)
_TEXTURE_FLOOR = 0.01
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


def texture_images(standard: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Log energy of the detail around each pixel, one image for each of `TEXTURE_SCALES`.

    The detail is what a Gaussian of that width takes from the brightness, the mean of all bands;
    its energy is averaged over twice the width. Pixels without data take no part.

    Parameters
    ----------
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands.
    valid : ndarray of bool, shape (H, W)

    Returns
    -------
    ndarray of float32, shape (len(TEXTURE_SCALES), H, W)
        Finite everywhere.
    """
    brightness = standard.mean(axis=0)
    images = []
    for sigma in TEXTURE_SCALES:
        detail = brightness - _Blur(valid, sigma).of(brightness)
        energy = _Blur(valid, 2 * sigma).of(detail * detail)
        images.append(np.log(_TEXTURE_FLOOR + np.sqrt(np.maximum(energy, 0))))
    return np.stack(images)


def context_images(standard: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of each standardised band around each pixel, for each of `CONTEXT_SCALES`.

    Returns
    -------
    ndarray of float32, shape (len(CONTEXT_SCALES) * B, H, W)
        Scale by scale, band by band.
    """
    return np.stack(
        [
            blur.of(band)
            for blur in (_Blur(valid, sigma) for sigma in CONTEXT_SCALES)
            for band in standard
        ]
    )


class _Blur:
    """A Gaussian average over valid pixels."""

    def __init__(self, valid: NDArray[np.bool_], sigma: float) -> None:
        self._sigma = sigma
        self._valid = valid
        self._weight = None if valid.all() else self._filter(valid.astype(np.float32))

    def of(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._weight is None:
            return self._filter(image)
        total = self._filter(np.where(self._valid, image, np.float32(0)))
        mean: NDArray[np.float32] = np.divide(total, np.maximum(self._weight, np.float32(1e-6)))
        return mean

    def _filter(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._sigma < _BOXES_FROM:
            return np.asarray(gaussian_filter(image, self._sigma, radius=_reach(self._sigma)))
        # Three box filters are close to a Gaussian, at a price that does not grow with its width.
        for _ in range(3):
            image = uniform_filter(image, _box(self._sigma))
        return np.asarray(image)


def _reach(sigma: float) -> int:
    """How far a Gaussian average of this width looks, in pixels."""
    return round(3 * sigma) if sigma < _BOXES_FROM else 3 * (_box(sigma) // 2)


def _box(sigma: float) -> int:
    """Side of the box filter of which three make a Gaussian of this width, in pixels."""
    return 2 * round((sqrt(4 * sigma**2 + 1) - 1) / 2) + 1


TEXTURE_REACH = max(_reach(sigma) + _reach(2 * sigma) for sigma in TEXTURE_SCALES)
"""How far a pixel's texture looks, in pixels."""

CONTEXT_REACH = max(map(_reach, CONTEXT_SCALES))
"""How far a pixel's context looks, in pixels."""
