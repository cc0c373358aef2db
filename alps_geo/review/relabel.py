"""Changes of the clusters of a finished run, made from its segments without SAM, tiles or scenes.

The polygons of all scenes are locked, checked and changed first, in place. Then the change is noted
in the run folder, with the cluster model that it leads to, and the polygons are unlocked; then the
other results are written again from that model, then the model itself and the record; then the note
goes. A change that is cut short is taken up from its note, whatever command comes next, so that
results never stay half changed and no change is made twice.

Names and colours move no segment: counts stay as they are, and so do pixels unless they need other
colours.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from PIL import ImageColor

from alps_geo.clusters.fit import fit_split
from alps_geo.errors import RunError
from alps_geo.files import run_errors
from alps_geo.outputs.labelled_images import LabelledImages
from alps_geo.outputs.names import GALLERY
from alps_geo.outputs.output import LabelledScene
from alps_geo.outputs.results import (
    check_rewritable,
    rewrite_legends,
    rewrite_results,
    write_run_files,
)
from alps_geo.review.class_results import finish_classification
from alps_geo.review.edits import changing_polygons
from alps_geo.review.schemes import scheme_colors, usual_colors
from alps_geo.runs.describe import with_clusters, with_legend
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.journal import Change, begin_change, end_change
from alps_geo.runs.lock import held
from alps_geo.runs.reading import read_change, read_plan, read_record
from alps_geo.runs.record import write_record
from alps_geo.runs.run import read_changed_model, read_finished, read_model
from alps_geo.runs.writing import sweep
from alps_geo.scene.kind import scene_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
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

    def alter(run: FinishedRun) -> ClusterModel:
        if seen not in (None, run.model.stamp):
            raise RunError(
                f"{path}: these names are for clusters that have been merged, split or fitted "
                "again since the gallery was made; make it again with alps-geo clusters gallery, "
                "or leave out --seen if the numbers still mean the same"
            )
        return run.model.named(names)

    return _change(path, words, alter, discard_edits=discard_edits)


def merge_clusters(
    path: Path, clusters: Sequence[int], name: str | None = None, *, discard_edits: bool = False
) -> RunRecord:
    """Make one cluster of several, as `ClusterModel.merged`, in all results of a finished run.

    Takes `discard_edits`, returns and raises as `name_clusters`.
    """
    words = ["merge", *map(str, clusters), *([] if name is None else ["--name", name])]
    return _change(
        path, words, lambda run: run.model.merged(clusters, name), discard_edits=discard_edits
    )


def split_cluster(
    path: Path, cluster: int, parts: int, seed: int = 0, *, discard_edits: bool = False
) -> RunRecord:
    """Make several clusters of one, as `fit_split`, in all results of a finished run.

    Takes `discard_edits`, returns and raises as `name_clusters`.
    """
    words = ["split", str(cluster), "--into", str(parts), "--seed", str(seed)]

    def alter(run: FinishedRun) -> ClusterModel:
        tables = list(run.tables.values())
        areas = [table.area for table in tables]
        return fit_split(run.model, cluster, parts, tables, areas, seed)

    return _change(path, words, alter, discard_edits=discard_edits)


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

    def alter(run: FinishedRun) -> ClusterModel:
        chosen: Mapping[int, Color] = found | (usual_colors(run, found) if by_name else {})
        run.model.legend.check(chosen)
        return run.model.recolored(chosen if scheme is None else scheme_colors(run, scheme, chosen))

    return _change(path, words, alter)


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


def finish_stopped(folder: RunFolder) -> None:
    """Make a change of the clusters or classes that was stopped, from its note, if there is one.

    Raises
    ------
    RunError
        As `name_clusters`.
    """
    finish_classification(folder)
    if (stopped := read_change(folder)) is not None:
        _finish(folder, stopped, discard_edits=False)


def _change(
    path: Path,
    words: Sequence[str],
    alter: Callable[[FinishedRun], ClusterModel],
    *,
    discard_edits: bool = False,
) -> RunRecord:
    """Change the clusters of a run once, even if the command was stopped and is given again."""
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


def _begin(
    run: FinishedRun,
    command: str,
    alter: Callable[[FinishedRun], ClusterModel],
    *,
    discard_edits: bool,
) -> RunRecord:
    """Change the polygons, note the change, and make it in all other results."""
    folder, changed = run.folder, alter(run)
    for scene in _labelled_scenes(folder, run.record, changed):
        check_rewritable(scene)
    moves_segments = changed.stamp != run.model.stamp
    change = Change(command, run.record.changes or (), moves_segments)
    with changing_polygons(
        folder,
        run.record,
        run.model,
        changed,
        command,
        discard_edits=discard_edits,
        forget=partial(end_change, folder),
    ):
        begin_change(folder, change, changed.to_bytes())
    return _carry_out(folder, change)


def _finish(folder: RunFolder, stopped: Change, *, discard_edits: bool) -> RunRecord:
    """Make the change that was stopped, from its note."""
    before, after = read_model(folder.model_path), read_changed_model(folder, stopped)
    with changing_polygons(
        folder, read_record(folder), before, after, stopped.command, discard_edits=discard_edits
    ):
        pass
    return _carry_out(folder, stopped)


def _carry_out(folder: RunFolder, change: Change) -> RunRecord:
    """Make the change that is noted in all results other than the polygons."""
    record, model = read_record(folder), read_changed_model(folder, change)
    scenes = _labelled_scenes(folder, record, model)
    if change.moves_segments:
        record = with_clusters(record, model, [rewrite_results(scene) for scene in scenes])
    else:
        for scene in scenes:
            rewrite_legends(scene)
        record = with_legend(record, model)
    write_run_files(folder.path, model)
    record = replace(record, changes=(*change.earlier, change.command))
    write_record(folder.record_path, record)
    with run_errors(folder.change_path):
        # It shows the clusters of before.
        (folder.path / GALLERY).unlink(missing_ok=True)
        if (plan := read_plan(folder)) is not None:
            sweep(folder, plan)
        end_change(folder)
    return record


def _labelled_scenes(
    folder: RunFolder, record: RunRecord, model: ClusterModel
) -> Iterator[LabelledScene]:
    """Give the scenes of a run with their stored segments and the clusters of a model."""
    for scene in record.scenes:
        stored = folder.segments_folder(scene.name)
        if record.folder is not None:
            yield LabelledImages(folder.path, stored, scene.name, model, record.folder.files)
            continue
        title = scene_name(scene.path)
        yield LabelledScene(folder.scene_folder(scene.name), stored, title, model)
