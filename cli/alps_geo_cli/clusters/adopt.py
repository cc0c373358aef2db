"""``alps-geo clusters adopt``: edits made in QGIS, made part of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.clusters.change import Run, change_clusters
from alps_geo_cli.console import Printing

if TYPE_CHECKING:
    from alps_geo.runs.record import RunRecord


def adopt(
    *,
    run: Run,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="Let all adopted edits go: segments get the model's clusters again."
        ),
    ] = False,
    discard_edits: Annotated[
        bool,
        typer.Option(
            "--discard-edits",
            help="Overwrite a confidence that was edited by hand in a feature that gets another "
            "cluster, and an edited style.",
        ),
    ] = False,
    printing: Printing,
) -> None:
    """Make edits of cluster, cluster_name and class in segments.gpkg part of the run.

    Rasters, legends, previews and counts follow. Give a feature the id of another cluster to move
    its segment there, or an id that is not in use, or a name that no cluster has, to make a new
    one; give all features of a cluster the same name to rename it. Adopted edits outlive name,
    merge, split, recolor, classify and labelling of the same segments again. Drawn, deleted and
    reshaped features stay in the file as they are.

    Examples
    --------
    alps-geo clusters adopt results
    alps-geo clusters adopt results --forget
    """

    def work() -> RunRecord:
        from alps_geo.review.adopt import adopt_edits, forget_overrides

        change = forget_overrides if forget else adopt_edits
        found = change(run, discard_edits=discard_edits)
        if not printing.silent:
            for line in found.left:
                typer.echo(line)
            nothing = "no edit of cluster, cluster_name or class was found, so nothing has changed"
            if forget:
                nothing = "no edit was adopted here, so nothing has changed"
            typer.echo("; ".join(found.done) or nothing)
        return found.record

    change_clusters(run, work, printing)
