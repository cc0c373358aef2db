"""``alps-geo clusters gallery``: a page that shows the clusters of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alps_geo.outputs.names import GALLERY
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import Debug, Quiet, reported_errors
from alps_geo_cli.paths import typed_path


def gallery(
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
            show_default=f"RUN/{GALLERY}",
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what clusters look like, on one HTML page that needs nothing else.

    For each cluster: where it lies, and crops of its most typical and most doubtful segments, from
    all scenes. Names that are typed into the page become a `clusters name` command to paste.

    Examples
    --------
    alps-geo clusters gallery results
    """
    with reported_errors(debug=debug):
        from alps_geo.review.gallery import make_gallery
        from alps_geo_cli.progress import counting

        page = out or run / GALLERY
        with counting("crops", quiet=quiet) as listen:
            make_gallery(run, page, listen)
    if not quiet:
        typer.echo(page)
