"""The program `alps-geo`."""

from __future__ import annotations

from typing import Annotated

import typer

from alps_geo_cli.apply import apply
from alps_geo_cli.assess import assess
from alps_geo_cli.classify import classify
from alps_geo_cli.clusters import clusters
from alps_geo_cli.console import EXIT_CODES
from alps_geo_cli.dataset import dataset
from alps_geo_cli.evaluate import evaluate
from alps_geo_cli.export import export
from alps_geo_cli.fit import fit
from alps_geo_cli.groups import spread
from alps_geo_cli.help import App
from alps_geo_cli.label import label
from alps_geo_cli.models import models
from alps_geo_cli.plan import plan
from alps_geo_cli.qgis import qgis
from alps_geo_cli.report import report
from alps_geo_cli.similar import similar
from alps_geo_cli.status import status
from alps_geo_cli.train import train

app = App(
    name="alps-geo",
    help="""Turn georeferenced imagery into labelled maps without a single annotation.

    Examples
    --------
    alps-geo label scene.tif --out results
    alps-geo status results
    alps-geo clusters gallery results
    alps-geo clusters name results 3=water 5="bare soil"
    alps-geo --install-completion
    """,
    epilog=f"Exit codes: {EXIT_CODES}",
    no_args_is_help=True,
)


def _print_version(asked: bool) -> None:
    if asked:
        from alps_geo_cli.version import version_lines

        typer.echo("\n".join(version_lines()))
        raise typer.Exit


@app.callback()
def _alps_geo(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the versions of alps-geo, Python, torch and GDAL, and the device.",
        ),
    ] = False,
) -> None:
    pass


app.command()(spread(label))
app.command()(spread(fit))
app.command()(spread(apply))
app.command()(spread(plan))
app.command()(status)
app.command()(spread(classify))
app.command()(spread(similar))
app.command()(report)
app.command()(spread(export))
app.command()(spread(models))
app.add_typer(clusters)
app.add_typer(dataset)
app.add_typer(evaluate)
app.add_typer(assess)
app.add_typer(qgis)
app.add_typer(train)


def run() -> None:
    """Run the program; the entry point of the installed command."""
    app()
