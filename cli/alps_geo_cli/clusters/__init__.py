"""``alps-geo clusters``: the clusters of a finished run, understood and changed."""

from __future__ import annotations

import typer

from alps_geo_cli.clusters.adopt import adopt
from alps_geo_cli.clusters.gallery import gallery
from alps_geo_cli.clusters.merge import merge
from alps_geo_cli.clusters.name import name
from alps_geo_cli.clusters.recolor import recolor
from alps_geo_cli.clusters.split import split
from alps_geo_cli.clusters.suggest import suggest
from alps_geo_cli.groups import spread

clusters = typer.Typer(
    name="clusters",
    help="Understand the clusters of a finished run, name, merge, split and recolour them, "
    "and adopt edits made in QGIS: in seconds, without SAM.",
    no_args_is_help=True,
)
for command in (name, merge, split, recolor, adopt, suggest, gallery):
    clusters.command()(spread(command))
