"""The table of clusters at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alps_geo.outputs.area_units import area_unit

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.record import RunRecord


def print_summary(record: RunRecord, out: Path | RunAddress) -> None:
    """Print the clusters of a finished run and the folders of its results."""
    print_clusters(record)
    folders = [scene.name for scene in record.scenes]
    if record.folder is not None:
        folders = [record.folder.settings.mask_dir]
    for folder in folders:
        Console().print(f"{out / folder}/", soft_wrap=True, highlight=False)


def print_clusters(record: RunRecord) -> None:
    """Print the clusters of a finished run."""
    console = Console()
    clusters = record.clusters
    unit = area_unit(max(cluster.area for cluster in clusters), record.area_unit)
    table = Table(title=f"{record.segments} segments in {len(clusters)} clusters")
    table.add_column("cluster", justify="right")
    if named := any(cluster.name for cluster in clusters):
        table.add_column("name")
    table.add_column("colour")
    table.add_column("segments", justify="right")
    table.add_column(f"area, {unit.name}", justify="right")
    table.add_column("share", justify="right")
    for cluster in clusters:
        table.add_row(
            str(cluster.cluster),
            *([escape(cluster.name)] if named else []),
            f"[{cluster.color}]██[/] {cluster.color}",
            str(cluster.segments),
            unit.shown(cluster.area),
            f"{cluster.share:.1%}",
        )
    console.print(table)
    if record.labelled_share < 1:
        console.print(
            f"{1 - record.labelled_share:.1%} of the area with data carries no label.",
            highlight=False,
        )
