"""Labelled runs, as their outputs take them, from their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.clusters.legend import Legend
from alps_geo.outputs.output import LabelledRun, ShownScene
from alps_geo.scene.kind import scene_name

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.model import ClusterModel
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.parts import SceneRecord
    from alps_geo.runs.record import RunRecord


def labelled_run(
    target: RunFolder, home: Path, record: RunRecord, model: ClusterModel
) -> LabelledRun:
    """Describe a run for the outputs in its folder.

    Parameters
    ----------
    target : RunFolder
        Folder that holds the results of the scenes, and is written to.
    home : pathlib.Path
        The run folder, to which its content moves.
    record : RunRecord
        Record of the run.
    model : ClusterModel
        Its clusters.
    """
    scenes = () if record.folder is not None else tuple(map(_shown, record.scenes))
    return LabelledRun(target.path, home, record.files, model, scenes, _classes(record))


def _shown(scene: SceneRecord) -> ShownScene:
    return ShownScene(scene.name, scene_name(scene.path), scene.path, scene.rgb, scene.stretch)


def _classes(record: RunRecord) -> Legend | None:
    """Read the legend of the classes, if the segments have any."""
    if record.classes is None:
        return None
    return Legend(
        {each.id: _color(each.color) for each in record.classes},
        {each.id: each.name for each in record.classes},
    )


def _color(text: str) -> Color:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue
