"""``alps-geo evaluate``: labels measured."""

from __future__ import annotations

import typer

from alps_geo_cli.evaluate.agreement import agreement
from alps_geo_cli.evaluate.quality import quality
from alps_geo_cli.evaluate.seams import seams
from alps_geo_cli.groups import spread

evaluate = typer.Typer(
    name="evaluate",
    help="Measure labels: against ground truth, along tile borders, against other labels.",
    no_args_is_help=True,
)
for command in (quality, seams, agreement):
    evaluate.command()(spread(command))
