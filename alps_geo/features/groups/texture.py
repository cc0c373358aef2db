"""Energy of the detail around each pixel, at several widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.group import FeatureGroup, Part, PixelSum
from alps_geo.features.images import Blur, blur_reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.features.group import NamedColumns
    from alps_geo.features.images import CorePixels
    from alps_geo.features.sums import RegionSums

SCALES = (1.0, 2.0, 4.0)
"""Widths (sigma, in pixels) of the detail."""

_FLOOR = 0.01


def texture_images(standard: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Log energy of the detail around each pixel, one image for each of `SCALES`.

    The detail is the difference between the brightness, the mean of all bands, and its Gaussian
    average of that width; its energy is averaged over twice the width. Pixels without data take no
    part.

    Parameters
    ----------
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands.
    valid : ndarray of bool, shape (H, W)

    Returns
    -------
    ndarray of float32, shape (len(SCALES), H, W)
        Finite everywhere.
    """
    brightness = standard.mean(axis=0)
    images = []
    for sigma in SCALES:
        detail = brightness - Blur(valid, sigma).of(brightness)
        energy = Blur(valid, 2 * sigma).of(detail * detail)
        images.append(np.log(_FLOOR + np.sqrt(np.maximum(energy, 0))))
    return np.stack(images)


def _images(pixels: CorePixels) -> NDArray[np.float32]:
    return texture_images(pixels.standard, pixels.valid)[:, *pixels.inside]


def _columns(segments: RegionSums, _: Sequence[str]) -> NamedColumns:
    means = segments.mean("texture").T
    return {f"texture.{scale:g}": column for scale, column in zip(SCALES, means, strict=True)}


GROUP = FeatureGroup(
    "texture",
    _columns,
    (Part("texture", weight=0.4),),
    sums=(
        PixelSum(
            "texture",
            _images,
            width=lambda _: len(SCALES),
            reach=max(blur_reach(sigma) + blur_reach(2 * sigma) for sigma in SCALES),
        ),
    ),
)
