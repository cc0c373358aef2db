"""``alps-geo fit``: one cluster model for many scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.runs.address import FileAddress, fit_place, is_address
from alps_geo.settings import OUTPUT
from alps_geo_cli.console import RunPrinting
from alps_geo_cli.failures import end_with_failures
from alps_geo_cli.options import Chosen, FlagOptions, Scenes, SettingsGroup
from alps_geo_cli.paths import run_place, typed_name
from alps_geo_cli.run import required, run_scenes
from alps_geo_cli.shares import ShareOptions, run_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.runs.record import FitRecord
    from alps_geo.settings import LabelSettings
    from alps_geo_cli.run import Listener


def fit(
    *,
    scenes: Scenes = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_name,
            metavar="MODEL",
            help="File for the cluster model, such as model.npz or s3://bucket/model.npz; one that "
            "is there is replaced.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    work: Annotated[
        str | None,
        typer.Option(
            parser=typed_name,
            metavar="DIR",
            help="Folder for the tiles, or its address in an object store: a fit that was stopped "
            "goes on there, and another number of clusters takes seconds.",
            show_default="the model's name with .run at the end",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    flags: FlagOptions,
    chosen: Annotated[Chosen, SettingsGroup(fits=True, writes=False)],
    shares: ShareOptions,
    printing: RunPrinting,
) -> None:
    """Fit one cluster model to rasters, for `alps-geo apply` to label any scene by.

    `alps-geo label` does both at once.

    Examples
    --------
    alps-geo fit scenes/*.tif --out model.npz
    alps-geo fit scenes/*.tif --out model.npz --clusters 30  # tiles are kept
    """
    paths, text = required(scenes, out, "file for the cluster model")
    with printing.errors():
        model = FileAddress.of(text) if is_address(text) else Path(text)
    folder = fit_place(model) if work is None else run_place(work)
    if shares.check(flags):
        run_share(paths, folder, shares, flags, chosen, printing, fit=True)
        return

    def fit_all(paths: Sequence[str], settings: LabelSettings, listen: Listener) -> FitRecord:
        from alps_geo.pipeline.scenes import fit_scenes

        return fit_scenes(
            paths,
            model,
            folder,
            settings,
            flags,
            listen=listen,
        )

    record = run_scenes(fit_all, paths, chosen, flags, printing)
    printing.show(record.to_json(), lambda: _print_fit(record, model))
    end_with_failures(record.failed, "so the fit does without")


def _print_fit(record: FitRecord, model: Path | FileAddress) -> None:
    number = len(record.scenes)
    typer.echo(
        f"{model}: {record.clusters} clusters, fitted to {record.segments} segments of "
        f"{number} scene{'s' if number > 1 else ''}"
    )
