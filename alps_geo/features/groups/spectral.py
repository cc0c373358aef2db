"""Mean of each band, and normalised differences where the bands for them are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.group import FeatureGroup, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.features.group import NamedColumns
    from alps_geo.features.sums import RegionSums

INDICES = {"ndvi": ("nir", "red"), "ndwi": ("green", "nir")}
"""The two bands of each normalised difference."""


def _columns(segments: RegionSums, bands: Sequence[str]) -> NamedColumns:
    means = dict(zip(bands, segments.band_means.T, strict=True))
    columns = {f"mean.{band}": values for band, values in means.items()}
    for index, (plus, minus) in INDICES.items():
        if plus in means and minus in means:
            total = means[plus] + means[minus]
            usable = np.abs(total) > 1e-9 * np.abs(total).max(initial=0)
            ratio = (means[plus] - means[minus]) / np.where(usable, total, 1)
            # Outside -1..1 there are only artefacts of bands that go below zero.
            columns[f"index.{index}"] = np.where(usable, np.clip(ratio, -1, 1), 0)
    return columns


GROUP = FeatureGroup(
    "spectral",
    _columns,
    # Contrast holds what colour says apart from brightness.
    (Part("mean", weight=1.0, contrast=0.5), Part("index", weight=0.3)),
    in_band_units=True,
)
