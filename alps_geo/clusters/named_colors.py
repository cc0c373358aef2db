"""Colours of the usual names of land cover, and of things on aerial images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alps_geo.clusters.colors import Color

USUAL: Mapping[str, Color] = {
    **dict.fromkeys(("water", "river", "lake", "pond", "reservoir", "canal"), (30, 90, 160)),
    **dict.fromkeys(("sea", "ocean"), (10, 50, 120)),
    **dict.fromkeys(("pool",), (60, 210, 240)),
    **dict.fromkeys(("wetland", "marsh", "swamp", "mangrove"), (80, 150, 150)),
    **dict.fromkeys(("forest", "tree", "wood", "woodland", "canopy"), (30, 100, 40)),
    **dict.fromkeys(("shrub", "bush", "scrub", "heath"), (110, 130, 50)),
    **dict.fromkeys(("grass", "grassland", "lawn", "meadow", "pasture"), (150, 200, 90)),
    **dict.fromkeys(("vegetation", "green"), (90, 170, 70)),
    **dict.fromkeys(("crop", "cropland", "field", "farmland", "agriculture"), (250, 230, 100)),
    **dict.fromkeys(("orchard", "vineyard", "plantation"), (140, 140, 100)),
    **dict.fromkeys(("soil", "bare", "barren", "ground", "earth", "mud"), (200, 160, 130)),
    **dict.fromkeys(("sand", "beach", "desert", "dune"), (250, 230, 170)),
    **dict.fromkeys(("rock", "gravel", "quarry", "scree"), (120, 100, 90)),
    **dict.fromkeys(("road", "street", "highway", "asphalt", "runway"), (80, 80, 90)),
    **dict.fromkeys(("path", "track", "trail"), (240, 190, 170)),
    **dict.fromkeys(("railway", "rail"), (60, 30, 70)),
    **dict.fromkeys(
        ("pavement", "paved", "parking", "concrete", "impervious", "sealed", "sidewalk"),
        (170, 170, 180),
    ),
    **dict.fromkeys(("building", "house", "roof", "urban", "settlement"), (180, 10, 30)),
    **dict.fromkeys(("car", "vehicle", "truck"), (230, 100, 200)),
    **dict.fromkeys(("ship", "boat"), (180, 80, 210)),
    **dict.fromkeys(("snow", "ice", "glacier"), (180, 230, 240)),
    **dict.fromkeys(("cloud",), (130, 160, 240)),
    **dict.fromkeys(("shadow", "shade"), (30, 30, 40)),
    **dict.fromkeys(("solar", "panel"), (40, 40, 180)),
    **dict.fromkeys(("burnt", "burned", "burn"), (80, 20, 20)),
}
"""Colour by name, in lower case and the singular."""


def usual_color(name: str) -> Color | None:
    """Return the colour that is usual for a name; None if none of its words is a usual name.

    >>> usual_color("Deciduous forest") == usual_color("trees") == USUAL["forest"]
    True

    The last such word counts, which is what the thing is: a forest road is a road.
    """
    for word in reversed(re.findall(r"[^\W\d_]+", name.casefold())):
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in USUAL:
                return USUAL[form]
    return None
