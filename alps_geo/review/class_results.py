"""Results of classes: written in all scenes of a run, or in none.

As with a change of clusters, the polygons of all scenes are locked, checked and changed first, in
place; then the change is noted in the run folder with all that it leads to, and the polygons are
unlocked; then the other results are written, the record last; then the note goes. Whatever stops
it, the next command on the run makes it from its note.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.classes.model import ClassModel
from alps_geo.clusters.colors import hex_color
from alps_geo.errors import RunError
from alps_geo.files import allow_open_files, run_errors, write_bytes
from alps_geo.outputs.classes import ClassedScene
from alps_geo.outputs.gpkg.classes import (
    GivenClasses,
    edited_classes,
    remove_prepared,
    write_classes,
)
from alps_geo.outputs.gpkg.contents import STYLES_BY_CLASS, further_styles, read_contents
from alps_geo.outputs.gpkg.lock import database_errors
from alps_geo.outputs.gpkg.update import locked_segments
from alps_geo.outputs.names import CLASS_MODEL, POLYGONS, REPORT
from alps_geo.outputs.output import Place
from alps_geo.outputs.provenance import current_date
from alps_geo.outputs.results import follow_classes, write_run_files
from alps_geo.review.edits import (
    FILES_OF_ONE,
    KEEP,
    NOT_ADOPTED,
    OVERWRITTEN_STYLE,
    cache_size,
)
from alps_geo.review.polygon_note import read_note, write_note
from alps_geo.runs.class_journal import (
    ClassChange,
    begin_class_change,
    changed_class_model,
    class_files,
    end_class_change,
    read_class_change,
)
from alps_geo.runs.classes import (
    SegmentClasses,
    changed_classes,
    store_classes,
    stored_classes,
)
from alps_geo.runs.labelled import labelled_run, labelled_scene
from alps_geo.runs.names import scene_results
from alps_geo.runs.overrides import write_overrides
from alps_geo.runs.parts import ClassRecord
from alps_geo.runs.reading import read_record
from alps_geo.runs.record import write_record
from alps_geo.runs.run import read_clusters
from alps_geo.scene.kind import scene_name
from alps_geo.segments.table import read_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.outputs.gpkg.update import LockedSegments
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.overrides import RunOverrides
    from alps_geo.runs.parts import SceneRecord
    from alps_geo.runs.record import RunRecord


@dataclass(frozen=True)
class Classification:
    """Classes of all segments of a run.

    Attributes
    ----------
    command : str
        The command that gives them, as typed after ``alps-geo``.
    model : ClassModel
        Their model.
    scenes : mapping of str to SegmentClasses
        Classes of the segments of each scene, by the name of its folder.
    overrides : RunOverrides or None
        Clusters and classes that a person gave segments, if the run is to have others.
    date : str
        Date of the change, in UTC by ISO 8601.
    """

    command: str
    model: ClassModel
    scenes: Mapping[str, SegmentClasses]
    overrides: RunOverrides | None = None
    date: str = field(default_factory=current_date)


def write_classification(
    folder: RunFolder, record: RunRecord, found: Classification, *, discard_edits: bool
) -> RunRecord:
    """Write the classes of a finished run.

    Parameters
    ----------
    folder : RunFolder
        The run folder, held by this process.
    record : RunRecord
        Its record.
    found : Classification
        The classes.
    discard_edits : bool
        True to overwrite classes that a person has edited.

    Returns
    -------
    RunRecord
        The record of the run, as written to ``run.json``.

    Raises
    ------
    RunError
        If a file is absent, damaged or held by another program, or if edits would be overwritten:
        nothing is changed then; or if a result cannot be written.
    """
    scenes = _classed_scenes(folder, record, found)
    for scene in scenes.values():
        scene.check()

    def note() -> None:
        model = found.model.to_bytes()
        scenes = {name: classes.to_bytes() for name, classes in found.scenes.items()}
        change = ClassChange(found.command, found.overrides, found.date)
        begin_class_change(folder, change, model, scenes)

    areas = _change_polygons(folder, record, found, scenes, note, discard_edits=discard_edits)
    return _carry_out(folder, record, found, scenes, areas)


def finish_classification(folder: RunFolder) -> None:
    """Make a change of the classes that was stopped, from its note, if there is one.

    Raises
    ------
    RunError
        As `write_classification`.
    """
    change = read_class_change(folder)
    if change is None:
        return
    record = read_record(folder)
    model = ClassModel.from_bytes(
        changed_class_model(folder), str(folder.class_change_path.with_name(CLASS_MODEL))
    )
    scenes = {scene.name: changed_classes(folder, scene.name) for scene in record.scenes}
    date = change.date or current_date()
    found = Classification(change.command, model, scenes, change.overrides, date)
    classed = _classed_scenes(folder, record, found)
    areas = _change_polygons(folder, record, found, classed, lambda: None, discard_edits=True)
    _carry_out(folder, record, found, classed, areas)


def _classed_scenes(
    folder: RunFolder, record: RunRecord, found: Classification
) -> dict[str, ClassedScene]:
    return {scene.name: _classed(folder, record, scene, found) for scene in record.scenes}


def _classed(
    folder: RunFolder, record: RunRecord, scene: SceneRecord, found: Classification
) -> ClassedScene:
    return ClassedScene(
        folder.scene_folder(scene.name),
        folder.segments_folder(scene.name),
        scene_name(scene.path),
        found.model.legend,
        found.scenes[scene.name].ids,
        Place(scene.crs, scene.transform),
        replace(record.origin.provenance, date=found.date),
        scene_results(record.files, scene.name),
        record.origin.simplify_by,
    )


def _change_polygons(
    folder: RunFolder,
    record: RunRecord,
    found: Classification,
    scenes: Mapping[str, ClassedScene],
    note: Callable[[], None],
    *,
    discard_edits: bool,
) -> list[NDArray[np.float64]]:
    """Write the classes into the polygons of all scenes, or of none; return their areas."""
    paths = {name: folder.scene_folder(name) / POLYGONS for name in scenes}
    allow_open_files(len(paths) * FILES_OF_ONE)
    with ExitStack() as stack:
        locked = {
            name: stack.enter_context(locked_segments(path, cache_size(len(paths))))
            for name, path in paths.items()
        }
        edits = {}
        for name, file in locked.items():
            before, after = stored_classes(folder, name), found.scenes[name]
            count, first = edited_classes(
                file, None if before is None else _given(before), _given(after)
            )
            if count:
                edits[paths[name]] = count, first
        if not discard_edits:
            _refuse(folder.path, edits, found.command)
            _refuse_styles(folder, locked)
        areas = []
        for name, file in locked.items():
            scene = scenes[name]
            dissolved, area = scene.dissolved()
            areas.append(area if record.area_unit == scene.area_unit else _pixels(scene))
            write_classes(file, found.model.legend, dissolved, scene.area_unit, found.date)
            remove_prepared(file)
        note()
        for number, file in enumerate(locked.values()):
            try:
                file.commit()
            except RunError:
                if number == 0:
                    end_class_change(folder)
                raise
    _note_again(folder, paths)
    return areas


def _refuse(run: Path, edits: Mapping[Path, tuple[int, str]], command: str) -> None:
    """Raise RunError if classes that a person edited would be overwritten."""
    if not edits:
        return
    path, (_, first) = next(iter(edits.items()))
    count = sum(number for number, _ in edits.values())
    them = "it" if count == 1 else f"{count} classes that were edited by hand, the first of them"
    remedy = NOT_ADOPTED if command == "clusters adopt" else KEEP
    raise RunError(
        f"{path}: {first}: alps-geo {command} {run} would overwrite {them}; "
        + remedy.format(run=run, it="it" if count == 1 else "them")
    )


def _refuse_styles(folder: RunFolder, locked: Mapping[str, LockedSegments]) -> None:
    """Raise RunError if a style by class that a person edited would be overwritten."""
    noted = read_note(folder)
    for name, file in locked.items():
        known = noted.get(f"{name}/{POLYGONS}")
        if known is None:
            continue
        with database_errors(file.path):
            styles = further_styles(file.database)
        for style in STYLES_BY_CLASS:
            if style in styles and styles[style] != known.styles.get(style, styles[style]):
                raise RunError(OVERWRITTEN_STYLE.format(path=file.path, style=style))


def _given(classes: SegmentClasses) -> GivenClasses:
    names = np.array([classes.names[i] for i in classes.ids.tolist()], object)
    return GivenClasses(names, classes.confidence, classes.margin)


def _note_again(folder: RunFolder, paths: Mapping[str, Path]) -> None:
    """Note the classes in the polygons, so that they are not taken for edits of a person."""
    noted = read_note(folder)
    names = {f"{scene}/{POLYGONS}": path for scene, path in paths.items()}
    renewed = {}
    for name, path in names.items():
        if name in noted:
            found = read_contents(path)
            by_class = {k: v for k, v in found.styles.items() if k in STYLES_BY_CLASS}
            styles = {**noted[name].styles, **by_class}
            renewed[name] = replace(noted[name], classes=found.classes, styles=styles)
    write_note(folder, {**noted, **renewed})


def _carry_out(
    folder: RunFolder,
    record: RunRecord,
    found: Classification,
    scenes: Mapping[str, ClassedScene],
    areas: Sequence[NDArray[np.float64]],
) -> RunRecord:
    """Write the change that is noted in all results other than the polygons."""
    for name, scene in scenes.items():
        scene.write()
        store_classes(folder, name, found.scenes[name])
    write_bytes(folder.class_model_path, found.model.to_bytes())
    if found.overrides is not None:
        write_overrides(folder, found.overrides)
    written = [
        file
        for name, scene in scenes.items()
        for file in class_files([name], scene.preview_formats)
    ]
    files = dict.fromkeys([*record.files, *written, CLASS_MODEL])
    record = replace(
        record,
        classes=_class_records(record, found, np.sum(areas, axis=0)),
        files=tuple(files),
    )
    clusters = read_clusters(folder)
    for each in record.scenes:
        follow_classes(labelled_scene(folder, folder, record, each, clusters, found.date))
    write_run_files(
        labelled_run(folder, folder, record, clusters, found.date, moves_segments=False)
    )
    write_record(folder.record_path, record)
    with run_errors(folder.class_change_path):
        # It shows the classes of before.
        (folder.path / REPORT).unlink(missing_ok=True)
        end_class_change(folder)
    return record


def _pixels(scene: ClassedScene) -> NDArray[np.float64]:
    """Count the pixels of each class of a scene."""
    segments, _ = read_segments(scene.segments_folder)
    legend = scene.legend.ids
    sums = np.bincount(scene.ids, weights=segments.area, minlength=int(legend[-1]) + 1)
    return np.asarray(sums[legend], np.float64)


def _class_records(
    record: RunRecord, found: Classification, area: NDArray[np.float64]
) -> tuple[ClassRecord, ...]:
    """Measure the classes over all scenes."""
    legend, samples = found.model.legend, found.model.samples.classes
    length = int(legend.ids[-1]) + 1
    segments = sum(np.bincount(each.ids, minlength=length) for each in found.scenes.values())
    sampled = np.bincount(samples, minlength=length)
    total = float(area.sum()) or 1.0
    return tuple(
        ClassRecord(
            id=number,
            name=legend.names[number],
            color=hex_color(color),
            samples=int(sampled[number]),
            segments=int(np.asarray(segments)[number]),
            area=float(area[index]),
            share=float(area[index] / total * record.labelled_share),
        )
        for index, (number, color) in enumerate(legend.palette.items())
    )
