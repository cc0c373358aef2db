"""Options of commands that take ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alps_geo_cli.paths import typed_path

Field = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column of a vector file that holds the class, as number or text.",
        show_default="its only column",
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Layer of a vector file.", show_default="its only layer"),
]
Ignore = Annotated[
    str | None,
    typer.Option(
        metavar="VALUES",
        help="Classes that are no truth, separated by commas.",
        show_default="none but nodata",
    ),
]
Names = Annotated[
    Path | None,
    typer.Option(
        parser=typed_path,
        metavar="FILE",
        help='Names of classes: CSV lines such as 1,water, or JSON such as {"1": "water"}.',
        show_default="numbers",
    ),
]


def listed_values(text: str | None) -> list[str]:
    """Split values that are separated by commas."""
    return [] if text is None else [part.strip() for part in text.split(",")]
