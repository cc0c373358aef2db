"""Claim of a run on a folder: checks that nothing of another run is lost, lock and clearing."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.files import SIDECARS, run_errors, write_bytes
from alps_geo.outputs.names import GALLERY, REPORT, SIMILAR, SUGGESTED_PAGE, SUGGESTION
from alps_geo.outputs.provenance import current_date
from alps_geo.runs.class_journal import class_files, end_class_change
from alps_geo.runs.journal import end_change
from alps_geo.runs.lock import held
from alps_geo.runs.overrides import NO_OVERRIDES, read_overrides
from alps_geo.runs.reading import (
    check_folder,
    done_and_failed,
    has_no_clusters,
    plan_damage,
    planned_results,
    read_plan,
    read_record,
    record_damage,
    stopped_change,
)
from alps_geo.runs.store import begin_in_store
from alps_geo.runs.writing import remove_results, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.overrides import RunOverrides
    from alps_geo.runs.plan import Plan


@dataclass(frozen=True)
class Cleared:
    """A folder that a run has claimed: the run, and work of before that went.

    Attributes
    ----------
    earlier_tiles : bool
        True if tiles went that an earlier version of the program had stored.
    classes : str
        Sentence on the classes of segments that went, and how to get them again: their model
        stays. Empty if there were none.
    plan : Plan
        The run, with the date of its beginning: that of before if it goes on.
    """

    earlier_tiles: bool
    classes: str
    plan: Plan


_DISCARD = (
    "; either needs --discard-edits too if it makes other segments, and then lets go of clusters "
    "and classes that single segments were given by hand"
)

_EARLIER_TILE = re.compile(r"\d+_\d+\.npz")
"""Name of a tile's file before its outlines and its embeddings lay in two."""


@contextmanager
def claimed(
    folder: RunFolder,
    plan: Plan,
    *,
    overwrite: bool,
    force: bool = False,
    inputs: Sequence[str] = (),
    check: Callable[[set[str]], None] = lambda _: None,
) -> Iterator[Cleared]:
    """Hold a folder for a run, so that no other can use it, and clear it for the run.

    Half-written files of a killed run go, and so do tiles that the run has no use for, notes of
    failures, and the results of another run. Its cluster model stays until there is another, for it
    may be the one that is to be applied.

    Parameters
    ----------
    folder : RunFolder
        The folder.
    plan : Plan
        The run.
    overwrite : bool
        True to replace another run's results, clusters that a user has changed, and files of
        somebody else.
    force : bool
        True to do tiles again that are done, and to replace clusters that a user has changed.
    inputs : sequence of str
        Files that the run reads, and that must not be replaced in any case.
    check : callable
        Called with the results that may be replaced or removed, relative to the folder, before
        anything is; it raises if that must not happen.

    Yields
    ------
    Cleared
        The run with its date, and work of before that went.

    Raises
    ------
    RunError
        If another process is running here, or if the folder cannot be written, or holds results
        that may not be replaced.
    """
    # Before the results of a store are in it, nothing in the folder of this machine is of worth.
    replaces = overwrite or folder.store is not None
    check_claim(folder, plan, inputs, overwrite=replaces, force=force)
    with held(folder, "stop it, or choose another --out"):
        check_claim(folder, plan, inputs, overwrite=replaces, force=force)
        check({*plan.files, *planned_results(folder)})
        if folder.store is not None:
            plan = begin_in_store(folder.store, plan, overwrite=overwrite, force=force)
        with run_errors(folder.path):
            cleared = _clear(folder, plan, force=force)
        write_bytes(folder.plan_path, json.dumps(cleared.plan.to_json()).encode())
        yield cleared


def check_claim(
    folder: RunFolder, plan: Plan, inputs: Sequence[str], *, overwrite: bool, force: bool
) -> None:
    """Check that a run may have a folder; parameters and errors are those of `claimed`.

    Nothing is changed, so that it can be asked before and after the folder is locked.
    """
    check_folder(folder)
    found = read_plan(folder)
    ours = () if found is None else found.files
    _check_room(folder, plan)
    _check_inputs(folder, {*plan.files, *ours}, inputs)
    if overwrite:
        return
    if (loss := _loss(folder, found, plan)) is not None:
        raise RunError(f"{loss}{_lost_changes(folder, plan)}")
    _check_strange(folder, plan, ours)
    if force:
        return
    if (change := stopped_change(folder)) is not None:
        raise RunError(
            f"{folder.path}: alps-geo {change} was stopped here; give that command again to "
            "finish it, or --overwrite to label again with clusters of no name"
        )
    if lost := _lost_changes(folder, plan):
        raise RunError(f"{folder.path} is to be labelled again, with clusters of its own{lost}")


def _clear(folder: RunFolder, plan: Plan, *, force: bool) -> Cleared:
    """Remove everything that the run of a plan has no use for.

    The old plan goes after everything that it names, so that a clearing that is cut short is
    taken up again.
    """
    old, finished = read_plan(folder), folder.record_path.exists()
    dated = replace(plan, date=_date(old, plan, force=force))
    named = planned_results(folder)
    # The record would describe results that are about to be replaced.
    folder.record_path.unlink(missing_ok=True)
    end_change(folder)
    end_class_change(folder)
    classes = [
        name
        for name in class_files(scene.name for scene in (old or plan).scenes)
        if (folder.path / name).exists()
    ]
    remove_results(folder, classes)
    if old is None or old.fingerprint != plan.fingerprint:
        stays = {folder.model_path.name} & set(plan.files)
        remove_results(folder, [name for name in named if name not in stays])
    if old is not None or finished:
        for name in (GALLERY, REPORT, SUGGESTION, SUGGESTED_PAGE, SIMILAR):
            (folder.path / name).unlink(missing_ok=True)
    used = set() if force else _used_folders(folder, old, plan)
    notes = {folder.workers_path.name} if used and _goes_on(old, plan) else set()
    earlier = False
    for tiles in sorted(folder.tiles_path.iterdir()):
        if tiles.is_dir() and tiles.name not in used | notes:
            earlier |= any(_EARLIER_TILE.fullmatch(path.name) for path in tiles.iterdir())
            shutil.rmtree(tiles)
    for name in sorted(used):
        for failure in sorted((folder.tiles_path / name).glob("*.json")):
            failure.unlink()
    sweep(folder, plan)
    known = classes and folder.class_model_path.exists()
    return Cleared(earlier, _classes_gone(folder) if known else "", dated)


def _date(old: Plan | None, plan: Plan, *, force: bool) -> str:
    """Return the date of a run: its own, or that of before if it goes on."""
    if plan.date:
        return plan.date
    return (old.date if old is not None and _goes_on(old, plan) and not force else "") or (
        current_date()
    )


def _goes_on(old: Plan | None, plan: Plan) -> bool:
    """Return True if a run goes on with the one that was found."""
    return old is not None and old.fingerprint == plan.fingerprint


def _classes_gone(folder: RunFolder) -> str:
    """Say that classes of segments went, and how to get them again."""
    by_hand = any(scene.classes for scene in _overrides(folder).scenes.values())
    return (
        "the classes of the segments of before are gone; alps-geo classify "
        f"{folder.path} --model {folder.class_model_path} classifies the new ones"
        + (", and classes given by hand come back with it if segments are the same" * by_hand)
    )


def _used_folders(folder: RunFolder, old: Plan | None, plan: Plan) -> set[str]:
    """List the folders of the run before that a run goes on with, by name."""
    tiles = {scene.name: scene.tiles_folder for scene in plan.scenes}
    # Once the images of a split are done, their columns are in its tables alone.
    same = [scene for scene in old.scenes if plan.images] if old is not None else []
    tables = [scene.name for scene in same if tiles.get(scene.name) == scene.tiles_folder]
    return {*tiles.values(), *(folder.segments_folder(name).name for name in tables)}


def _lost_changes(folder: RunFolder, plan: Plan) -> str:
    """Describe changes of the clusters by hand that the run would lose, and how to keep them."""
    if (damage := record_damage(folder)) is not None:
        if not folder.model_path.exists():
            return ""
        lost = f"{damage}, so that nobody can tell if clusters there were changed by hand"
    else:
        changes = _changes(folder)
        if not changes:
            return ""
        more = "" if len(changes) == 1 else f", and {len(changes) - 1} before"
        lost = f"the clusters there were changed by hand (alps-geo clusters {changes[-1]}{more})"
    if plan.is_fit:
        return f"; {lost}"
    again, other = ("dataset label", "without") if plan.images else ("apply", "alps-geo label with")
    return (
        f"; {lost}: alps-geo {again} with --clusters-from {folder.model_path} --overwrite keeps "
        f"them, {other} {'it' if plan.images else '--overwrite'} lets them go"
        + (_DISCARD if _overrides(folder).scenes else "")
    )


def _overrides(folder: RunFolder) -> RunOverrides:
    """Read what a person gave single segments; none if it is damaged, which others tell of."""
    try:
        return read_overrides(folder)
    except RunError:
        return NO_OVERRIDES


def _changes(folder: RunFolder) -> tuple[str, ...]:
    """List the changes of the clusters by hand that the record here tells of."""
    if has_no_clusters(folder) or not folder.record_path.exists():
        return ()
    return read_record(folder).changes or ()


def _check_strange(folder: RunFolder, plan: Plan, ours: Sequence[str]) -> None:
    """Check that no file of somebody else has the name of a result."""
    # Earlier versions listed no files that GDAL reads next to a result.
    known = {*ours, *(f"{name}{ending}" for name in ours for ending in SIDECARS)}
    strange = [name for name in plan.files if name not in known and (folder.path / name).exists()]
    if strange:
        more = f" (and so are {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise RunError(
            f"{folder.path / strange[0]} is there already{more}, where a result has to go, and "
            "is of no run that alps-geo knows; choose another --out, or replace it with "
            "--overwrite"
        )


def _loss(folder: RunFolder, found: Plan | None, plan: Plan) -> str | None:
    """Describe the results or tiles of another run that would be lost, if there are any."""
    option = "--work" if plan.is_fit else "--out"
    if found is None:
        if not folder.record_path.exists():
            return None
        if (damage := plan_damage(folder)) is not None:
            return (
                f"{damage}, so that nobody can tell which run has finished in {folder.path}; "
                f"choose another {option}, or replace it with --overwrite, which keeps tiles that "
                "still fit"
            )
    # From fit to fit only tiles can be lost, and a fit with other settings is meant to do that.
    elif found.fingerprint == plan.fingerprint or (found.is_fit and plan.is_fit):
        return None
    results = found is None or _has_results(folder, found)
    if found is not None and not results and not _stale_tiles(folder, found, plan):
        return None
    if found is not None and found.is_fit:
        lost = "tiles of a fit of other scenes or settings"
    elif plan.is_fit and results:
        lost = "the results of alps-geo label or apply, which a fit there would remove"
    else:
        parts = "images" if plan.images else "scenes"
        lost = f"another run (other {parts}, settings or version)"
    return f"{folder.path} holds {lost}; choose another {option}, or replace it with --overwrite"


def _has_results(folder: RunFolder, found: Plan) -> bool:
    """Return True if the run that was found has a result, or its record, in its place."""
    results = [folder.record_path, *(folder.path / name for name in found.files)]
    return not found.is_fit and any(path.exists() for path in results)


def _stale_tiles(folder: RunFolder, found: Plan, plan: Plan) -> bool:
    """Return True if tiles are done that the run of `plan` has no use for."""
    used = {scene.tiles_folder for scene in plan.scenes}
    stale = [scene for scene in found.scenes if scene.tiles_folder not in used]
    return any(done_and_failed(folder, scene)[0] for scene in stale)


def _check_room(folder: RunFolder, plan: Plan) -> None:
    """Check that results can take their places: a folder is never replaced by a file."""
    for name in plan.files:
        path = folder.path / name
        if path.is_dir():
            raise RunError(f"{path} is a folder, expected a file or none; choose another --out")
        if path.parent.exists() and not path.parent.is_dir():
            raise RunError(
                f"{path.parent} is a file, expected a folder or none; choose another --out"
            )


def _check_inputs(folder: RunFolder, results: set[str], inputs: Sequence[str]) -> None:
    """Check that no result takes the place of a file that the run reads."""
    # The model that is applied is written as it is, so it may be the one that lies here.
    taken = {(folder.path / name).resolve() for name in results - {folder.model_path.name}}
    for given in inputs:
        if Path(given).resolve() in taken:
            raise RunError(
                f"{given} would be replaced by a result, and this run reads it; "
                "choose another --out, or copy it elsewhere first"
            )
