"""``alps-geo evaluate agreement``: two rasters of labels against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.console import Printing
from alps_geo_cli.evaluate.labels import Labels
from alps_geo_cli.paths import typed_name

if TYPE_CHECKING:
    from alps_geo.evaluate import Agreement


def agreement(
    *,
    first: Labels,
    second: Annotated[
        str,
        typer.Argument(
            parser=typed_name,
            metavar="OTHER",
            help="Labels of the same scene, made with the same cluster model.",
        ),
    ],
    printing: Printing,
) -> None:
    """Compare two rasters of labels of one scene, pixel by pixel.

    Made with tile grids that lie half a tile apart, they show how much of the labels depends on
    where tiles lie.

    Examples
    --------
    alps-geo evaluate agreement one/scene/labels.tif other/scene/labels.tif
    """
    with printing.errors():
        from alps_geo.evaluate import agreement_record, evaluate_agreement
        from alps_geo_cli.progress import counting

        with counting("evaluate", quiet=printing.silent) as listen:
            measured = evaluate_agreement(first, second, listen=listen)
    printing.show(agreement_record(measured), lambda: _print_agreement(measured))


def _print_agreement(measured: Agreement) -> None:
    from rich.console import Console

    Console().print(
        f"{measured.share:.2%} of {measured.both:,} pixels with a label in both have the same\n"
        f"{measured.only_first:,} pixels have a label in the first only, "
        f"{measured.only_second:,} in the second only",
        highlight=False,
        soft_wrap=True,
    )
