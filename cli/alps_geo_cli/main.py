"""The program `alps-geo`."""

from __future__ import annotations

from typing import Annotated

import typer

from alps_geo import __version__
from alps_geo_cli.apply import apply
from alps_geo_cli.assess import assess
from alps_geo_cli.classify import classify
from alps_geo_cli.clusters import clusters
from alps_geo_cli.dataset import dataset
from alps_geo_cli.evaluate import evaluate
from alps_geo_cli.export import export
from alps_geo_cli.fit import fit
from alps_geo_cli.groups import spread
from alps_geo_cli.label import label
from alps_geo_cli.models import models
from alps_geo_cli.report import report
from alps_geo_cli.similar import similar
from alps_geo_cli.status import status
from alps_geo_cli.train import train

app = typer.Typer(
    name="alps-geo",
    help="Turn georeferenced imagery into labelled maps without a single annotation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"alps-geo {__version__}")
        raise typer.Exit


@app.callback()
def _alps_geo(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Turn georeferenced imagery into labelled maps without a single annotation."""


app.command()(spread(label))
app.command()(spread(fit))
app.command()(spread(apply))
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
app.add_typer(train)


def run() -> None:
    """Run the program; the entry point of the installed command."""
    app()
