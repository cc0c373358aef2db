"""``alps-geo qgis``: the program inside QGIS."""

from __future__ import annotations

import typer

from alps_geo_cli.groups import spread
from alps_geo_cli.qgis.install import install
from alps_geo_cli.qgis.uninstall import uninstall

qgis = typer.Typer(
    name="qgis",
    help="Use this program inside QGIS: install a plugin with a Processing provider.",
    no_args_is_help=True,
)
for command in (install, uninstall):
    qgis.command()(spread(command))
