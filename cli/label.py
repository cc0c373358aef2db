"""``alps-geo label``: GeoTIFFs in, labelled maps out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from alps_geo.settings import DEFAULT_CLUSTERS, FEATURES, LabelSettings
from alps_geo_cli.config import read_config
from alps_geo_cli.console import PARTLY, Debug, Json, Quiet, reported_errors

DEFAULT = LabelSettings()

MODEL, IMAGERY, MASKS, CLUSTERING, OUTPUT = "Model", "Imagery", "Masks", "Clusters", "Output"


def label(
    scenes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENE...",
            help="Rasters to label: files, folders, globs or URLs; anything GDAL reads. "
            "All of them share one cluster model.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results.", rich_help_panel=OUTPUT),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the other run that the folder holds; tiles that still fit are kept.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Do everything again, tiles that are done included.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Stop at the first tile that fails; else the rest is finished, with exit code 3.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    model: Annotated[
        Literal["mobile_sam", "vit_b", "vit_l", "vit_h"],
        typer.Option(help="Segment Anything model; see `alps-geo models`.", rich_help_panel=MODEL),
    ] = "mobile_sam",
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="File with the model's weights, in place of the shipped or downloaded ones.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option(
            help="Where the model runs; auto is a GPU where there is one.", rich_help_panel=MODEL
        ),
    ] = "auto",
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that work on tiles side by side, each with a model of its own in "
            "memory.",
            rich_help_panel=MODEL,
        ),
    ] = DEFAULT.workers,
    precision: Annotated[
        Literal["float32", "bf16", "fp16"],
        typer.Option(
            help="float32 gives segment_anything's masks; bf16 is quicker and gives nearly the "
            "same; fp16 is for GPUs.",
            rich_help_panel=MODEL,
        ),
    ] = "float32",
    clusters: Annotated[
        int | None,
        typer.Option(
            help="Number of clusters, the classes of the map.",
            show_default=f"{DEFAULT_CLUSTERS}, or fewer if there are fewer segments",
            rich_help_panel=CLUSTERING,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the clustering.", rich_help_panel=CLUSTERING)
    ] = DEFAULT.seed,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Numbers of the bands that SAM sees as red, green and blue, or of one band.",
            show_default="by colour interpretation, then description, then 1,2,3",
            rich_help_panel=IMAGERY,
        ),
    ] = None,
    nodata: Annotated[
        float | None,
        typer.Option(
            help="Value of pixels without data.",
            show_default="the scene's own",
            rich_help_panel=IMAGERY,
        ),
    ] = None,
    stretch: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Percentiles of the valid pixels that become black and white for SAM.",
            show_default="2,98; 8-bit scenes as they are",
            rich_help_panel=IMAGERY,
        ),
    ] = None,
    tile_size: Annotated[
        int,
        typer.Option(
            help="Side of a tile, in pixels. SAM sees every tile at 1024 px, "
            "so a smaller tile means finer objects.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.tile_size,
    overlap: Annotated[
        int | None,
        typer.Option(
            help="Pixels that neighbouring tiles share.",
            show_default="an eighth of the tile size",
            rich_help_panel=MASKS,
        ),
    ] = None,
    points_per_side: Annotated[
        int,
        typer.Option(
            help="SAM is asked at a grid of this many points squared on each tile.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.points_per_side,
    pred_iou_thresh: Annotated[
        float,
        typer.Option(
            help="Drop masks whose IoU SAM predicts to be lower, 0 to 1.", rich_help_panel=MASKS
        ),
    ] = DEFAULT.pred_iou_thresh,
    stability_score_thresh: Annotated[
        float,
        typer.Option(
            help="Drop masks that are less stable than this when the threshold moves, 0 to 1.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.stability_score_thresh,
    max_mask_area: Annotated[
        float,
        typer.Option(
            help="Drop masks that cover a larger share of their tile, 0 to 1 "
            "(the filtering gate of ALPS).",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.max_mask_area,
    fill: Annotated[
        Literal["none", "superpixels"],
        typer.Option(
            help="What becomes of pixels that no mask owns, or that a large mask lumps together.",
            rich_help_panel=MASKS,
        ),
    ] = "superpixels",
    min_area: Annotated[
        int,
        typer.Option(
            help="Segments of fewer pixels join a neighbour; without a fill they are dropped.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.min_area,
    features: Annotated[
        str,
        typer.Option(
            metavar="A+B+...",
            help="What the clusters compare: some of " + ", ".join(FEATURES) + ".",
            rich_help_panel=CLUSTERING,
        ),
    ] = DEFAULT.features,
    config: Annotated[  # noqa: ARG001 (its callback does the work)
        Path | None,
        typer.Option(
            help="Take options from a TOML file, or from the run.json of an earlier run; "
            "options that are typed win.",
            is_eager=True,
            callback=read_config,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Label rasters: masks by Segment Anything, classes by clustering their features.

    Writes labels.tif, segments.tif, segments.gpkg and preview.png per scene into a folder of its
    name, and clusters.npz and run.json beside them. A run that was stopped goes on where it
    stopped when the same command is given again; `alps-geo status` says how far it is.
    """
    if not scenes:
        raise typer.BadParameter("give at least one raster", param_hint="SCENE...")
    if out is None:
        raise typer.BadParameter("give a folder for the results", param_hint="--out")
    with reported_errors(debug=debug, on_stop=_how_to_go_on(force=force)):
        settings = LabelSettings(
            model=model,
            checkpoint=checkpoint,
            device=device,
            precision=precision,
            workers=workers,
            clusters=clusters,
            seed=seed,
            bands=_band_numbers(bands),
            nodata=nodata,
            stretch=_percentiles(stretch),
            tile_size=tile_size,
            overlap=overlap,
            points_per_side=points_per_side,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            max_mask_area=max_mask_area,
            fill=fill,
            min_area=min_area,
            features=features,
        )
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
    _report(record, out, quiet=quiet, as_json=as_json)


def _report(record: dict[str, Any], out: Path, *, quiet: bool, as_json: bool) -> None:
    from alps_geo.store import FailedTile
    from alps_geo_cli.failures import print_failures

    if as_json:
        typer.echo(json.dumps(record, indent=2))
    elif not quiet:
        from alps_geo_cli.summary import print_summary

        print_summary(record, out)
    if failed := [FailedTile(**tile) for tile in record["failed"]]:
        print_failures(failed, err=True)
        typer.echo(
            f"alps-geo: {len(failed)} tiles failed and are unlabelled; the same command tries "
            "them again",
            err=True,
        )
        raise typer.Exit(PARTLY)


def _how_to_go_on(*, force: bool) -> str:
    if force:
        return "the same command without --force goes on where it stopped"
    return "the same command goes on where it stopped"


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Read numbers separated by commas."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers separated by commas", param_hint=option
        ) from None


def _band_numbers(text: str | None) -> tuple[int, ...] | None:
    numbers = _numbers("--bands", text)
    return None if numbers is None else tuple(int(number) for number in numbers)


def _percentiles(text: str | None) -> tuple[float, float] | None:
    numbers = _numbers("--stretch", text)
    if numbers is None:
        return None
    if len(numbers) != 2:
        raise typer.BadParameter(
            f"{text!r} is not two percentiles, such as 2,98", param_hint="--stretch"
        )
    return numbers[0], numbers[1]
