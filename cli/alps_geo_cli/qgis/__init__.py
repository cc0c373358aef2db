"""``alps-geo qgis``: the program inside QGIS."""

from __future__ import annotations

from alps_geo_cli.groups import spread
from alps_geo_cli.help import App
from alps_geo_cli.qgis.install import install
from alps_geo_cli.qgis.uninstall import uninstall

qgis = App(
    name="qgis",
    help="""Use this program inside QGIS: install a plugin with a Processing provider.

    Examples
    --------
    alps-geo qgis install
    alps-geo qgis install --profile work
    """,
    no_args_is_help=True,
)
for command in (install, uninstall):
    qgis.command()(spread(command))
