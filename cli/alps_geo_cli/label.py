"""``alps-geo label``: GeoTIFFs in, labelled maps out."""

from __future__ import annotations

from typing import Annotated

from alps_geo_cli.console import Tail
from alps_geo_cli.options import Chosen, How, Results, Scenes, SettingsOffer
from alps_geo_cli.run import run_label


def label(
    *,
    scenes: Scenes = None,
    out: Results = None,
    how: How,
    chosen: Annotated[Chosen, SettingsOffer(fits=True, writes=True)],
    tail: Tail,
) -> None:
    """Label rasters: masks by Segment Anything, classes by clustering their features.

    Writes labels.tif, segments.tif, segments.gpkg and preview.png per scene into a folder of its
    name, and clusters.npz and run.json beside them. A run that was stopped goes on where it
    stopped when the same command is given again; `alps-geo status` says how far it is.
    """
    run_label(scenes, out, how, chosen, tail)
