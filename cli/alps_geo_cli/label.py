"""``alps-geo label``: GeoTIFFs in, labelled maps out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alps_geo_cli.console import Debug, Json, Quiet
from alps_geo_cli.failures import end_with_failures
from alps_geo_cli.options import (
    OUTPUT,
    Config,
    DiscardEdits,
    Force,
    Overwrite,
    Preset,
    Scenes,
    Strict,
    settings_options,
)
from alps_geo_cli.paths import typed_path
from alps_geo_cli.run import required, run_scenes

if TYPE_CHECKING:
    from alps_geo.runs.record import RunRecord
    from alps_geo.settings import LabelSettings


@settings_options("clusters_from")
def label(
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
        discard_edits=discard_edits,
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
    discard_edits: bool,
    strict: bool,
    quiet: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Do what `label` and `apply` do, once their options are read."""

    def work(paths: list[str], out: Path, settings: LabelSettings, **how: Any) -> RunRecord:
        from alps_geo.pipeline import label_scenes

        return label_scenes(paths, out, settings, **how)

    paths, folder = required(scenes, out, "folder for the results")
    record = run_scenes(
        work,
        paths,
        folder,
        chosen,
        overwrite=overwrite,
        force=force,
        discard_edits=discard_edits,
        strict=strict,
        quiet=quiet,
        debug=debug,
    )
    if as_json:
        typer.echo(json.dumps(record.to_json(), indent=2))
    elif not quiet:
        from alps_geo_cli.summary import print_summary

        print_summary(record, folder)
    end_with_failures(record.failed, "so the map has gaps")
