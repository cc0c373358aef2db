"""``alps-geo evaluate seams``: visibility of tile borders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.settings import DEFAULT_TILE_SIZE, default_overlap
from alps_geo_cli.console import Printing
from alps_geo_cli.paths import typed_name

if TYPE_CHECKING:
    from alps_geo.evaluate import SeamExcess


def seams(
    *,
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
    ] = DEFAULT_TILE_SIZE,
    overlap: Annotated[
        int | None,
        typer.Option(
            help="Pixels that neighbouring tiles share.", show_default="an eighth of the tile size"
        ),
    ] = None,
    printing: Printing,
) -> None:
    """Measure whether tile borders show.

    The seam excess is how much likelier two adjacent pixels are to differ across a border between
    tile cores than elsewhere, minus one: 0 means that no border shows.

    Examples
    --------
    alps-geo evaluate seams results/scene/labels.tif --tile-size 1024
    """
    with printing.errors():
        from alps_geo.evaluate import evaluate_seams, seams_record
        from alps_geo_cli.progress import counting

        with counting("evaluate", quiet=printing.silent) as listen:
            shared = default_overlap(tile_size) if overlap is None else overlap
            measured = evaluate_seams(raster, tile_size, shared, listen=listen)
    printing.show(seams_record(measured), lambda: _print_seams(measured))


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
