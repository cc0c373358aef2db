"""``alps-geo assess report``: accuracy and areas, from points that were checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.outputs.names import SAMPLE
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import Printing, print_note
from alps_geo_cli.paths import typed_name, typed_path

if TYPE_CHECKING:
    from rich.table import Table

    from alps_geo.review.accuracy_files import AccuracyReport


def report(
    *,
    run: Run,
    reference: Annotated[
        str,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="Points with the class on the ground: the sample, filled in, in any vector format "
            "and CRS. Or a raster or polygons of ground truth, read at the points of --sample.",
        ),
    ],
    sample: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="FILE",
            help="Sample whose points ground truth is read at.",
            show_default=f"RUN/{SAMPLE}",
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column that holds the class.",
            show_default="reference; the only one of polygons",
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
            help="Classes of ground truth that are none, separated by commas.",
            show_default="none but nodata",
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="FILE",
            help="Names of the classes of ground truth that has numbers: CSV lines such as "
            '1,water, or JSON such as {"1": "water"}.',
            show_default="numbers",
        ),
    ] = None,
    new_classes: Annotated[
        bool,
        typer.Option("--new-classes", help="Allow classes on the ground that the map lacks."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="DIR",
            help="Folder for accuracy.json, accuracy.csv and accuracy.md.",
            show_default="RUN",
        ),
    ] = None,
    printing: Printing,
) -> None:
    """Estimate accuracy and areas of the classes of a map, with 95 % intervals.

    The error matrix in points and in shares of the area, overall, user's and producer's accuracy,
    and the area of each class, corrected for the errors of the map (Olofsson et al. 2014). The map
    is that of today: classes may have got other names and clusters since the sample was drawn.

    Examples
    --------
    alps-geo assess report results --reference results/sample.gpkg
    alps-geo assess report results --reference classes.tif --names names.csv
    """
    with printing.errors():
        from alps_geo.clusters.names import read_names
        from alps_geo.evaluate import TruthFile
        from alps_geo.review.accuracy_files import accuracy_record, write_accuracy
        from alps_geo.review.assess_report import report_accuracy

        given = TruthFile(
            reference,
            field,
            layer,
            [] if ignore is None else [part.strip() for part in ignore.split(",")],
            None if names is None else read_names(names, "classes"),
        )
        found = report_accuracy(run, given, sample or run / SAMPLE, new_classes=new_classes)
        written = write_accuracy(found, out or run)
    printing.show(accuracy_record(found), lambda: _print_report(found, written))


def _print_report(found: AccuracyReport, written: tuple[Path, ...]) -> None:
    from rich.console import Console

    from alps_geo.review.accuracy_files import shown_share

    console = Console()
    console.print(_matrix(found))
    console.print(_class_table(found))
    unchecked = f" ({found.unchecked} without a reference do not count)" * bool(found.unchecked)
    console.print(
        f"overall accuracy {shown_share(found.accuracy.overall)}, of {found.points} points"
        f"{unchecked}; ± is half of the 95 % interval",
        highlight=False,
    )
    for note in found.notes:
        print_note(note)
    for path in written:
        console.print(str(path), soft_wrap=True, highlight=False, markup=False)


def _matrix(found: AccuracyReport) -> Table:
    from rich.markup import escape
    from rich.table import Table

    names = found.accuracy.classes
    table = Table(title="points: rows are the map, columns the ground")
    table.add_column("map")
    for name in (*map(escape, names), "total"):
        table.add_column(name, justify="right")
    for name, row in zip(names, found.accuracy.counts, strict=True):
        table.add_row(escape(name), *map(str, row), str(row.sum()))
    return table


def _class_table(found: AccuracyReport) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from alps_geo.review.accuracy_files import shown_share

    unit, accuracy = found.shown_unit, found.accuracy
    table = Table(title="estimates, weighted by area")
    table.add_column("class")
    for title in ("user's", "producer's", f"in the map ({unit.name})", f"area ({unit.name})"):
        table.add_column(title, justify="right")
    for i, name in enumerate(accuracy.classes):
        area = accuracy.areas[i]
        table.add_row(
            escape(name),
            shown_share(accuracy.users[i]),
            shown_share(accuracy.producers[i]),
            unit.shown(found.mapped_area[i]),
            f"{unit.shown(area.value)} ± {unit.shown(area.margin)}",
        )
    return table
