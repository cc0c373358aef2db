"""``alps-geo assess``: the accuracy of a map, estimated from a sample."""

from __future__ import annotations

import typer

from alps_geo_cli.assess.report import report
from alps_geo_cli.assess.sample import sample
from alps_geo_cli.groups import spread

assess = typer.Typer(
    name="assess",
    help="Estimate accuracy and areas of a map from points that a person has checked.",
    no_args_is_help=True,
)
for command in (sample, report):
    assess.command()(spread(command))
