"""``alps-geo report``: one page that shows a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alps_geo.outputs.names import REPORT
from alps_geo.settings import OUTPUT
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import Debug, Quiet, print_note, reported_errors
from alps_geo_cli.paths import typed_path

WithReport = Annotated[
    bool,
    typer.Option(
        "--report",
        help=f"Write {REPORT} into the folder at the end, as `alps-geo report` does: one page that "
        "shows the run.",
        rich_help_panel=OUTPUT,
    ),
]


def report(
    *,
    run: Run,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="FILE",
            help="The page.",
            show_default=f"RUN/{REPORT}",
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show a finished run on one HTML page of less than 15 MB that needs nothing else.

    Imagery, labels and outlines of each scene to swipe, fade and zoom; clusters with areas, sizes
    and typical segments; classes; time, settings, notes and failures; and quality and accuracy,
    where `evaluate quality` and `assess report` have left their files in RUN. Of scenes that have
    moved it shows the labels.

    Examples
    --------
    alps-geo report results
    alps-geo report results --out page.html
    """
    page = out or run / REPORT
    with reported_errors(debug=debug):
        write_report(run, page, quiet=quiet)
    if not quiet:
        typer.echo(page)


def write_report(run: Path, page: Path, *, quiet: bool) -> None:
    """Write the page of a run under a progress bar, and note the parts that it does not show."""
    from alps_geo.review.report import make_report
    from alps_geo_cli.progress import counting

    with counting("scenes", quiet=quiet) as listen:
        problems = make_report(run, page, listen)
    if not quiet:
        for problem in problems:
            print_note(problem)
