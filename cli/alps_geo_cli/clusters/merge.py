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
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="Two clusters or more.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What they become.",
            show_default="the name of the first of them that has one",
        ),
    ] = None,
    same_name: Annotated[
        bool,
        typer.Option(
            "--same-name", help="Merge all clusters that have equal names, each name apart."
        ),
    ] = False,
    discard_edits: DiscardEdits = False,
    printing: Printing,
) -> None:
    """Make one cluster of several: the one of the lowest id, with its colour.

    All other clusters keep their ids. With --same-name no IDs are given.

    Examples
    --------
    alps-geo clusters merge results 3 7 12 --name water
    alps-geo clusters merge results --same-name
    """
    if same_name == bool(ids) or (same_name and name is not None):
        raise typer.BadParameter("give either IDs or --same-name, a --name with IDs alone")

    def work() -> RunRecord:
        from alps_geo.review.relabel import merge_clusters, merge_same_names

        if same_name:
            return merge_same_names(run, discard_edits=discard_edits)
        return merge_clusters(run, ids or [], name, discard_edits=discard_edits)

    change_clusters(run, work, printing)
