"""``alps-geo clusters merge``: one cluster made of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.clusters.change import DiscardEdits, Run, change_clusters
from alps_geo_cli.console import Printing

if TYPE_CHECKING:
    from alps_geo.runs.record import RunRecord


def merge(
    *,
    run: Run,
    ids: Annotated[list[int], typer.Argument(metavar="ID...", help="Two clusters or more.")],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What they become.",
            show_default="the name of the first of them that has one",
        ),
    ] = None,
    discard_edits: DiscardEdits = False,
    printing: Printing,
) -> None:
    """Make one cluster of several: the one of the lowest id, with its colour.

    All other clusters keep their ids.
    """

    def work() -> RunRecord:
        from alps_geo.review.relabel import merge_clusters

        return merge_clusters(run, ids, name, discard_edits=discard_edits)

    change_clusters(run, work, printing)
