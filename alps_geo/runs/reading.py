"""Small files of a run folder, read: plan, record, note of a change and notes of failed tiles.

A file that is damaged is told in one line, with the command that mends it.
"""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from alps_geo.errors import RunError
from alps_geo.runs.class_journal import read_class_change
from alps_geo.runs.failures import Failure, failure_from_json
from alps_geo.runs.folder import OUTLINES, PROBABILITIES
from alps_geo.runs.journal import Change
from alps_geo.runs.plan import Plan
from alps_geo.runs.prediction import PredictionRecord
from alps_geo.runs.record import FitRecord, RunRecord, listed_results
from alps_geo.runs.stored_json import DamagedError, parse_json, read_json
from alps_geo.segments.names import IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.plan import PlannedScene

Finished = TypeVar("Finished", RunRecord, PredictionRecord)


def check_folder(folder: RunFolder) -> None:
    """Raise RunError if the folder is a file."""
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path} is a file, expected a folder; choose another --out")


def read_plan(folder: RunFolder) -> Plan | None:
    """Read the plan of the run in a folder; None if there is none, or it is damaged."""
    with suppress(DamagedError):
        return read_json(folder.plan_path, Plan.from_json)
    return None


def plan_damage(folder: RunFolder) -> str | None:
    """Describe the damage of the plan in a folder, if it has any."""
    return _damage(folder.plan_path, Plan.from_json)


def planned_results(folder: RunFolder) -> tuple[str, ...]:
    """List the results that the run in a folder has, or is to have, relative to the folder."""
    plan = read_plan(folder)
    return listed_results(folder.record_path) if plan is None else plan.files


def read_record(folder: RunFolder) -> RunRecord:
    """Read the record of the run that has labelled scenes in a folder.

    Raises
    ------
    RunError
        If there is none, if it is damaged, or if it is that of a fit or a prediction.
    """
    if (fit := _fit_record(folder)) is not None:
        raise RunError(
            f"{folder.path} is where alps-geo fit worked, and holds tiles but no labels (its "
            f"clusters are in {fit.fitted}); alps-geo label with --out {folder.path} labels the "
            f"same scenes, alps-geo apply with --clusters-from {fit.fitted} any scenes"
        )
    if read_prediction(folder) is not None:
        raise RunError(
            f"{folder.path} holds maps that alps-geo train predict has made, which have neither "
            "segments nor clusters; expected the --out of alps-geo label or apply: train predict "
            "--segments gives the segments of such a run classes"
        )
    try:
        record = read_json(folder.record_path, RunRecord.from_json)
    except DamagedError as error:
        raise RunError(f"{error}; {remedy(folder)}") from error
    if record is None:
        raise RunError(
            f"{folder.path} holds no finished run of alps-geo; "
            "give the folder that was the --out of a run that has come to its end"
        )
    return record


def finished_record(folder: RunFolder, fingerprint: str, kind: type[Finished]) -> Finished | None:
    """Read the record of the run with a fingerprint, if all of it is done and in its place.

    Parameters
    ----------
    folder : RunFolder
        The folder.
    fingerprint : str
        Fingerprint of the plan of the run.
    kind : type
        Class of its record.

    Returns
    -------
    RunRecord or PredictionRecord or None
        None also if a tile or scene failed, a result is absent, or a change was stopped.

    Raises
    ------
    RunError
        If the folder is a file.
    """
    check_folder(folder)
    if not _is_whole(folder, fingerprint) or folder.change_path.exists():
        return None
    try:
        record = read_json(folder.record_path, kind.from_json)
    except DamagedError:
        return None
    return None if record is None or record.failed else record


def _is_whole(folder: RunFolder, fingerprint: str) -> bool:
    """Return True if the run with a fingerprint is that of a folder, and all its results exist."""
    plan = read_plan(folder)
    if plan is None or plan.fingerprint != fingerprint:
        return False
    return all((folder.path / name).exists() for name in plan.files)


def read_prediction(folder: RunFolder) -> PredictionRecord | None:
    """Read the record of the prediction in a folder; None if another run, or none, is there."""
    with suppress(DamagedError):
        return read_json(folder.record_path, PredictionRecord.from_json)
    return None


def record_damage(folder: RunFolder) -> str | None:
    """Describe the damage of the record in a folder, if it has any."""
    if has_no_clusters(folder):
        return None
    return _damage(folder.record_path, RunRecord.from_json)


def has_no_clusters(folder: RunFolder) -> bool:
    """Return True if a fit or a prediction has finished in a folder."""
    return _fit_record(folder) is not None or read_prediction(folder) is not None


def _fit_record(folder: RunFolder) -> FitRecord | None:
    with suppress(DamagedError):
        return read_json(folder.record_path, FitRecord.from_json)
    return None


def remedy(folder: RunFolder) -> str:
    """Return the command that writes all results again, for users whose files are damaged."""
    if (plan := read_plan(folder)) is not None and plan.images:
        return (
            "alps-geo dataset label with --overwrite does that run again, and keeps the segments "
            f"of its images (and with --clusters-from {folder.model_path} its clusters)"
        )
    if not folder.model_path.exists():
        return "alps-geo label with --overwrite does that run again, and keeps its tiles"
    if _damage(folder.record_path, RunRecord.from_json) is None:
        given = shlex.join(["--config", str(folder.record_path)])
    else:
        given = "with the scenes and options of that run and"
    out, model = shlex.quote(str(folder.path)), shlex.quote(str(folder.model_path))
    return (
        f"alps-geo apply {given} --clusters-from {model} --out {out} --overwrite "
        "writes all results again, and keeps these clusters and their names"
    )


def read_change(folder: RunFolder) -> Change | None:
    """Read the note of a change of the clusters that has begun and not ended, if there is one.

    Raises
    ------
    RunError
        If it is damaged.
    """
    try:
        return read_json(folder.change_path, Change.from_json)
    except DamagedError as error:
        raise RunError(
            f"{error}: alps-geo clusters was stopped here while it changed the clusters, and "
            f"that cannot be finished; {remedy(folder)}"
        ) from error


def stopped_change(folder: RunFolder) -> str | None:
    """Return the command that was changing clusters or classes when it was stopped, if one was.

    It is given as typed after ``alps-geo``.

    Raises
    ------
    RunError
        If the note of the change is damaged.
    """
    if (change := read_change(folder)) is not None:
        return f"clusters {change.command}"
    classes = read_class_change(folder)
    return None if classes is None else classes.command


def holds_run(folder: RunFolder) -> bool:
    """Return True if a run with results has begun here, finished or not."""
    plan = read_plan(folder)
    return folder.record_path.exists() if plan is None else not plan.is_fit


def has_finished(folder: RunFolder) -> bool:
    """Return True if the run has written all its results, and no change of them was stopped.

    Raises
    ------
    RunError
        If its record, or the note of a change, is damaged.
    """
    if (damage := record_damage(folder)) is not None:
        raise RunError(f"{damage}; {remedy(folder)}")
    return folder.record_path.exists() and stopped_change(folder) is None


def done_and_failed(folder: RunFolder, scene: PlannedScene) -> tuple[int, list[Failure]]:
    """Count the tiles of a scene, or images of a split, that are done; list those that failed."""
    tiles = folder.tile_storage(scene.tiles_folder)
    names = tiles.names()
    failed = []
    for name in (name for name in names if name.endswith(".json")):
        # Gone if a run has just begun, which tries the tile again; so it does without a reason.
        with suppress(DamagedError):
            if (note := tiles.read(name)) is not None:
                failed.append(parse_json(note, name, failure_from_json))
    endings = (f".{OUTLINES}", f".{IMAGE}", f".{PROBABILITIES}")
    done = {
        name.removesuffix(ending) for ending in endings for name in names if name.endswith(ending)
    }
    return len(done - {name.removesuffix(".json") for name in names}), failed


def _damage(path: Path, build: Callable[[object], object]) -> str | None:
    try:
        read_json(path, build)
    except DamagedError as error:
        return str(error)
    return None
