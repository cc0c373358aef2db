"""``alps-geo fit``: one cluster model for many scenes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from alps_geo_cli.console import Debug, Json, Quiet, reported_errors
from alps_geo_cli.failures import end_with_failures
from alps_geo_cli.options import (
    OUTPUT,
    Config,
    Force,
    Overwrite,
    Preset,
    Scenes,
    Strict,
    how_to_go_on,
    settings_options,
    to_settings,
)


@settings_options("clusters_from", "simplify")
def fit(
    scenes: Scenes = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="MODEL",
            help="File for the cluster model, such as model.npz; one that is there is replaced.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the tiles: a fit that was stopped goes on there, and another number "
            "of clusters takes seconds.",
            show_default="the model's name with .run at the end",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    force: Force = False,
    strict: Strict = False,
    config: Config = None,  # noqa: ARG001 (its callback does the work)
    preset: Preset = None,  # noqa: ARG001 (likewise)
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
) -> None:
    """Fit one cluster model to rasters, for `alps-geo apply` to label any scene by.

    `alps-geo label` does both at once.
    """
    if not scenes:
        raise typer.BadParameter("give at least one raster", param_hint="SCENE...")
    if out is None:
        raise typer.BadParameter("give a file for the cluster model", param_hint="--out")
    with reported_errors(debug=debug, on_stop=how_to_go_on(force=force)):
        settings = to_settings(chosen)
        # Imported here, because these bring the geospatial stack, which --help does not need.
        from alps_geo.pipeline import fit_scenes
        from alps_geo.scene import find_scenes
        from alps_geo_cli.progress import RunProgress

        with RunProgress(quiet=quiet) as progress:
            record = fit_scenes(
                find_scenes(scenes),
                out,
                out.with_name(f"{out.name}.run") if work is None else work,
                settings,
                overwrite=overwrite,
                force=force,
                strict=strict,
                listen=progress.show,
            )
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    elif not quiet:
        typer.echo(
            f"{out}: {record['clusters']} clusters, fitted to {record['segments']} segments of "
            f"{len(record['scenes'])} scenes"
        )
    end_with_failures(record, "are not part of the fit")
