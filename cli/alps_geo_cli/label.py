"""``alps-geo label``: GeoTIFFs in, labelled maps out."""

from __future__ import annotations

from typing import Annotated

from alps_geo_cli.console import RunPrinting
from alps_geo_cli.options import Chosen, FlagOptions, Results, Scenes, SettingsGroup, Work
from alps_geo_cli.report import WithReport
from alps_geo_cli.run import Target, run_label
from alps_geo_cli.shares import ShareOptions, run_share


def label(
    *,
    scenes: Scenes = None,
    out: Results = None,
    work: Work = None,
    flags: FlagOptions,
    chosen: Annotated[Chosen, SettingsGroup(fits=True, writes=True)],
    shares: ShareOptions,
    report: WithReport = False,
    printing: RunPrinting,
) -> None:
    """Label rasters: masks by Segment Anything, clusters by their features.

    Writes labels.tif, segments.tif, segments.gpkg and a preview per scene into a folder of its
    name, and clusters.npz and run.json next to them. A run that was stopped goes on where it
    stopped when the same command is given again; `alps-geo status` says how far it is.

    Examples
    --------
    alps-geo label scene.tif --out results
    alps-geo label scenes/ --out results --clusters 12 --workers 2
    alps-geo label scene.tif --out results --preset draft
    alps-geo label scene.tif --out results --config results/run.json
    alps-geo label scene.tif --out results --only tiles --shard 3/16
    """
    target = Target.of(scenes, out, work)
    if shares.check(flags):
        run_share(target.scenes, target.place, shares, flags, chosen, printing)
        return
    run_label(target, flags, chosen, printing, report=report)
