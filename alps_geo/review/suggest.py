"""Numbers of clusters, compared on the stored segments of a run, with a picture of the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.clusters.suggest import Span, suggest_number
from alps_geo.outputs.curves import Curve, Mark, write_curves
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alps_geo.clusters.suggest import Suggestion


def suggest_clusters(
    path: Path,
    low: int | None = None,
    high: int | None = None,
    step: int | None = None,
    *,
    seed: int = 0,
    picture: Path | None = None,
    listen: Callable[[int, int], None] = lambda _, __: None,
) -> Suggestion:
    """Try numbers of clusters on the segments of a finished run, and recommend one.

    Segments are compared as the run's own clusters compare them: see
    `alps_geo.clusters.suggest.suggest_number`.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    low, high, step : int, optional
        Numbers to try: see `alps_geo.clusters.suggest.Span`.
    seed : int
        Of sample and clusters.
    picture : pathlib.Path, optional
        File for a picture of the three curves.
    listen : callable
        Called with the count of numbers that have been tried, and of all.

    Raises
    ------
    RunError
        If there is no finished run, or it has too few segments for the range.
    """
    run = read_finished(RunFolder(path))
    tables, span = list(run.tables.values()), Span(low, high, step)
    suggestion = suggest_number(run.model, tables, span, seed, str(path), listen)
    if picture is not None:
        mark = Mark(suggestion.clusters, "suggested")
        write_curves(picture, _curves(suggestion), mark=mark, across="clusters")
    return suggestion


def _curves(suggestion: Suggestion) -> list[Curve]:
    tried = suggestion.tried
    at = tuple(each.clusters for each in tried)
    return [
        Curve(
            "inertia: mean squared distance to the centre",
            "no unit",
            at,
            tuple(t.inertia for t in tried),
        ),
        Curve(
            "stability: adjusted Rand of clusters from two halves, with its standard error",
            "at most 1",
            at,
            tuple(t.stability for t in tried),
            tuple(t.stability_error for t in tried),
        ),
        Curve("silhouette", "-1 to 1", at, tuple(t.silhouette for t in tried)),
    ]
