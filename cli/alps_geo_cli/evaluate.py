"""``alps-geo evaluate``: labels measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alps_geo_cli.console import Debug, Json, Quiet, reported_errors
from alps_geo_cli.paths import typed_name, typed_path

if TYPE_CHECKING:
    from alps_geo.evaluate import Agreement, Quality, SeamExcess

evaluate = typer.Typer(
    name="evaluate",
    help="Measure labels: against ground truth, along tile borders, against other labels.",
    no_args_is_help=True,
)

LABELS_HELP = "Raster of cluster ids, such as labels.tif; 0 is unlabelled."


@evaluate.command()
def quality(
    labels: Annotated[str, typer.Argument(parser=typed_name, metavar="LABELS", help=LABELS_HELP)],
    truth: Annotated[
        str,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="Ground truth: a raster of classes or a vector file of polygons, "
            "on any grid and in any CRS.",
        ),
    ],
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of a vector file that holds the class, as number or text.",
            show_default="its only column",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Layer of a vector file.", show_default="its only layer"),
    ] = None,
    ignore: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES",
            help="Classes that are no truth, separated by commas.",
            show_default="none but nodata",
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="FILE",
            help='Names of classes: CSV lines such as 1,water, or JSON such as {"1": "water"}.',
            show_default="numbers",
        ),
    ] = None,
    segments: Annotated[
        str | None,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="Raster of segment ids, for the oracle score.",
            show_default="segments.tif beside LABELS, if it is there",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="DIR",
            help="Folder for quality.json and quality.png.",
            show_default="the folder of LABELS",
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare labels with ground truth.

    Each cluster is given the class that most of its pixels have, and clusters and classes are also
    paired one to one. The oracle gives each segment its majority class: no clustering of these
    segments can do better. Pixels without truth do not count; pixels without a label are wrong.
    """
    with reported_errors(debug=debug):
        folder = out or _folder_of(labels)
        from alps_geo.clusters.names import read_names
        from alps_geo.evaluate import TruthFile, evaluate_quality, quality_record, write_quality
        from alps_geo_cli.progress import counting

        with counting("evaluate", quiet=quiet or as_json) as listen:
            measured = evaluate_quality(
                labels,
                TruthFile(
                    truth,
                    field,
                    layer,
                    _values(ignore),
                    None if names is None else read_names(names, "classes"),
                ),
                segments=segments,
                listen=listen,
            )
        written = write_quality(measured, folder)
    if as_json:
        typer.echo(json.dumps(quality_record(measured), indent=2))
    elif not quiet:
        _print_quality(measured, written)


@evaluate.command()
def seams(
    raster: Annotated[
        str,
        typer.Argument(
            parser=typed_name,
            metavar="RASTER",
            help="Raster of ids, such as labels.tif or segments.tif.",
        ),
    ],
    tile_size: Annotated[
        int, typer.Option(help="Side of a tile that the raster was made with, in pixels.")
    ] = 1024,
    overlap: Annotated[
        int | None,
        typer.Option(
            help="Pixels that neighbouring tiles share.", show_default="an eighth of the tile size"
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure whether tile borders show.

    The seam excess is how much likelier two adjacent pixels are to differ across a border between
    tile cores than elsewhere, minus one: 0 means that no border shows.
    """
    with reported_errors(debug=debug):
        from alps_geo.evaluate import evaluate_seams, seams_record
        from alps_geo_cli.progress import counting

        with counting("evaluate", quiet=quiet or as_json) as listen:
            shared = tile_size // 8 if overlap is None else overlap
            measured = evaluate_seams(raster, tile_size, shared, listen=listen)
    if as_json:
        typer.echo(json.dumps(seams_record(measured), indent=2))
    elif not quiet:
        _print_seams(measured)


@evaluate.command()
def agreement(
    first: Annotated[str, typer.Argument(parser=typed_name, metavar="LABELS", help=LABELS_HELP)],
    second: Annotated[
        str,
        typer.Argument(
            parser=typed_name,
            metavar="OTHER",
            help="Labels of the same scene, made with the same cluster model.",
        ),
    ],
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two rasters of labels of one scene, pixel by pixel.

    Made with tile grids that lie half a tile apart, they show how much of the labels depends on
    where tiles lie.
    """
    with reported_errors(debug=debug):
        from alps_geo.evaluate import agreement_record, evaluate_agreement
        from alps_geo_cli.progress import counting

        with counting("evaluate", quiet=quiet or as_json) as listen:
            measured = evaluate_agreement(first, second, listen=listen)
    if as_json:
        typer.echo(json.dumps(agreement_record(measured), indent=2))
    elif not quiet:
        _print_agreement(measured)


def _values(text: str | None) -> list[str]:
    return [] if text is None else [part.strip() for part in text.split(",")]


def _folder_of(labels: str) -> Path:
    """Return the folder of a local file; other labels need an --out."""
    if not Path(labels).exists():
        from alps_geo.scene.raster import is_local

        if not is_local(labels):
            raise typer.BadParameter(
                f"{labels} lies in no folder of this machine; give one for the results",
                param_hint="--out",
            )
    return Path(labels).parent


def _print_quality(measured: Quality, written: tuple[Path, ...]) -> None:
    from rich.console import Console

    console = Console()
    console.print(_score_table(measured))
    console.print(_class_table(measured))
    groups = measured.v_measure
    console.print(
        f"coverage {measured.coverage:.1%} of {measured.table.pixels:,} pixels with truth\n"
        f"V-measure {groups.v_measure:.3f} (homogeneity {groups.homogeneity:.3f}, "
        f"completeness {groups.completeness:.3f}), adjusted Rand {measured.adjusted_rand:.3f}",
        highlight=False,
    )
    for path in written:
        console.print(str(path), soft_wrap=True, highlight=False, markup=False)


def _score_table(measured: Quality) -> Any:
    from rich.table import Table

    table = Table(title=f"{(measured.table.ids != 0).sum()} clusters against the truth")
    table.add_column("")
    for title in ("accuracy", "mean IoU", "mean F1"):
        table.add_column(title, justify="right")
    rows = {
        "majority class of each cluster": measured.majority,
        "clusters and classes one to one": measured.one_to_one,
        "oracle: majority class of each segment": measured.oracle,
    }
    for name, scores in rows.items():
        if scores is not None:
            values = (scores.accuracy, scores.mean_iou, scores.mean_f1)
            table.add_row(name, *(f"{value:.3f}" for value in values))
    return table


def _class_table(measured: Quality) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="majority class of each cluster")
    table.add_column("class")
    titles = ["share", "IoU", "F1"]
    titles += [f"boundary F1\n{scores.tolerance} px" for scores in measured.boundary]
    for title in titles:
        table.add_column(title, justify="right")
    shares = measured.table.class_pixels / measured.table.pixels
    columns = [measured.majority.iou, measured.majority.f1]
    columns += [scores.f1 for scores in measured.boundary]
    for index, name in enumerate(measured.class_names):
        values = (_number(column[index]) for column in columns)
        table.add_row(escape(name), f"{shares[index]:.1%}", *values)
    means = [measured.majority.mean_iou, measured.majority.mean_f1]
    means += [scores.mean_f1 for scores in measured.boundary]
    table.add_section()
    table.add_row("mean", "", *map(_number, means))
    return table


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _print_seams(measured: SeamExcess) -> None:
    from rich.console import Console

    error = measured.standard_error
    spread = (
        "too few tiles for a standard error" if error is None else f"standard error {error:.3f}"
    )
    excess = f"seam excess {measured.excess:+.3f} ({spread})"
    if math.isnan(measured.excess):
        excess = "no seam excess: no two adjacent pixels differ"
    rows, cols = measured.tiles
    Console().print(
        f"{excess}\n"
        f"{measured.border_rate:.2%} of {measured.border_pairs:,} pairs of pixels differ across "
        f"the borders of {rows} x {cols} tiles, {measured.elsewhere_rate:.2%} of "
        f"{measured.elsewhere_pairs:,} elsewhere",
        highlight=False,
        soft_wrap=True,
    )


def _print_agreement(measured: Agreement) -> None:
    from rich.console import Console

    Console().print(
        f"{measured.share:.2%} of {measured.both:,} pixels with a label in both have the same\n"
        f"{measured.only_first:,} pixels have a label in the first only, "
        f"{measured.only_second:,} in the second only",
        highlight=False,
        soft_wrap=True,
    )
