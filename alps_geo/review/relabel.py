"""Changes of the clusters of a finished run: names, colours, merged and split ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import ImageColor

from alps_geo.clusters.overrides import overridden_rows
from alps_geo.clusters.split import Members, fit_split
from alps_geo.errors import RunError
from alps_geo.review.changes import Altered, change_run
from alps_geo.review.schemes import scheme_colors, usual_colors
from alps_geo.runs.clusters import RunClusters, overrides_of, renumbered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.model import ClusterModel
    from alps_geo.runs.record import RunRecord
    from alps_geo.runs.run import FinishedRun


def name_clusters(
    path: Path, names: Mapping[int, str], seen: str | None = None, *, discard_edits: bool = False
) -> RunRecord:
    """Give clusters of a finished run names, in all its results; an empty name removes one.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    names : mapping of int to str
        Name of each cluster id.
    seen : str, optional
        `ClusterModel.stamp` of the clusters that the names are for.
    discard_edits : bool
        True to overwrite features that change and whose cluster, name or confidence a person has
        edited.

    Returns
    -------
    RunRecord
        The record of the run, as written to ``run.json``.

    Raises
    ------
    RunError
        If there is no finished run or no such cluster, if the clusters are not those of `seen`, if
        a name is not one line of text, if another process is at work in the folder,
        if polygons are held by another program or edits would be overwritten, or if a result
        cannot be read or written.
    """
    words = ["name", *(f"{cluster}={name}" for cluster, name in names.items())]

    def alter(run: FinishedRun) -> Altered:
        if seen not in (None, run.model.stamp):
            raise RunError(
                f"{path}: these names are for clusters that have been merged, split or fitted "
                "again since the gallery was made; make it again with alps-geo clusters gallery, "
                "or leave out --seen if the numbers still mean the same"
            )
        return _with_model(run, run.model.named(names))

    return change_run(path, words, alter, discard_edits=discard_edits)


def merge_clusters(
    path: Path, clusters: Sequence[int], name: str | None = None, *, discard_edits: bool = False
) -> RunRecord:
    """Make one cluster of several, as `ClusterModel.merged`, in all results of a finished run.

    Takes `discard_edits`, returns and raises as `name_clusters`.
    """
    words = ["merge", *map(str, clusters), *([] if name is None else ["--name", name])]
    return change_run(
        path, words, lambda run: _merged(run, [clusters], name), discard_edits=discard_edits
    )


def merge_same_names(path: Path, *, discard_edits: bool = False) -> RunRecord:
    """Make one cluster of all that have the same name, in all results of a finished run.

    Takes `discard_edits`, returns and raises as `name_clusters`; raises RunError too if no two
    clusters have the same name.
    """

    def alter(run: FinishedRun) -> Altered:
        by_name: dict[str, list[int]] = {}
        for cluster, name in run.model.legend.names.items():
            by_name.setdefault(name, []).append(cluster)
        alike = [clusters for clusters in by_name.values() if len(clusters) > 1]
        if not alike:
            raise RunError(f"{path}: no two clusters have the same name, so there is none to merge")
        return _merged(run, alike)

    return change_run(path, ["merge", "--same-name"], alter, discard_edits=discard_edits)


def split_cluster(
    path: Path, cluster: int, parts: int, seed: int = 0, *, discard_edits: bool = False
) -> RunRecord:
    """Make several clusters of one, as `fit_split`, in all results of a finished run.

    Takes `discard_edits`, returns and raises as `name_clusters`.
    """
    words = ["split", str(cluster), "--into", str(parts), "--seed", str(seed)]

    return change_run(
        path, words, lambda run: _split(run, cluster, parts, seed), discard_edits=discard_edits
    )


def recolor_clusters(
    path: Path, colors: Mapping[int, str], scheme: str | None = None, *, by_name: bool = False
) -> RunRecord:
    """Give clusters of a finished run other colours, in all its results.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    colors : mapping of int to str
        As CSS writes them: ``#1f77b4`` or ``teal``.
    scheme : str, optional
        ``natural`` or ``distinct``, for all clusters that `colors` does not name.
    by_name : bool
        True for the usual colours of clusters with usual names, such as water, forest and road, in
        place of those of the scheme.

    Returns and raises as `name_clusters`.
    """
    words = ["recolor", *([] if scheme is None else ["--colors", scheme])]
    words += ["--by-name"] * by_name
    words += (f"{cluster}={color}" for cluster, color in colors.items())
    found = {cluster: parse_color(color) for cluster, color in colors.items()}

    def alter(run: FinishedRun) -> Altered:
        chosen: Mapping[int, Color] = found | (usual_colors(run, found) if by_name else {})
        run.model.legend.check(chosen)
        colored = chosen if scheme is None else scheme_colors(run, scheme, chosen)
        return _with_model(run, run.model.recolored(colored))

    return change_run(path, words, alter)


def parse_color(text: str) -> Color:
    """Read a colour as CSS writes it.

    Raises
    ------
    RunError
        If it is none, or not opaque.
    """
    try:
        red, green, blue, *alpha = ImageColor.getrgb(text)
    except ValueError:
        raise RunError(f"{text!r} is no colour, expected one such as #1f77b4 or teal") from None
    if alpha:
        raise RunError(f"{text!r} is a colour with transparency, expected one without")
    return red, green, blue


def _with_model(run: FinishedRun, model: ClusterModel) -> Altered:
    """Give a run another model of the same clusters."""
    return Altered(RunClusters(model, renumbered(run.overrides, {}, model)))


def _merged(run: FinishedRun, groups: Sequence[Sequence[int]], name: str | None = None) -> Altered:
    """Make one cluster of each group; overrides follow."""
    model, leads_to = run.model, {}
    for clusters in groups:
        model = model.merged(clusters, name)
        leads_to.update(dict.fromkeys(clusters, min(clusters)))
    return Altered(RunClusters(model, renumbered(run.overrides, leads_to, model)))


def _split(run: FinishedRun, cluster: int, parts: int, seed: int) -> Altered:
    """Make several clusters of one; overrides of it lead to the nearest part."""
    names, tables = list(run.tables), list(run.tables.values())
    given = [overridden_rows(run.tables[name].rows, run.overrides.of(name)) for name in names]
    members = Members(tables, [table.area for table in tables], given)
    model, after = fit_split(run.model, cluster, parts, members, seed)
    scenes = dict(run.overrides.scenes)
    for name, table, rows in zip(names, tables, after, strict=True):
        if name in scenes:
            found = dict(zip(table.rows.tolist(), rows.tolist(), strict=True))
            kept = {segment: found[segment] for segment in scenes[name].clusters}
            scenes[name] = replace(scenes[name], clusters=kept)
    return Altered(RunClusters(model, overrides_of(scenes, model)))
