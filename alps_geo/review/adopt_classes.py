"""Edits of classes in the polygons of a run, made part of the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alps_geo.classes.legend import class_legend
from alps_geo.errors import RunError
from alps_geo.outputs.gpkg.edited import find_class_edits
from alps_geo.outputs.names import POLYGONS
from alps_geo.review.changes import finish_stopped
from alps_geo.review.class_model import read_class_model
from alps_geo.review.class_results import Classification, write_classification
from alps_geo.review.kept import scene_overrides
from alps_geo.runs.classes import SegmentClasses, given_classes
from alps_geo.runs.clusters import overrides_of
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held
from alps_geo.runs.run import read_finished

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alps_geo.runs.run import FinishedRun


@dataclass(frozen=True)
class ClassEdits:
    """Edits of classes of one scene.

    Attributes
    ----------
    before : SegmentClasses
        Classes that the run gave its segments.
    names : mapping of int to str
        Classes that a person gave some of them, by segment id.
    """

    before: SegmentClasses
    names: Mapping[int, str]


def find_classes(run: FinishedRun) -> dict[str, ClassEdits]:
    """Find the edits of classes in the polygons of all scenes; none before a classification.

    Raises
    ------
    RunError
        If a class is no text of one line; if a file cannot be read, or lacks the column.
    """
    found = {}
    for scene in run.tables if run.record.classes is not None else ():
        before = given_classes(run.folder, scene)
        path = run.folder.scene_folder(scene) / POLYGONS
        edits = find_class_edits(path, [before.names[i] for i in before.ids.tolist()])
        names = {segment: _name(path, segment, value) for segment, value in edits.items()}
        found[scene] = ClassEdits(before, names)
    return found


def adopt_classes(path: Path, *, discard_edits: bool) -> tuple[str, ...]:
    """Make edits of ``class`` part of a finished run; return sentences on them.

    Raises
    ------
    RunError
        As `alps_geo.review.adopt.adopt_edits`.
    """
    folder = RunFolder(path)
    with held(folder):
        finish_stopped(folder)
        run = read_finished(folder)
        found = find_classes(run)
        count = sum(len(each.names) for each in found.values())
        if not count:
            return ()
        model = read_class_model(folder.class_model_path)
        fresh = {name for each in found.values() for name in each.names.values()}
        created = sorted(fresh - set(model.legend.names.values()))
        legend = class_legend(fresh, known=model.legend)
        scenes = {
            scene: replace(each.before, names=dict(legend.names)).overridden(each.names)
            for scene, each in found.items()
        }
        given = {
            scene: scene_overrides(run, scene, classes=each.names) for scene, each in found.items()
        }
        model = replace(model, legend=legend)
        overrides = overrides_of(given, run.model)
        changed = Classification("clusters adopt", model, scenes, overrides)
        write_classification(folder, run.record, changed, discard_edits=discard_edits)
    has = "1 segment has" if count == 1 else f"{count} segments have"
    return (f"{has} the class that you gave", *(f"class {name} is new" for name in created))


def _name(path: Path, segment: int, value: object) -> str:
    """Return the name of a class; raise RunError if it is none."""
    name = "" if value is None or isinstance(value, bytes) else str(value).strip()
    if not name or not name.isprintable():
        shown = "NULL" if value is None else repr(value)
        raise RunError(
            f"{path}: class of segment {segment} is {shown}, expected the name of a class, in one "
            "line of text"
        )
    return name
