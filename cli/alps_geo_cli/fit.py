"""``alps-geo fit``: one cluster model for many scenes."""

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
    from alps_geo.runs.record import FitRecord
    from alps_geo.settings import LabelSettings


@settings_options("clusters_from", "simplify")
def fit(
    scenes: Scenes = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="MODEL",
            help="File for the cluster model, such as model.npz; one that is there is replaced.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="DIR",
            help="Folder for the tiles: a fit that was stopped goes on there, and another number "
            "of clusters takes seconds.",
            show_default="the model's name with .run at the end",
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
    """Fit one cluster model to rasters, for `alps-geo apply` to label any scene by.

    `alps-geo label` does both at once.
    """

    def fit_all(paths: list[str], out: Path, settings: LabelSettings, **how: Any) -> FitRecord:
        from alps_geo.pipeline import fit_scenes

        folder = out.with_name(f"{out.name}.run") if work is None else work
        return fit_scenes(paths, out, folder, settings, **how)

    paths, model = required(scenes, out, "file for the cluster model")
    record = run_scenes(
        fit_all,
        paths,
        model,
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
        number = len(record.scenes)
        typer.echo(
            f"{model}: {record.clusters} clusters, fitted to {record.segments} segments of "
            f"{number} scene{'s' if number > 1 else ''}"
        )
    end_with_failures(record.failed, "so the fit does without")
