"""``alps-geo label``: GeoTIFFs in, labelled maps out."""

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


@settings_options("clusters_from")
def label(
    scenes: Scenes = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results.", rich_help_panel=OUTPUT),
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
    """Label rasters: masks by Segment Anything, classes by clustering their features.

    Writes labels.tif, segments.tif, segments.gpkg and preview.png per scene into a folder of its
    name, and clusters.npz and run.json beside them. A run that was stopped goes on where it
    stopped when the same command is given again; `alps-geo status` says how far it is.
    """
    run_label(
        scenes,
        out,
        chosen,
        overwrite=overwrite,
        force=force,
        strict=strict,
        quiet=quiet,
        as_json=as_json,
        debug=debug,
    )


def run_label(
    scenes: list[str] | None,
    out: Path | None,
    chosen: dict[str, Any],
    *,
    overwrite: bool,
    force: bool,
    strict: bool,
    quiet: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Do what `label` and `apply` do, once their options are read."""
    if not scenes:
        raise typer.BadParameter("give at least one raster", param_hint="SCENE...")
    if out is None:
        raise typer.BadParameter("give a folder for the results", param_hint="--out")
    with reported_errors(debug=debug, on_stop=how_to_go_on(force=force)):
        settings = to_settings(chosen)
        # Imported here, because these bring the geospatial stack, which --help does not need.
        from alps_geo.pipeline import label_scenes
        from alps_geo.scene import find_scenes
        from alps_geo_cli.progress import RunProgress

        with RunProgress(quiet=quiet) as progress:
            record = label_scenes(
                find_scenes(scenes),
                out,
                settings,
                overwrite=overwrite,
                force=force,
                strict=strict,
                listen=progress.show,
            )
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    elif not quiet:
        from alps_geo_cli.summary import print_summary

        print_summary(record, out)
    end_with_failures(record, "are unlabelled")
