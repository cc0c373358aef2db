"""``alps-geo clusters name``: names for clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.clusters.change import DiscardEdits, Run, change_clusters, read_pairs
from alps_geo_cli.console import Printing
from alps_geo_cli.paths import typed_path

if TYPE_CHECKING:
    from alps_geo.runs.record import RunRecord


def name(
    *,
    run: Run,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID=NAME]...", help='Such as 3=water 5="bare soil"; 3= takes the name away.'
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=typed_path,
            metavar="FILE",
            help='Names from a file: CSV lines such as 3,water, or JSON such as {"3": "water"}.',
        ),
    ] = None,
    seen: Annotated[
        str | None,
        typer.Option(
            metavar="STAMP",
            help="Refuse if the clusters are not those any more that a gallery showed, which puts "
            "their stamp here.",
        ),
    ] = None,
    discard_edits: DiscardEdits = False,
    printing: Printing,
) -> None:
    """Name clusters: in the legends, the polygons, the raster and the cluster model.

    Several clusters may have one name; `clusters merge` makes one of them.

    Examples
    --------
    alps-geo clusters name results 3=water 5="bare soil"
    alps-geo clusters name results --from names.csv
    """
    given = read_pairs(names or [], "ID=NAME")
    if not given and file is None:
        raise typer.BadParameter("give names, such as 3=water, or a --from file", param_hint="NAME")

    def work() -> RunRecord:
        from alps_geo.clusters.names import read_names
        from alps_geo.review.relabel import name_clusters

        read = {} if file is None else read_names(file, "clusters")
        return name_clusters(run, read | given, seen, discard_edits=discard_edits)

    change_clusters(run, work, printing)
