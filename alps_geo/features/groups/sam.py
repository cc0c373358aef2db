"""Mean embedding of the mask generator, as ALPS compares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.features.group import FeatureGroup, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.features.group import NamedColumns
    from alps_geo.features.sums import RegionSums


def _columns(segments: RegionSums, _: Sequence[str]) -> NamedColumns:
    return {f"sam.{i}": column for i, column in enumerate(segments.embedding("sam").T)}


GROUP = FeatureGroup(
    "sam", _columns, (Part("sam", weight=0.8, is_embedding=True),), embedding="sam"
)
