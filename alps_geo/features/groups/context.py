"""Mean of each band around each pixel, at several widths.

Neighbouring segments count by their pixels nearby, and not one by one.
"""

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

SCALES = (8.0, 16.0)
"""Widths (sigma, in pixels) of the surroundings."""


def context_images(standard: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of each standardised band around each pixel, for each of `SCALES`.

    Returns
    -------
    ndarray of float32, shape (len(SCALES) * B, H, W)
        Scale by scale, band by band.
    """
    blurs = (Blur(valid, sigma) for sigma in SCALES)
    return np.stack([blur.of(band) for blur in blurs for band in standard])


def _images(pixels: CorePixels) -> NDArray[np.float64]:
    """Context images over the core, in the bands' own units."""
    images = context_images(pixels.standard, pixels.valid)[:, *pixels.inside].astype(np.float64)
    scale = pixels.scale
    std, mean = (np.tile(each, len(SCALES))[:, None, None] for each in (scale.std, scale.mean))
    return np.asarray(images * std + mean)


def _columns(segments: RegionSums, bands: Sequence[str]) -> NamedColumns:
    names = [f"context.{band}.{scale:g}" for scale in SCALES for band in bands]
    return dict(zip(names, segments.mean("context").T, strict=True))


GROUP = FeatureGroup(
    "context",
    _columns,
    (Part("context", weight=0.3),),
    sums=(
        PixelSum(
            "context",
            _images,
            width=lambda bands: len(SCALES) * bands,
            reach=max(map(blur_reach, SCALES)),
        ),
    ),
    in_band_units=True,
)
