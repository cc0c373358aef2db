"""A change of the clusters of a finished run, made from its segments without SAM, tiles or scenes.

The polygons of all scenes are locked, checked and changed first, in place. Then the change is noted
in the run folder, with the clusters that it leads to, and the polygons are unlocked; then the other
results are written again, then the cluster model, the overrides and the record; then the note goes.
A change that is cut short is taken up from its note, whatever command comes next, so that results
never stay half changed and no change is made twice.

Names and colours move no segment: counts stay as they are, and so do pixels unless they need other
colours.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from alps_geo.files import run_errors
from alps_geo.outputs.labelled_images import LabelledImages
from alps_geo.outputs.names import GALLERY, REPORT
from alps_geo.outputs.provenance import current_date
from alps_geo.outputs.results import (
    check_rewritable,
    rewrite_legends,
    rewrite_results,
    write_run_files,
)
from alps_geo.review.class_results import finish_classification
from alps_geo.review.edits import PolygonChange, changing_polygons
from alps_geo.runs.describe import with_clusters, with_legend
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.journal import Change, begin_change, end_change
from alps_geo.runs.labelled import labelled_run, labelled_scene
from alps_geo.runs.lock import held
from alps_geo.runs.overrides import write_overrides
from alps_geo.runs.reading import read_change, read_plan, read_record
from alps_geo.runs.record import write_record
from alps_geo.runs.run import read_changed, read_clusters, read_finished
from alps_geo.runs.writing import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from alps_geo.outputs.output import LabelledScene
    from alps_geo.runs.clusters import RunClusters
    from alps_geo.runs.record import RunRecord
    from alps_geo.runs.run import FinishedRun


@dataclass(frozen=True)
class Altered:
    """The clusters that a run is to have.

    Attributes
    ----------
    clusters : RunClusters
        Model and overrides.
    adopted : frozenset of str
        Scenes all of whose edits in the polygons are among them.
    """

    clusters: RunClusters
    adopted: frozenset[str] = frozenset()


def change_run(
    path: Path,
    words: Sequence[str],
    alter: Callable[[FinishedRun], Altered | None],
    *,
    discard_edits: bool = False,
) -> RunRecord:
    """Change the clusters of a run once, even if the command was stopped and is given again.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    words : sequence of str
        The command, as typed after ``alps-geo clusters``.
    alter : callable
        Makes the clusters that the run is to have; None if it has them.
    discard_edits : bool
        True to overwrite features that change and that a person has edited.

    Returns
    -------
    RunRecord
        The record of the run, as written to ``run.json``.

    Raises
    ------
    RunError
        If there is no finished run, if another process is at work in the folder, if polygons are
        held by another program or edits would be overwritten, if a result cannot be read or
        written, or as `alter` does.
    """
    folder, command = RunFolder(path), shlex.join(words)
    read_record(folder)  # holding the folder would make it
    with held(folder):
        finish_classification(folder)
        stopped = read_change(folder)
        if stopped is not None:
            record = _finish(folder, stopped, discard_edits=discard_edits)
            if stopped.command == command:
                return record
        return _begin(read_finished(folder), command, alter, discard_edits=discard_edits)


def finish_stopped(folder: RunFolder) -> None:
    """Make a change of the clusters or classes that was stopped, from its note, if there is one.

    Raises
    ------
    RunError
        As `change_run`.
    """
    finish_classification(folder)
    if (stopped := read_change(folder)) is not None:
        _finish(folder, stopped, discard_edits=False)


def _begin(
    run: FinishedRun,
    command: str,
    alter: Callable[[FinishedRun], Altered | None],
    *,
    discard_edits: bool,
) -> RunRecord:
    """Change the polygons, note the change, and make it in all other results."""
    folder, altered = run.folder, alter(run)
    if altered is None:
        return run.record
    changed = altered.clusters
    date = current_date()
    for scene in _labelled_scenes(folder, run.record, changed, date):
        check_rewritable(scene)
    moves_segments = changed.moves(run.clusters)
    change = Change(command, run.record.changes or (), moves_segments, changed.overrides, date)
    with changing_polygons(
        folder,
        run.record,
        PolygonChange(command, run.clusters, changed, date, altered.adopted),
        discard_edits=discard_edits,
        forget=partial(end_change, folder),
    ):
        begin_change(folder, change, changed.model.to_bytes())
    return _carry_out(folder, change)


def _finish(folder: RunFolder, stopped: Change, *, discard_edits: bool) -> RunRecord:
    """Make the change that was stopped, from its note."""
    stopped = replace(stopped, date=stopped.date or current_date())
    before, after = read_clusters(folder), read_changed(folder, stopped)
    change = PolygonChange(stopped.command, before, after, stopped.date)
    with changing_polygons(folder, read_record(folder), change, discard_edits=discard_edits):
        pass
    return _carry_out(folder, stopped)


def _carry_out(folder: RunFolder, change: Change) -> RunRecord:
    """Make the change that is noted in all results other than the polygons."""
    record, clusters = read_record(folder), read_changed(folder, change)
    scenes = _labelled_scenes(folder, record, clusters, change.date)
    model = clusters.model
    if change.moves_segments:
        record = with_clusters(record, model, [rewrite_results(scene) for scene in scenes])
    else:
        for scene in scenes:
            rewrite_legends(scene)
        record = with_legend(record, model)
    moves = change.moves_segments
    write_run_files(
        labelled_run(folder, folder, record, clusters, change.date, moves_segments=moves)
    )
    write_overrides(folder, clusters.overrides)
    record = replace(record, changes=(*change.earlier, change.command))
    write_record(folder.record_path, record)
    with run_errors(folder.change_path):
        # They show the clusters of before.
        for page in (GALLERY, REPORT):
            (folder.path / page).unlink(missing_ok=True)
        if (plan := read_plan(folder)) is not None:
            sweep(folder, plan)
        end_change(folder)
    return record


def _labelled_scenes(
    folder: RunFolder, record: RunRecord, clusters: RunClusters, date: str
) -> Iterator[LabelledScene]:
    """Give the scenes of a run with their stored segments and clusters."""
    model = clusters.model
    for scene in record.scenes:
        if record.folder is not None:
            stored = folder.segments_folder(scene.name)
            yield LabelledImages(folder.path, stored, scene.name, model, record.folder.files)
            continue
        yield labelled_scene(folder, folder, record, scene, clusters, date)
