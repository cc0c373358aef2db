"""Standard deviation of each band inside a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.group import FeatureGroup, Part, PixelSum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.features.group import NamedColumns
    from alps_geo.features.images import CorePixels
    from alps_geo.features.sums import RegionSums


def _squares(pixels: CorePixels) -> NDArray[np.float64]:
    return np.asarray(pixels.core_bands**2)


def _columns(segments: RegionSums, bands: Sequence[str]) -> NamedColumns:
    variance = segments.mean("squares") - segments.band_means**2
    stds = np.sqrt(np.maximum(variance, 0)).T
    return {f"spread.{band}": column for band, column in zip(bands, stds, strict=True)}


GROUP = FeatureGroup(
    "spread",
    _columns,
    (Part("spread", weight=0.3),),
    sums=(PixelSum("squares", _squares, width=lambda bands: bands),),
    in_band_units=True,
)
