"""The table of clusters at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path


def print_summary(record: dict[str, Any], out: Path) -> None:
    """Print the clusters of a finished run and where its results lie."""
    console = Console()
    unit = record["area_unit"]
    table = Table(title=f"{record['segments']} segments in {len(record['clusters'])} clusters")
    table.add_column("cluster", justify="right")
    table.add_column("colour")
    table.add_column("segments", justify="right")
    table.add_column("area", justify="right")
    table.add_column("share", justify="right")
    for cluster in record["clusters"]:
        table.add_row(
            str(cluster["cluster"]),
            f"[{cluster['color']}]██[/] {cluster['color']}",
            str(cluster["segments"]),
            area_text(cluster["area"], unit),
            f"{cluster['share']:.1%}",
        )
    console.print(table)
    console.print(
        f"{1 - record['labelled_share']:.1%} of the valid pixels carry no label: "
        "SAM found no mask there.",
        highlight=False,
    )
    for scene in record["scenes"]:
        console.print(f"{out / scene['name']}/", soft_wrap=True, highlight=False)


def area_text(area: float, unit: str) -> str:
    """Write an area for people: m², hectares or km², or pixels."""
    if unit == "px":
        return f"{area:,.0f} px"
    if area >= 1e7:
        return f"{area / 1e6:,.1f} km²"
    if area >= 1e5:
        return f"{area / 1e4:,.1f} ha"
    return f"{area:,.0f} m²" if area >= 100 else f"{area:.1f} m²"
