"""``alps-geo apply``: label scenes by a cluster model that was fitted before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from alps_geo_cli.console import Debug, Json, Quiet
from alps_geo_cli.label import run_label
from alps_geo_cli.options import (
    OUTPUT,
    Config,
    DiscardEdits,
    Force,
    Overwrite,
    Scenes,
    Strict,
    settings_options,
)
from alps_geo_cli.paths import typed_path


@settings_options("clusters", "seed", "features", "passes", "batch_size")
def apply(
    scenes: Scenes = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="DIR",
            help="Folder for the results.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    force: Force = False,
    discard_edits: DiscardEdits = False,
    strict: Strict = False,
    config: Config = None,  # noqa: ARG001 (its callback does the work)
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
) -> None:
    """Label rasters by a cluster model that was fitted before, so that clusters mean the same.

    Writes what `alps-geo label` writes. Scenes need the bands of those that the model was fitted
    to, in any order, in the same units: the same data type, or scale and offset tags in both.
    """
    if chosen["clusters_from"] is None:
        raise typer.BadParameter("give a cluster model", param_hint="--clusters-from")
    run_label(
        scenes,
        out,
        chosen,
        overwrite=overwrite,
        force=force,
        discard_edits=discard_edits,
        strict=strict,
        quiet=quiet,
        as_json=as_json,
        debug=debug,
    )
