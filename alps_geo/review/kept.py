"""Clusters and classes that a person gave segments, kept while scenes are labelled again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.runs.clusters import segments_digest, segments_key
from alps_geo.runs.overrides import (
    NO_OVERRIDES,
    RunOverrides,
    SceneOverrides,
    read_overrides,
)
from alps_geo.runs.reading import read_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.run import FinishedRun
    from alps_geo.segments.table import SegmentTable


def check_keepable(folder: RunFolder, keys: Mapping[str, str], *, discard_edits: bool) -> None:
    """Check, before anything is done, that a run will make the segments that overrides are of.

    Parameters
    ----------
    folder : RunFolder
        The run folder.
    keys : mapping of str to str
        `segments_key` of each scene of the run that is to replace the one here; empty for a run
        that labels no scenes.
    discard_edits : bool
        True to let overrides go.

    Raises
    ------
    RunError
        If it will make others.
    """
    if discard_edits:
        return
    for name, scene in read_overrides(folder).scenes.items():
        if name not in keys:
            raise RunError(_lost(folder, name, len(scene.segment_ids), "does not label that scene"))
        if scene.made_with != keys[name]:
            raise RunError(_lost(folder, name, len(scene.segment_ids), "makes other segments"))


def keep_overrides(
    folder: RunFolder, tables: Mapping[str, SegmentTable], *, discard_edits: bool
) -> RunOverrides:
    """Return the overrides of a run that are of the same segments.

    Parameters
    ----------
    folder : RunFolder
        The run folder.
    tables : mapping of str to SegmentTable
        The segments, just made, of each scene.
    discard_edits : bool
        True to let the others go.

    Raises
    ------
    RunError
        If some are of others.
    """
    try:
        found = read_overrides(folder)
    except RunError:
        if not discard_edits:
            raise
        found = NO_OVERRIDES
    kept = [
        name
        for name, scene in found.scenes.items()
        if name in tables and segments_digest(tables[name]) == scene.segments
    ]
    lost = [name for name in found.scenes if name not in kept]
    if lost and not discard_edits:
        count = len(found.scenes[lost[0]].segment_ids)
        raise RunError(_lost(folder, lost[0], count, "made other segments"))
    return found.of_scenes(kept)


def scene_overrides(
    run: FinishedRun,
    scene: str,
    *,
    clusters: Mapping[int, int] | None = None,
    classes: Mapping[int, str] | None = None,
) -> SceneOverrides:
    """Return the overrides of a scene with some more.

    Parameters
    ----------
    run : FinishedRun
        The run.
    scene : str
        Name of the scene.
    clusters, classes : mapping, optional
        Cluster and name of the class of segments, by segment id.
    """
    plan = read_plan(run.folder)
    folders = {} if plan is None else {each.name: each.tiles_folder for each in plan.scenes}
    given, known = run.overrides.of(scene), run.overrides.classes_of(scene)
    return SceneOverrides(
        segments_digest(run.tables[scene]),
        segments_key(folders.get(scene, ""), run.record.origin.settings),
        dict(sorted({**given, **(clusters or {})}.items())),
        dict(sorted({**known, **(classes or {})}.items())),
    )


def _lost(folder: RunFolder, scene: str, count: int, reason: str) -> str:
    has = "1 segment of {} has" if count == 1 else f"{count} segments of {{}} have"
    return (
        f"{folder.path}: {has.format(scene)} a cluster or class given by hand (alps-geo clusters "
        f"adopt), and this run {reason}; choose another --out, or give --discard-edits to let "
        "them go"
    )
