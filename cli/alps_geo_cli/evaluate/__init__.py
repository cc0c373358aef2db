"""``alps-geo evaluate``: labels measured."""

from __future__ import annotations

from alps_geo_cli.evaluate.agreement import agreement
from alps_geo_cli.evaluate.objects import objects
from alps_geo_cli.evaluate.quality import quality
from alps_geo_cli.evaluate.seams import seams
from alps_geo_cli.groups import spread
from alps_geo_cli.help import App

evaluate = App(
    name="evaluate",
    help="""Measure labels and segments: against ground truth, along tile borders, against others.

    Examples
    --------
    alps-geo evaluate quality results/scene/labels.tif --truth classes.tif
    alps-geo evaluate objects results --truth buildings.gpkg
    """,
    no_args_is_help=True,
)
for command in (quality, objects, seams, agreement):
    evaluate.command()(spread(command))
