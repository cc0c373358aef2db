"""Segments of each cluster that a page shows: typical ones, and doubtful ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.review.crops import Pick

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from alps_geo.clusters.tree import Assigned
    from alps_geo.runs.run import FinishedRun


def pick_segments(
    run: FinishedRun, scenes: Collection[str], *, typical: int, doubtful: int
) -> dict[int, tuple[list[Pick], list[Pick]]]:
    """Choose typical and doubtful segments of each cluster of a run; no segment is both.

    Typical are segments near the centre of their cluster, doubtful those of the least confidence.
    Both are taken from all scenes in turn, and from the larger half of the cluster's segments in
    each scene, which show more.

    Parameters
    ----------
    run : FinishedRun
        The run.
    scenes : collection of str
        Names of the scenes that segments are taken from.
    typical, doubtful : int
        Segments of each cluster, at most.

    Returns
    -------
    dict of int to (list of Pick, list of Pick)
        The most typical first, the most doubtful first, by cluster.
    """
    tables = {name: table for name, table in run.tables.items() if name in scenes}
    assigned = {name: run.clusters.assign(name, table) for name, table in tables.items()}
    areas = {name: table.area[np.argsort(table.rows)] for name, table in tables.items()}
    return {
        cluster: _choose(cluster, assigned, areas, (typical, doubtful))
        for cluster in run.model.legend.palette
    }


def _choose(
    cluster: int,
    assigned: Mapping[str, Assigned],
    areas: Mapping[str, NDArray[np.int64]],
    counts: tuple[int, int],
) -> tuple[list[Pick], list[Pick]]:
    """Choose typical and doubtful segments of a cluster."""
    typical, doubtful = [], []
    for name, found in assigned.items():
        inside = np.flatnonzero(found.cluster == cluster)
        if len(inside) > sum(counts):
            # As many as are shown, at least.
            size = areas[name][inside]
            least = min(np.median(size), np.sort(size)[-sum(counts)])
            inside = inside[size >= least]
        near = inside[np.argsort(found.distance[inside], kind="stable")]
        unsure = inside[np.argsort(found.confidence[inside], kind="stable")]
        typical.append([_pick(name, found, index) for index in near[: counts[0]]])
        doubtful.append([_pick(name, found, index) for index in unsure[: counts[1]]])
    shown = _in_turn(typical)[: counts[0]]
    return shown, [pick for pick in _in_turn(doubtful) if pick not in shown][: counts[1]]


def _pick(name: str, found: Assigned, index: int) -> Pick:
    return Pick(name, int(index) + 1, float(found.confidence[index]))


def _in_turn(lists: Iterable[list[Pick]]) -> list[Pick]:
    """Take the first of each list, then the second of each, and so on."""
    ranked = [(rank, pick) for picks in lists for rank, pick in enumerate(picks)]
    return [pick for _, pick in sorted(ranked, key=lambda entry: entry[0])]
