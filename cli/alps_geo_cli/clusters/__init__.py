"""``alps-geo clusters``: the clusters of a finished run, understood and changed."""

from __future__ import annotations

from alps_geo_cli.clusters.adopt import adopt
from alps_geo_cli.clusters.gallery import gallery
from alps_geo_cli.clusters.merge import merge
from alps_geo_cli.clusters.name import name
from alps_geo_cli.clusters.recolor import recolor
from alps_geo_cli.clusters.split import split
from alps_geo_cli.clusters.suggest import suggest
from alps_geo_cli.groups import spread
from alps_geo_cli.help import App

clusters = App(
    name="clusters",
    help="""Understand the clusters of a finished run, name, merge, split and recolour them, and
    adopt edits made in QGIS: in seconds, without SAM.

    Examples
    --------
    alps-geo clusters gallery results
    alps-geo clusters name results 3=water 5="bare soil"
    alps-geo clusters merge results 3 7 12
    """,
    no_args_is_help=True,
)
for command in (name, merge, split, recolor, adopt, suggest, gallery):
    clusters.command()(spread(command))
