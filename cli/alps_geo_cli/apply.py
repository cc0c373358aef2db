"""``alps-geo apply``: label scenes by a cluster model that was fitted before."""

from __future__ import annotations

from typing import Annotated

import typer

from alps_geo_cli.console import RunPrinting
from alps_geo_cli.options import Chosen, FlagOptions, Results, Scenes, SettingsGroup, Work
from alps_geo_cli.report import WithReport
from alps_geo_cli.run import Target, run_label
from alps_geo_cli.shares import ShareOptions, run_share


def apply(
    *,
    scenes: Scenes = None,
    out: Results = None,
    work: Work = None,
    flags: FlagOptions,
    chosen: Annotated[Chosen, SettingsGroup(fits=False, writes=True)],
    shares: ShareOptions,
    report: WithReport = False,
    printing: RunPrinting,
) -> None:
    """Label rasters by a cluster model that was fitted before, so that clusters mean the same.

    Writes what `alps-geo label` writes. Scenes need the bands of those that the model was fitted
    to, in any order, in the same units: the same data type, or scale and offset tags in both.

    Examples
    --------
    alps-geo apply other.tif --clusters-from model.npz --out other
    alps-geo apply other.tif --clusters-from results/clusters.npz --out other
    """
    if chosen.values["clusters_from"] is None:
        raise typer.BadParameter("give a cluster model", param_hint="--clusters-from")
    target = Target.of(scenes, out, work)
    if shares.check(flags):
        run_share(target.scenes, target.place, shares, flags, chosen, printing)
        return
    run_label(target, flags, chosen, printing, report=report)
