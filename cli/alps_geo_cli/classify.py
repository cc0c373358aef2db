"""``alps-geo classify``: classes of segments, learnt from a few samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alps_geo.classes.names import CLASS_FIELD, CLASSIFIERS
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import WorkPrinting, print_note
from alps_geo_cli.paths import typed_name, typed_path

if TYPE_CHECKING:
    from alps_geo.review.classify import Classified
    from alps_geo.runs.record import RunRecord

    Classifier = str
else:
    Classifier = Literal[CLASSIFIERS]


def classify(
    *,
    run: Run,
    samples: Annotated[
        list[str] | None,
        typer.Option(
            "--samples",
            parser=typed_name,
            metavar="FILE",
            help="Points, lines or polygons with a class, in any vector format and CRS, or a "
            "raster of classes; for all scenes of the run. May be given again.",
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of vector files that holds the class, as number or text.",
            show_default=f"{CLASS_FIELD}, or the only column",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Layer of vector files.", show_default="the only layer"),
    ] = None,
    from_names: Annotated[
        bool,
        typer.Option(
            "--from-names",
            help="Take typical segments of the clusters that have names as samples: classes are "
            "those names.",
        ),
    ] = False,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            parser=typed_path,
            metavar="FILE",
            help="classes.npz of a classified run, of this place or another with the same "
            "--features: its samples count too. May be given again.",
        ),
    ] = None,
    classifier: Annotated[
        Classifier | None,
        typer.Option(
            help="Classifier of scikit-learn.",
            show_default=f"that of the first --model, else {CLASSIFIERS[0]}",
        ),
    ] = None,
    balance: Annotated[
        bool | None,
        typer.Option(
            "--balance/--no-balance",
            help="Let all classes weigh the same, or all samples.",
            show_default="as the first --model, else --balance",
        ),
    ] = None,
    per_scene: Annotated[
        bool,
        typer.Option("--per-scene", help="Fit a classifier for each scene to its own samples."),
    ] = False,
    suggest: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000,
            metavar="N",
            help="Write N segments to label next to RUN/suggested.gpkg, to be filled in, and "
            "show them on RUN/suggested.html. Needs no samples.",
            show_default="none",
        ),
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Seed of the classifier.",
            show_default="that of the first --model, else 0",
        ),
    ] = None,
    discard_edits: Annotated[
        bool,
        typer.Option(
            "--discard-edits",
            help="Overwrite classes and their styles that were edited by hand, as in QGIS.",
        ),
    ] = False,
    printing: WorkPrinting,
) -> None:
    """Give all segments of a finished run the classes of a few samples: in seconds, without SAM.

    Segments are compared as the clusters compare them, and probabilities are averaged over
    neighbours. The map is classes.tif; segments.gpkg gets columns, a style and a layer of the
    dissolved classes; classes.npz can be applied to other runs. Clusters stay as they are.

    Examples
    --------
    alps-geo classify results --suggest 20
    alps-geo classify results --samples results/suggested.gpkg
    alps-geo classify results --samples points.gpkg --field kind
    alps-geo classify results --from-names
    alps-geo classify other --model results/classes.npz
    """
    with printing.errors("the same command finishes it"):
        from alps_geo.review.class_model import ClassifyRequest
        from alps_geo.review.classify import classify_segments
        from alps_geo.review.sample_files import SampleFiles
        from alps_geo_cli.progress import counting_for

        request = ClassifyRequest(
            files=SampleFiles(tuple(samples or ()), field, layer),
            from_names=from_names,
            models=tuple(model or ()),
            classifier=classifier,
            seed=seed,
            balanced=balance,
            per_scene=per_scene,
            suggest=suggest,
            discard_edits=discard_edits,
        )
        with counting_for(printing, "scenes") as listen:
            found = classify_segments(run, request, listen)
    printing.show(found.to_json(), lambda: _print(found))


def _print(found: Classified) -> None:
    from rich.console import Console

    console = Console()
    for note in found.notes:
        print_note(note)
    if found.is_classified:
        print_classes(found.record)
        console.print(_accuracy(found), highlight=False)
    suggested = found.suggested
    if suggested is not None:
        console.print(
            f"{suggested.count} segments to label: fill in the column {CLASS_FIELD} of "
            f"{suggested.layer}, and give it as --samples",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        console.print(str(suggested.page or suggested.note), soft_wrap=True, highlight=False)


def print_classes(record: RunRecord) -> None:
    """Print the classes of the segments of a run."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from alps_geo.outputs.area_units import area_unit

    classes = record.classes or ()
    unit = area_unit(max((each.area for each in classes), default=0.0), record.area_unit)
    table = Table(title=f"{len(classes)} classes of {record.segments:,} segments")
    for title in ("", "class", "samples", "segments", f"area, {unit.name}", "share"):
        table.add_column(title, justify="left" if title in ("", "class") else "right")
    for each in classes:
        table.add_row(
            f"[{each.color}]██[/] {each.id}",
            escape(each.name),
            f"{each.samples:,}",
            f"{each.segments:,}",
            unit.shown(each.area),
            f"{each.share:.1%}",
        )
    Console().print(table)


def _accuracy(found: Classified) -> str:
    accuracy = found.accuracy
    if accuracy is None:
        return "Accuracy unknown: too few samples, or all in one part of the scene."
    return (
        f"Of samples left out by blocks, {accuracy.mean:.2f} ± {accuracy.spread:.2f} are "
        f"recognised: mean over classes, {accuracy.folds} folds of {accuracy.blocks} blocks."
    )
