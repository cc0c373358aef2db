"""``alps-geo qgis uninstall``: the plugin, removed from a profile of QGIS."""

from __future__ import annotations

import typer

from alps_geo_cli.console import reported_errors
from alps_geo_cli.qgis.profile import ProfileOptions


def uninstall(*, chosen: ProfileOptions) -> None:
    """Remove the plugin from the user's profile of QGIS; runs and their results stay.

    Examples
    --------
    alps-geo qgis uninstall
    """
    with reported_errors(debug=chosen.debug):
        from alps_geo.qgis.install import uninstall_plugin

        folders = [uninstall_plugin(each) for each in chosen.folders()]
    if not chosen.quiet:
        for folder in folders:
            typer.echo(f"removed {folder}")
