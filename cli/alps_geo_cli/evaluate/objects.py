"""``alps-geo evaluate objects``: segments against true objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.console import Printing
from alps_geo_cli.evaluate.truth import Field, Ignore, Layer, Names, listed_values
from alps_geo_cli.paths import typed_name

if TYPE_CHECKING:
    from rich.table import Table

    from alps_geo.evaluate import ObjectQuality, ObjectScores

_HECTARE = 10_000


def objects(
    *,
    run: Annotated[
        str,
        typer.Argument(
            parser=typed_name,
            metavar="RUN",
            help="Folder that was the --out of alps-geo label, or a raster of segment ids, such as "
            "segments.tif; 0 is no segment.",
        ),
    ],
    truth: Annotated[
        str,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="True objects, on any grid and in any CRS: a vector file of polygons, each of "
            "which is an object, or a raster of classes, in which each connected region of one "
            "class is one.",
        ),
    ],
    scene: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Scene of the run.", show_default="its only scene"),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES",
            help="Classes whose objects count, separated by commas: numbers, texts of --field or "
            "names of --names.",
            show_default="all",
        ),
    ] = None,
    min_area: Annotated[
        int, typer.Option(min=1, help="Leave out objects of fewer pixels.", metavar="PIXELS")
    ] = 16,
    field: Field = None,
    layer: Layer = None,
    ignore: Ignore = None,
    names: Names = None,
    printing: Printing,
) -> None:
    """Compare segments with true objects, such as mapped buildings or fields.

    An object is matched by a segment if their IoU is above 0.5, or 0.75. Over-segmentation is the
    share of an object outside of the segment that overlaps it most, under-segmentation the share
    of this segment outside of the object. Pixels without truth do not count. Of polygons that
    overlap, the later in the file has the pixels.

    Examples
    --------
    alps-geo evaluate objects results --truth buildings.gpkg
    alps-geo evaluate objects results --truth classes.tif --classes 3,5
    """
    with printing.errors():
        from alps_geo.clusters.names import read_names
        from alps_geo.evaluate import TruthFile, evaluate_objects, objects_record
        from alps_geo_cli.progress import counting

        segments = _segments_of(run, scene)
        with counting("evaluate", quiet=printing.silent) as listen:
            measured = evaluate_objects(
                segments,
                TruthFile(
                    truth,
                    field,
                    layer,
                    listed_values(ignore),
                    None if names is None else read_names(names, "classes"),
                ),
                classes=listed_values(classes),
                min_area=min_area,
                listen=listen,
            )
    printing.show(objects_record(measured), lambda: _print_objects(measured))


def _segments_of(run: str, scene: str | None) -> str:
    """Return the raster of segment ids of a run, or the raster that was given."""
    if Path(run).is_dir():
        from alps_geo.review.opened_run import Run

        return str(Run(Path(run)).segment_ids(scene))
    if scene is not None:
        raise typer.BadParameter(
            f"{run} is no run folder, so it has no scene {scene}; leave the option out",
            param_hint="--scene",
        )
    return run


def _print_objects(measured: ObjectQuality) -> None:
    from rich.console import Console

    console = Console()
    console.print(_table(measured))
    left_out = {
        f"of fewer than {measured.min_area} pixels": measured.too_small,
        "that hold no centre of a pixel, or lie under others": measured.without_pixels,
    }
    for reason, count in left_out.items():
        if count:
            console.print(f"left out: {count:,} objects {reason}", highlight=False, soft_wrap=True)


def _table(measured: ObjectQuality) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from alps_geo.evaluate.objects import THRESHOLDS

    table = Table(title=f"segments against {measured.scores.objects:,} objects")
    table.add_column("objects")
    for title in (
        *(() if measured.pixel_area is None else ("ground",)),
        "number",
        *(f"IoU\n> {threshold}" for threshold in THRESHOLDS),
        "best\nIoU",
        "over-\nsegm.",
        "under-\nsegm.",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    no_area = () if measured.pixel_area is None else ("",)
    for size in measured.sizes:
        ground = () if measured.pixel_area is None else (_ground(size.least * measured.pixel_area),)
        table.add_row(f"from {size.least:,} px", *ground, *_values(size.scores))
    table.add_section()
    if len(measured.classes) > 1:
        for number, scores in measured.classes.items():
            name = escape(measured.names.get(number, str(number)))
            table.add_row(name, *no_area, *_values(scores))
        table.add_section()
    table.add_row("all", *no_area, *_values(measured.scores))
    return table


def _values(scores: ObjectScores) -> tuple[str, ...]:
    return (
        f"{scores.objects:,}",
        *("-" if share != share else f"{share:.1%}" for share in scores.matched),
        *(
            "-" if value != value else f"{value:.3f}"
            for value in (scores.mean_iou, scores.over_segmentation, scores.under_segmentation)
        ),
    )


def _ground(area: float) -> str:
    """Return an area in m², or in the hectares that it has."""
    return f"{area:,.4g} m²" if area < _HECTARE else f"{area / _HECTARE:,.4g} ha"
