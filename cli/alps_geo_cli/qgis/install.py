"""``alps-geo qgis install``: the plugin, put into a profile of QGIS."""

from __future__ import annotations

import typer

from alps_geo_cli.console import reported_errors
from alps_geo_cli.qgis.profile import ProfileOptions


def install(*, chosen: ProfileOptions) -> None:
    """Install the plugin: the Processing provider alps-geo, which runs this very program.

    It is copied into the user's profile of QGIS 3.22 or newer, and replaces an earlier one. Give
    the command again after an upgrade, or after this environment has moved.

    Examples
    --------
    alps-geo qgis install
    alps-geo qgis install --profile work
    """
    with reported_errors(debug=chosen.debug):
        from alps_geo.qgis.install import NAME, install_plugin
        from alps_geo_cli.qgis.commands import this_program

        installation = this_program()
        folders = [install_plugin(each, installation) for each in chosen.folders()]
    if chosen.quiet:
        return
    for folder in folders:
        typer.echo(folder)
    typer.echo(
        f"It runs {installation.program}. Start QGIS again, and tick alps-geo in Plugins > Manage "
        f"and Install Plugins > Installed; for qgis_process: qgis_process plugins enable {NAME}"
    )
