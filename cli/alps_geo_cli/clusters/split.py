"""``alps-geo clusters split``: several clusters made of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.clusters.change import DiscardEdits, Run, change_clusters
from alps_geo_cli.console import Printing

if TYPE_CHECKING:
    from alps_geo.runs.record import RunRecord


def split(
    *,
    run: Run,
    cluster: Annotated[int, typer.Argument(metavar="ID", help="The cluster.")],
    into: Annotated[int, typer.Option(metavar="N", min=2, help="What it becomes.")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the clustering.")] = 0,
    discard_edits: DiscardEdits = False,
    printing: Printing,
) -> None:
    """Make several clusters of one, by clustering its segments alone.

    The largest part keeps id, name and colour, the others get ids after the highest. No segment of
    another cluster moves, in no scene that the model is applied to.

    Examples
    --------
    alps-geo clusters split results 5 --into 3
    """

    def work() -> RunRecord:
        from alps_geo.review.relabel import split_cluster

        return split_cluster(run, cluster, into, seed, discard_edits=discard_edits)

    change_clusters(run, work, printing)
