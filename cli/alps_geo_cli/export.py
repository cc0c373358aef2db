"""``alps-geo export``: training sets of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alps_geo.outputs.names import TRAINING_FORMATS
from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import WorkPrinting
from alps_geo_cli.options import Chosen, FieldsGroup
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.record import TrainingSet

    Format = str
else:
    Format = Literal[TRAINING_FORMATS]


def export(
    *,
    run: Run,
    to: Annotated[
        Format, typer.Option("--to", help="Format: the training program that reads the set.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", parser=typed_path, metavar="DIR", help="Folder of the training set."
        ),
    ],
    chosen: Annotated[Chosen, FieldsGroup(ExportSettings)],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a training set that is there.")
    ] = False,
    printing: WorkPrinting,
) -> None:
    """Export a finished run as a training set: chips of its scenes, with their labels.

    Chips are cut from the scenes at full resolution and hold exactly the labels of the map. Next
    to the files of the format lie README.md, a card with counts, settings and sources, and
    chips.png, some chips with their masks over them. The set appears when it is whole.

    Examples
    --------
    alps-geo export results --to mmseg --out set
    alps-geo export results --to coco --out set --by class --split 0.8,0.1,0.1
    """
    with printing.errors("nothing was written"):
        from alps_geo.review.export import export_run
        from alps_geo_cli.progress import run_progress

        settings = ExportSettings(**chosen.values)
        with run_progress(printing) as progress:
            made = export_run(run, to, out, settings, overwrite=overwrite, listen=progress.show)
    printing.show(made.to_json(), lambda: _print_set(made, out))


def _print_set(made: TrainingSet, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    chips, classes = len(made.plan.chips), len(made.classes)
    title = f"{chips} chip{'s' * (chips != 1)}, {classes} class{'es' * (classes != 1)}"
    table = Table(title=title)
    for name in ("split", "chips", "share", "objects", "unlabelled"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for each in made.counts:
        table.add_row(
            each.split,
            str(each.chips),
            f"{each.chips / len(made.plan.chips):.1%}",
            f"{sum(each.class_objects):,}",
            f"{each.unlabelled / each.pixels:.1%}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"Left out: {made.plan.sparse} with few labels, {made.plan.in_gap} between splits.",
        highlight=False,
    )
    console.print(str(out), soft_wrap=True, highlight=False, markup=False)
