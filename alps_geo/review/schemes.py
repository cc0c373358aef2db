"""Colours of all clusters of a finished run, by a scheme or by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.legend import Legend
from alps_geo.clusters.named_colors import usual_color
from alps_geo.clusters.natural_colors import natural_colors
from alps_geo.errors import RunError
from alps_geo.review.looks import run_looks

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from alps_geo.clusters.colors import Color
    from alps_geo.runs.record import RunRecord
    from alps_geo.runs.run import FinishedRun


def scheme_colors(run: FinishedRun, scheme: str, taken: Mapping[int, Color]) -> Mapping[int, Color]:
    """Return colours of the clusters of a run, by a scheme.

    Parameters
    ----------
    run : FinishedRun
        The run.
    scheme : str
        ``natural``, from the pictures of its scenes, of which no scene is read, or from its
        images; or ``distinct``.
    taken : mapping of int to Color
        Colours of some clusters, which they keep.

    Raises
    ------
    RunError
        If the picture of a scene, or its labels, cannot be read.
    SceneError
        If an image is needed and cannot be read.
    """
    legend = run.model.legend
    colors = default_colors(len(legend))
    if scheme == "natural":
        looks = run_looks(run)
        others = ~np.isin(legend.ids, list(taken))
        kept = np.array(list(taken.values()), np.uint8).reshape(-1, 3)
        colors[others] = natural_colors(looks[others], kept)
    return legend.with_colors(colors).recolored(taken).palette


def usual_colors(run: FinishedRun, colored: Container[int]) -> dict[int, Color]:
    """Return the usual colours of the clusters that have usual names.

    Parameters
    ----------
    run : FinishedRun
        The run.
    colored : container of int
        Clusters that have a colour already.

    Raises
    ------
    RunError
        If no cluster has a usual name.
    """
    names = run.model.legend.names
    found = {cluster: usual_color(name) for cluster, name in names.items()}
    known = {cluster: color for cluster, color in found.items() if color is not None}
    if not known:
        listed = ", ".join(dict.fromkeys(names.values()))
        found_names = f"the names are {listed}" if listed else "no cluster has a name"
        raise RunError(
            f"{run.folder.path}: {found_names}; expected some such as water, forest, grass, soil, "
            "road or building: name clusters so, or give their colours by number"
        )
    return {cluster: color for cluster, color in known.items() if cluster not in colored}


def legend_of(record: RunRecord) -> Legend:
    """Return names and colours of the clusters of a run, as its record has them."""
    colors = {each.cluster: bytes.fromhex(each.color[1:]) for each in record.clusters}
    palette = {cluster: (red, green, blue) for cluster, (red, green, blue) in colors.items()}
    names = {each.cluster: each.name for each in record.clusters if each.name}
    return Legend(palette, names)
