"""``alps-geo train predict``: maps of classes that a trained network finds in scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.settings.panels import OUTPUT
from alps_geo.training.predict_settings import PredictSettings
from alps_geo_cli.classify import print_classes
from alps_geo_cli.console import RunPrinting
from alps_geo_cli.failures import end_with_failures
from alps_geo_cli.options import Chosen, FieldsGroup, FlagOptions, Results, Work
from alps_geo_cli.paths import typed_path
from alps_geo_cli.run import Target
from alps_geo_cli.shares import ShareOptions, end_share

if TYPE_CHECKING:
    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.prediction import PredictionRecord


def predict(
    *,
    scenes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENE...",
            help="Rasters to map: files, folders, globs or URLs; anything GDAL reads. Folders and "
            "globs leave out results of runs.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path,
        typer.Option(parser=typed_path, metavar="MODEL", help="Folder of the trained model."),
    ],
    out: Results = None,
    work: Work = None,
    segments: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="RUN",
            help="Folder of a finished run of label or apply, whose scenes are predicted, and "
            "whose segments get one class each, as by alps-geo classify; no SCENE is given then.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    flags: FlagOptions,
    chosen: Annotated[Chosen, FieldsGroup(PredictSettings)],
    shares: ShareOptions,
    printing: RunPrinting,
) -> None:
    """Map the classes of scenes with a network that alps-geo train has trained.

    Writes classes.tif, probability.tif, regions.gpkg and classes.png per scene into a folder of its
    name, and run.json next to them. Probabilities of tiles blend where tiles overlap, so that no
    tile shows. A run that was stopped goes on where it stopped when the same command is given
    again; `alps-geo status` says how far it is. With --segments RUN every segment of a run gets
    one class, which draws clean outlines.

    Examples
    --------
    alps-geo train predict scene.tif --model tuned --out maps
    alps-geo train predict --segments results --model tuned --out maps
    """
    only_tiles = shares.check(flags)
    if segments is not None:
        if only_tiles:
            raise typer.BadParameter("is for scenes, not for --segments", param_hint="--only")
        if scenes:
            raise typer.BadParameter(
                "the scenes are those of --segments RUN: give no SCENE", param_hint="SCENE..."
            )
        place = Target.of([str(segments)], out, work).place
        _predict_segments(segments, model, place, (flags, chosen, printing))
        return
    target = Target.of(scenes, out, work)
    folder = target.place
    with printing.errors(flags.on_stop):
        from alps_geo.datasets import find_scenes
        from alps_geo.training.predict import predict_scenes, predict_share
        from alps_geo_cli.progress import run_progress

        settings = PredictSettings(**chosen.values)
        with run_progress(printing, verbose=printing.verbose) as progress:
            found = find_scenes(target.scenes, progress.note)
            if only_tiles:
                request = shares.request(flags)
                done = predict_share(found, model, folder, settings, request, listen=progress.show)
            else:
                record = predict_scenes(found, model, folder, settings, flags, listen=progress.show)
    if only_tiles:
        end_share(done, printing)
        return
    printing.show(record.to_json(), lambda: _print_classes(record, folder))
    end_with_failures(record.failed, "so the map has gaps")


def _predict_segments(
    run: Path,
    model: Path,
    out: Path | RunAddress,
    options: tuple[FlagOptions, Chosen, RunPrinting],
) -> None:
    """Give the segments of a run classes."""
    flags, chosen, printing = options
    with printing.errors(flags.on_stop):
        from alps_geo.training.predict_segments import predict_segments
        from alps_geo_cli.progress import run_progress

        settings = PredictSettings(**chosen.values)
        with run_progress(printing, verbose=printing.verbose) as progress:
            record = predict_segments(run, model, out, settings, flags, listen=progress.show)
    classes = {"classes": [each.to_json() for each in record.classes or ()]}
    printing.show(classes, lambda: print_classes(record))


def _print_classes(record: PredictionRecord, out: Path | RunAddress) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from alps_geo.outputs.area_units import area_unit

    console = Console()
    unit = area_unit(max(each.area for each in record.classes), record.area_unit)
    table = Table(title=f"{record.regions} regions in {len(record.classes)} classes")
    table.add_column("class", justify="right")
    table.add_column("name")
    for title in ("regions", f"area, {unit.name}", "share", "probability"):
        table.add_column(title, justify="right")
    for each in record.classes:
        table.add_row(
            str(each.id),
            f"[{each.color}]██[/] {escape(each.name)}",
            str(each.regions),
            unit.shown(each.area),
            f"{each.share:.1%}",
            "none" if each.probability is None else f"{each.probability:.2f}",
        )
    console.print(table)
    for scene in record.scenes:
        console.print(f"{out / scene.name}/", soft_wrap=True, highlight=False)
