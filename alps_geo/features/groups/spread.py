"""Standard deviation of each band inside a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.features.group import SQUARE_SUM, FeatureGroup, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.features.group import NamedColumns
    from alps_geo.features.sums import RegionSums


def _columns(segments: RegionSums, bands: Sequence[str]) -> NamedColumns:
    stds = zip(bands, segments.band_stds.T, strict=True)
    return {f"spread.{band}": column for band, column in stds}


GROUP = FeatureGroup(
    "spread",
    _columns,
    (Part("spread", weight=0.3),),
    sums=(SQUARE_SUM,),
    in_band_units=True,
)
