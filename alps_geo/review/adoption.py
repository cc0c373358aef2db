"""Edits of clusters and names in polygons, understood as overrides, new clusters and new names.

A feature in another cluster moves its segment there; an id that is not in use makes a cluster. A
name that is not that of the feature's cluster moves the segment to the cluster of that name, or
makes one. Where all segments of a cluster got the same name, the cluster got it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alps_geo.clusters.limits import MAX_CLUSTERS
from alps_geo.errors import RunError
from alps_geo.runs.clusters import check_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.gpkg.edited import Edit, FoundEdits


@dataclass(frozen=True)
class Resolved:
    """Edits of a run, resolved.

    Attributes
    ----------
    legend : Legend
        With new clusters and names.
    clusters : mapping of str to mapping of int to int
        For each scene the cluster of each segment that got another, by segment id.
    renamed : mapping of int to str
        Clusters that got another name; an empty one removes it.
    created : tuple of int
        New clusters.
    """

    legend: Legend
    clusters: Mapping[str, Mapping[int, int]]
    renamed: Mapping[int, str]
    created: tuple[int, ...]


@dataclass(frozen=True)
class _Moved:
    """A feature whose segment gets another cluster."""

    scene: str
    path: Path
    edit: Edit

    @property
    def target(self) -> int | None:
        """The cluster that a person typed; None if the name alone was edited."""
        edit = self.edit
        return None if edit.cluster == edit.before else int(str(edit.cluster))


def resolve(found: Mapping[str, FoundEdits], legend: Legend) -> Resolved:
    """Resolve the edits of a run.

    Parameters
    ----------
    found : mapping of str to FoundEdits
        Edits of each scene.
    legend : Legend
        The clusters that the run has.

    Raises
    ------
    RunError
        If a cluster is no id, a name is not one line of text, or both contradict each other; the
        first such feature is named.
    """
    for each in found.values():
        for edit in each.edits:
            _check_edit(each.path, edit, legend)
    renamed = _renamed(found.values())
    before, legend = legend, legend.named(renamed)
    moved = [
        _Moved(scene, each.path, edit)
        for scene, each in found.items()
        for edit in each.edits
        if edit.cluster != edit.before or renamed.get(edit.before) != edit.name
    ]
    legend = _with_new_ids(moved, before, legend)
    clusters: dict[str, dict[int, int]] = defaultdict(dict)
    for one in moved:
        legend, target = _target(one, legend)
        _check_name(one, target, before, legend)
        clusters[one.scene][one.edit.segment] = target
    created = tuple(sorted(legend.palette.keys() - before.palette.keys()))
    return Resolved(legend, clusters, renamed, created)


def _check_edit(path: Path, edit: Edit, legend: Legend) -> None:
    """Check that a cluster is an id, and a name one line of text."""
    cluster, name = edit.cluster, edit.name
    if not isinstance(cluster, int) or not 1 <= cluster <= MAX_CLUSTERS:
        shown = "NULL" if cluster is None else repr(cluster)
        raise RunError(
            f"{path}: cluster of segment {edit.segment} is {shown}, expected the id of a cluster, "
            f"or for a new one any id up to {MAX_CLUSTERS} that is not in use"
        )
    try:
        replace(legend, names={}).named({edit.before: name})
    except RunError as error:
        raise RunError(f"{path}: segment {edit.segment}: {error}") from None


def _renamed(found: Iterable[FoundEdits]) -> dict[int, str]:
    """Find the clusters all of whose features, of all scenes, got the same name."""
    staying: dict[int, int] = defaultdict(int)
    names: dict[int, list[str]] = defaultdict(list)
    for each in found:
        for cluster, count in each.staying.items():
            staying[cluster] += count
        for edit in each.edits:
            if edit.cluster == edit.before:
                names[edit.before].append(edit.name)
    return {
        cluster: given[0]
        for cluster, given in sorted(names.items())
        if len(given) == staying[cluster] and len(set(given)) == 1
    }


def _with_new_ids(moved: Sequence[_Moved], before: Legend, legend: Legend) -> Legend:
    """Add the clusters whose ids a person typed, with the names typed next to them."""
    names: dict[int, str] = {}
    for each in moved:
        if each.target is None or each.target in legend.palette:
            continue
        edit, known = each.edit, names.get(each.target, "")
        name = "" if edit.name == before.names.get(edit.before, "") else edit.name
        if known and name and known != name:
            raise RunError(
                f"{each.path}: segment {edit.segment} gives the new cluster {each.target} the "
                f"name {name!r}, and another segment {known!r}; give all the same name"
            )
        names[each.target] = known or name
    for cluster, name in sorted(names.items()):
        legend = legend.added(cluster, name)
    return legend


def _target(moved: _Moved, legend: Legend) -> tuple[Legend, int]:
    """Find the cluster that a segment gets, and add it to the legend if it is a new one."""
    if moved.target is not None:
        return legend, moved.target
    edit = moved.edit
    if not edit.name:
        raise RunError(
            f"{moved.path}: cluster_name of segment {edit.segment} is empty, and its cluster "
            f"{edit.before} is named {legend.names.get(edit.before, '')!r}; expected that name, or "
            "that of the cluster that the segment is to have"
        )
    named = [cluster for cluster, name in legend.names.items() if name == edit.name]
    if named:
        return legend, named[0]
    if edit.name.isdecimal():
        raise RunError(
            f"{moved.path}: cluster_name of segment {edit.segment} is {edit.name!r}, expected a "
            f"name; to give it cluster {edit.name}, set cluster"
        )
    cluster = max(legend.palette) + 1
    check_id(cluster)
    return legend.added(cluster, edit.name), cluster


def _check_name(moved: _Moved, target: int, before: Legend, legend: Legend) -> None:
    """Check that the name of a feature is that of the cluster it moves to, or was left alone."""
    edit, name = moved.edit, legend.names.get(target, "")
    if edit.name in ("", name, before.names.get(edit.before, "")):
        return
    known = f"is named {name!r}" if name else "has no name"
    raise RunError(
        f"{moved.path}: segment {edit.segment} has cluster {target} and cluster_name "
        f"{edit.name!r}, and cluster {target} {known}; expected one of the two to be edited, or "
        "both to say the same"
    )


def count_moved(resolved: Resolved) -> int:
    """Count the segments that get another cluster."""
    return sum(len(clusters) for clusters in resolved.clusters.values())


def describe(resolved: Resolved) -> Iterator[str]:
    """Describe the outcome of edits in sentences."""
    names = resolved.legend.names
    if moved := count_moved(resolved):
        segments = "1 segment has" if moved == 1 else f"{moved} segments have"
        yield f"{segments} the cluster that you gave"
    for cluster in resolved.created:
        named = f", {names[cluster]}" if cluster in names else ""
        yield f"cluster {cluster}{named} is new"
    for cluster, name in resolved.renamed.items():
        yield f"cluster {cluster} is named {name}" if name else f"cluster {cluster} has no name"
