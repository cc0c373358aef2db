"""``alps-geo clusters recolor``: other colours for clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.clusters.change import Run, change_clusters, read_pairs
from alps_geo_cli.console import Printing

if TYPE_CHECKING:
    from alps_geo.runs.record import RunRecord


def recolor(
    *,
    run: Run,
    colors: Annotated[
        list[str],
        typer.Argument(metavar="ID=COLOUR...", help="Such as 3=#1f77b4 or 5=teal."),
    ],
    printing: Printing,
) -> None:
    """Give clusters other colours, as CSS writes them."""
    given = read_pairs(colors, "ID=COLOUR")

    def work() -> RunRecord:
        from alps_geo.review.relabel import recolor_clusters

        return recolor_clusters(run, given)

    change_clusters(run, work, printing)
