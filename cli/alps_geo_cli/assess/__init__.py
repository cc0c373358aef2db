"""``alps-geo assess``: the accuracy of a map, estimated from a sample."""

from __future__ import annotations

from alps_geo_cli.assess.report import report
from alps_geo_cli.assess.sample import sample
from alps_geo_cli.groups import spread
from alps_geo_cli.help import App

assess = App(
    name="assess",
    help="""Estimate accuracy and areas of a map from points that a person has checked.

    Examples
    --------
    alps-geo assess sample results --size 400
    alps-geo assess report results --reference results/sample.gpkg
    """,
    no_args_is_help=True,
)
for command in (sample, report):
    assess.command()(spread(command))
