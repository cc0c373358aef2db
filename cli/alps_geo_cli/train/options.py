"""Options and results of all commands that train."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.console import Printing
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from alps_geo.training.model import TrainedModel

Dataset = Annotated[
    Path,
    typer.Argument(
        parser=typed_path,
        metavar="DATASET",
        help="Folder of chips: the --out of alps-geo export --to mmseg or of alps-geo dataset "
        "label, or img_dir/{train,val} and ann_dir/{train,val} with a metainfo.json.",
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", parser=typed_path, metavar="MODEL", help="Folder of the model."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the training that was stopped in MODEL, or begin it if there is none.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Begin again, in the place of the training or model there."),
]

ON_STOP = "the same command with --resume goes on where it stopped"
"""Advice for somebody who stops a training."""


def is_silent(printing: Printing) -> bool:
    """Return True for a process that shows nothing: not the first of those of torchrun."""
    return printing.silent or os.environ.get("RANK", "0") != "0"


def show_model(printing: Printing, model: TrainedModel, out: Path) -> None:
    """Print a trained model, once for all processes."""
    if os.environ.get("RANK", "0") == "0":
        printing.show(model.to_json(), lambda: _print_model(model, out))


def _print_model(model: TrainedModel, out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    figures = model.figures
    table = Table(title=f"{model.architecture} with {escape(model.encoder)}")
    table.add_column("class")
    table.add_column("IoU", justify="right")
    for each, iou in zip(model.classes, figures.class_iou, strict=True):
        table.add_row(escape(each.name), "none" if iou is None else f"{iou:.3f}")
    console = Console()
    console.print(table)
    console.print(
        f"validation: mean IoU {figures.mean_iou:.3f}, {figures.accuracy:.1%} of the pixels right, "
        f"after epoch {figures.best_epoch} of {figures.epochs}",
        highlight=False,
    )
    console.print(str(out), soft_wrap=True, highlight=False, markup=False)
