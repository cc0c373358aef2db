"""``alps-geo similar``: segments most like one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.outputs.names import SIMILAR
from alps_geo_cli.clusters.change import Run
from alps_geo_cli.console import Printing
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.review.similar import Similar


def similar(
    *,
    run: Run,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="X,Y",
            help="A point on the segment, in the CRS of the scene; col,-row without a CRS.",
        ),
    ] = None,
    segment: Annotated[
        int | None, typer.Option(metavar="ID", help="Number of the segment, segment_id.")
    ] = None,
    scene: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Folder of its scene in RUN.", show_default="the only scene"
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Segments to find.")
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="FILE",
            help="GeoPackage with the layer.",
            show_default=f"RUN/{SIMILAR}",
        ),
    ] = None,
    printing: Printing,
) -> None:
    """Find the segments most like one, in all scenes of a run, with the distance of each.

    Segments are compared as the clusters compare them.

    Examples
    --------
    alps-geo similar results --to 355120,4302210
    alps-geo similar results --segment 812 --count 50
    """
    if (to is None) == (segment is None):
        raise typer.BadParameter("give either --to X,Y or --segment ID", param_hint="--to")
    point = None if to is None else _point(to)
    with printing.errors():
        from alps_geo.review.similar import Wanted, find_similar

        layer = out or run / SIMILAR
        found = find_similar(run, Wanted(segment, point, scene), count, layer)
    shown = {"layer": str(layer), "segments": [each.to_json() for each in found]}
    printing.show(shown, lambda: _print(found, layer))


def _point(text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        x, y = map(float, parts)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not X,Y, such as 355000,4302000", param_hint="--to"
        ) from None
    return x, y


def _print(found: Sequence[Similar], layer: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    first, *others = found
    table = Table(title=f"segments most like segment {first.segment} of {first.scene}")
    for title in ("segment", "scene", "distance", "cluster"):
        table.add_column(title, justify="left" if title == "scene" else "right")
    for each in others:
        table.add_row(
            str(each.segment), escape(each.scene), f"{each.distance:.3f}", escape(each.name)
        )
    console = Console()
    console.print(table)
    console.print(str(layer), soft_wrap=True, highlight=False, markup=False)
