"""Figures of the benchmark of pre-training: means over seeds, as a table and as curves."""

from __future__ import annotations

from statistics import mean, pstdev
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def summary_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give mean and standard deviation over the seeds."""
    groups: dict[tuple[str, str, float], list[float]] = {}
    for row in sorted(rows, key=lambda row: (row["scene"], row["share"], row["from"])):
        groups.setdefault((row["scene"], row["from"], row["share"]), []).append(row["mean_iou"])
    return [
        {"scene": scene, "from": name, "share": share, "mean": mean(ious), "std": pstdev(ious)}
        for (scene, name, share), ious in groups.items()
    ]


def print_figures(report: Sequence[dict[str, Any]]) -> None:
    """Print a table of a summary."""
    shares = sorted({row["share"] for row in report})
    table = Table("scene", "begins with", *(f"{share:.0%} of the labels" for share in shares))
    for scene, name in dict.fromkeys((row["scene"], row["from"]) for row in report):
        found = {
            row["share"]: f"{row['mean']:.3f} ± {row['std']:.3f}"
            for row in report
            if (row["scene"], row["from"]) == (scene, name)
        }
        table.add_row(scene, name, *(found.get(share, "") for share in shares))
    Console(width=140).print(table)


def plot_figures(report: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw a summary as curves over the share of the labels, a panel for each scene."""
    from matplotlib.figure import Figure

    scenes = list(dict.fromkeys(row["scene"] for row in report))
    figure = Figure((4.5 * len(scenes), 3.6), layout="constrained")
    for axes, scene in zip(np.atleast_1d(figure.subplots(1, len(scenes))), scenes, strict=True):
        here = [row for row in report if row["scene"] == scene]
        for name in dict.fromkeys(row["from"] for row in here):
            rows = [row for row in here if row["from"] == name]
            axes.errorbar(
                [100 * row["share"] for row in rows],
                [row["mean"] for row in rows],
                [row["std"] for row in rows],
                label=name,
                marker="o",
                capsize=3,
            )
        shares = sorted({100 * row["share"] for row in here})
        axes.set(xscale="log", xlabel="labels, %", ylabel="mean IoU of the test part", title=scene)
        axes.set_xticks(shares, [f"{share:g}" for share in shares])
        axes.minorticks_off()
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
