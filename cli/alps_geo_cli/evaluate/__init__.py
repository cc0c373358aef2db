"""``alps-geo evaluate``: labels measured."""

from __future__ import annotations

import typer

from alps_geo_cli.evaluate.agreement import agreement
from alps_geo_cli.evaluate.objects import objects
from alps_geo_cli.evaluate.quality import quality
from alps_geo_cli.evaluate.seams import seams
from alps_geo_cli.groups import spread

evaluate = typer.Typer(
    name="evaluate",
    help="Measure labels and segments: against ground truth, along tile borders, against others.",
    no_args_is_help=True,
)
for command in (quality, objects, seams, agreement):
    evaluate.command()(spread(command))
