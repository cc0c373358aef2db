"""Labelled runs, as their outputs take them, from their records."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from alps_geo.clusters.legend import Legend
from alps_geo.outputs.output import LabelledRun, LabelledScene, Place, ShownScene
from alps_geo.runs.names import scene_results
from alps_geo.scene.kind import scene_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.tree import Assigned
    from alps_geo.runs.clusters import RunClusters
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.parts import SceneRecord
    from alps_geo.runs.record import RunRecord


_NOTHING: Mapping[str, Assigned] = MappingProxyType({})


def labelled_run(
    target: RunFolder,
    home: RunFolder,
    record: RunRecord,
    clusters: RunClusters,
    date: str = "",
    *,
    moves_segments: bool = True,
    assigned: Mapping[str, Assigned] = _NOTHING,
) -> LabelledRun:
    """Describe a run for the outputs in its folder.

    Parameters
    ----------
    target : RunFolder
        Folder that holds the results of the scenes, and is written to.
    home : RunFolder
        The run folder, to which its content moves.
    record : RunRecord
        Record of the run.
    clusters : RunClusters
        Its clusters.
    date : str
        Date of a change of the run, in UTC by ISO 8601; else that of its record counts.
    moves_segments : bool
        False if no segment has another cluster than in the files that are there.
    assigned : mapping of str to Assigned
        Clusters of the segments of scenes by segment id, of a run that has just found them.
    """
    scenes = () if record.folder is not None else record.scenes
    shown = tuple(
        ShownScene(
            scene.name,
            scene_name(scene.path),
            scene.path,
            scene.rgb,
            scene.stretch,
            replace(
                labelled_scene(target, home, record, scene, clusters, date),
                found=assigned.get(scene.name),
            ),
        )
        for scene in scenes
    )
    return LabelledRun(
        target.path,
        home.path,
        record.files,
        clusters.model,
        shown,
        legend_of_classes(record),
        moves_segments,
        "" if home.store is None else home.store.address,
    )


def labelled_scene(
    target: RunFolder,
    home: RunFolder,
    record: RunRecord,
    scene: SceneRecord,
    clusters: RunClusters,
    date: str = "",
) -> LabelledScene:
    """Describe a scene of a run for its outputs; parameters are those of `labelled_run`."""
    origin = record.origin.provenance
    return LabelledScene(
        target.scene_folder(scene.name),
        home.segments_folder(scene.name),
        scene_name(scene.path),
        clusters.model,
        overrides=clusters.overrides.of(scene.name),
        origin=replace(origin, date=date) if date else origin,
        results=scene_results(record.files, scene.name),
        place=Place(scene.crs, scene.transform),
        simplify_by=record.origin.simplify_by,
        has_classes=record.classes is not None,
    )


def legend_of_classes(record: RunRecord) -> Legend | None:
    """Return the legend of the classes, if the segments have any."""
    if record.classes is None:
        return None
    return Legend(
        {each.id: _color(each.color) for each in record.classes},
        {each.id: each.name for each in record.classes},
    )


def _color(text: str) -> Color:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue
