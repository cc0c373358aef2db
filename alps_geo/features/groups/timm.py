"""Mean embedding of a backbone of timm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.features.group import FeatureGroup, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.features.group import NamedColumns
    from alps_geo.features.sums import RegionSums


def _columns(segments: RegionSums, _: Sequence[str]) -> NamedColumns:
    return {f"timm.{i}": column for i, column in enumerate(segments.embedding("backbone").T)}


GROUP = FeatureGroup(
    "timm", _columns, (Part("timm", weight=0.8, is_embedding=True),), embedding="backbone"
)
