"""Clusters of a finished run, changed: from its segments, without SAM, tiles or scenes.

The polygons of all scenes are locked, checked and changed first, in place. Then the change is noted
in the run folder, with the cluster model that it leads to, and the polygons are unlocked; then the
other results are written again from that model, then the model itself and the record; then the note
goes. A change that is cut short is taken up from its note, whatever command comes next, so that
results never stay half changed and no change is made twice.

Names and colours move no segment: they leave pixels, where they need no other colours, and
everything that is counted as they are.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from PIL import ImageColor

from alps_geo.errors import RunError
from alps_geo.files import run_errors, write_bytes
from alps_geo.outputs.names import GALLERY
from alps_geo.outputs.output import LabelledScene
from alps_geo.outputs.results import (
    check_rewritable,
    rewrite_legends,
    rewrite_results,
    write_run_files,
)
from alps_geo.review.edits import changing_polygons
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.plan import Change
from alps_geo.runs.record import area_records, legend_records, to_json
from alps_geo.runs.run import read_changed_model, read_finished, read_model
from alps_geo.scene.kind import scene_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from alps_geo.clusters.colors import Color
    from alps_geo.clusters.model import ClusterModel
    from alps_geo.runs.run import FinishedRun


def name_clusters(
    path: Path, names: Mapping[int, str], seen: str | None = None, *, discard_edits: bool = False
) -> dict[str, Any]:
    """Give clusters of a finished run names, in all its results; an empty one takes a name away.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    names : mapping of int to str
        Name of each cluster id.
    seen : str, optional
        `ClusterModel.stamp` of the clusters that the names were thought out for.
    discard_edits : bool
        Whether features whose cluster, name or confidence a person has edited, and that change,
        may be overwritten.

    Returns
    -------
    dict
        The record of the run, as written to ``run.json``.

    Raises
    ------
    RunError
        If there is no finished run or no such cluster, if the clusters are others than those that
        were seen, if a name is not one line of text, if another process is at work in the folder,
        if polygons are held by another program or edits would be overwritten, or if a result
        cannot be read or written.
    """
    words = ["name", *(f"{cluster}={name}" for cluster, name in names.items())]

    def alter(run: FinishedRun) -> ClusterModel:
        if seen not in (None, run.model.stamp):
            raise RunError(
                f"{path}: these names are for clusters that have been merged, split or fitted anew "
                "since the gallery was made; make it anew with alps-geo clusters gallery, or leave "
                "out --seen if the numbers still mean the same"
            )
        return run.model.named(names)

    return _change(path, words, alter, discard_edits=discard_edits)


def merge_clusters(
    path: Path, clusters: Sequence[int], name: str | None = None, *, discard_edits: bool = False
) -> dict[str, Any]:
    """Make one cluster of several, as `ClusterModel.merged`, in all results of a finished run.

    Takes `discard_edits`, returns and raises as `name_clusters`.
    """
    words = ["merge", *map(str, clusters), *([] if name is None else ["--name", name])]
    return _change(
        path, words, lambda run: run.model.merged(clusters, name), discard_edits=discard_edits
    )


def split_cluster(
    path: Path, cluster: int, parts: int, seed: int = 0, *, discard_edits: bool = False
) -> dict[str, Any]:
    """Make several clusters of one, as `ClusterModel.split`, in all results of a finished run.

    Takes `discard_edits`, returns and raises as `name_clusters`.
    """
    words = ["split", str(cluster), "--into", str(parts), "--seed", str(seed)]

    def alter(run: FinishedRun) -> ClusterModel:
        tables = list(run.tables.values())
        return run.model.split(cluster, parts, tables, [table.area for table in tables], seed)

    return _change(path, words, alter, discard_edits=discard_edits)


def recolor_clusters(path: Path, colors: Mapping[int, str]) -> dict[str, Any]:
    """Give clusters of a finished run other colours, in all its results.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    colors : mapping of int to str
        As CSS writes them: ``#1f77b4`` or ``teal``.

    Returns and raises as `name_clusters`.
    """
    words = ["recolor", *(f"{cluster}={color}" for cluster, color in colors.items())]
    found = {cluster: parse_color(color) for cluster, color in colors.items()}
    return _change(path, words, lambda run: run.model.recolored(found))


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


def _change(
    path: Path,
    words: Sequence[str],
    alter: Callable[[FinishedRun], ClusterModel],
    *,
    discard_edits: bool = False,
) -> dict[str, Any]:
    """Alter the clusters of a run once, even if the command is given again after it was stopped."""
    folder, command = RunFolder(path), shlex.join(words)
    folder.record()  # holding the folder would make it
    with folder.held():
        stopped = folder.change()
        if stopped is not None:
            record = _finish(folder, stopped, discard_edits=discard_edits)
            if stopped.command == command:
                return record
        run = read_finished(folder)
        changed = alter(run)
        for scene in _labelled_scenes(folder, run.record, changed):
            check_rewritable(scene)
        moves_segments = changed.stamp != run.model.stamp
        change = Change(command, run.record.get("changes", []), moves_segments)
        with changing_polygons(
            folder,
            run.record,
            run.model,
            changed,
            command,
            discard_edits=discard_edits,
            forget=folder.end_change,
        ):
            folder.begin_change(change, changed.to_bytes())
        return _carry_out(folder, change)


def _finish(folder: RunFolder, stopped: Change, *, discard_edits: bool) -> dict[str, Any]:
    """Make the change that was stopped, from its note."""
    before, after = read_model(folder.model_path), read_changed_model(folder, stopped)
    with changing_polygons(
        folder, folder.record(), before, after, stopped.command, discard_edits=discard_edits
    ):
        pass
    return _carry_out(folder, stopped)


def _carry_out(folder: RunFolder, change: Change) -> dict[str, Any]:
    """Bring all but the polygons to the change that is noted."""
    record, model = folder.record(), read_changed_model(folder, change)
    scenes = _labelled_scenes(folder, record, model)
    if change.moves_segments:
        record |= area_records(model, [rewrite_results(scene) for scene in scenes])
    else:
        for scene in scenes:
            rewrite_legends(scene)
        record["clusters"] = legend_records(model, record["clusters"])
    write_run_files(folder.path, model)
    record["changes"] = [*change.earlier, change.command]
    write_bytes(folder.record_path, to_json(record))
    with run_errors(folder.change_path):
        # It shows clusters as they are no more.
        (folder.path / GALLERY).unlink(missing_ok=True)
        if (plan := folder.plan()) is not None:
            folder.sweep(plan)
        folder.end_change()
    return record


def _labelled_scenes(
    folder: RunFolder, record: dict[str, Any], model: ClusterModel
) -> Iterator[LabelledScene]:
    for scene in record["scenes"]:
        name, title = scene["name"], scene_name(scene["path"])
        yield LabelledScene(folder.scene_folder(name), folder.segments_folder(name), title, model)
