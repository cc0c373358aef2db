"""Runs in object stores: their plan, tiles and results, without locks and renaming.

Workers on any machines put tiles whole, and the same tile has the same bytes whoever makes it. The
plan is put first, under a condition where the store knows some. The record is put last, and goes
first, so that whoever finds it finds all results.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from shutil import rmtree
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.files import SIDECARS, run_errors
from alps_geo.files.storage import each_at_once
from alps_geo.outputs.names import GALLERY, REPORT, SIMILAR, SUGGESTED_PAGE, SUGGESTION
from alps_geo.outputs.provenance import current_date
from alps_geo.runs.folder import OVERRIDES, RECORD, TILES
from alps_geo.runs.lock import held
from alps_geo.runs.plan import Plan
from alps_geo.runs.prediction import PredictionRecord
from alps_geo.runs.reading import finished_record, read_plan
from alps_geo.runs.record import FitRecord, RunRecord
from alps_geo.runs.stored_json import DamagedError, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alps_geo.events import Tally
    from alps_geo.files.storage import ObjectStore
    from alps_geo.runs.flags import RunFlags
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.reading import Finished

    AnyRecord = RunRecord | FitRecord | PredictionRecord

_PLAN = f"{TILES}/run.json"

_LARGE = 8 * 2**20
"""Bytes of a file above which it is put by itself: so memory holds few of them at once."""

_PAGES = (GALLERY, REPORT, SUGGESTION, SUGGESTED_PAGE, SIMILAR, OVERRIDES)
"""Files of a run that its plan does not list."""


def stored_plan(store: ObjectStore) -> Plan | None:
    """Read the plan of the run in a store; None if there is none.

    Raises
    ------
    RunError
        If it is damaged, or the store does not answer.
    """
    content = store.read(_PLAN)
    try:
        return None if content is None else parse_json(content, _at(store, _PLAN), Plan.from_json)
    except DamagedError as error:
        raise RunError(
            f"{error}; remove it, or choose another --out: tiles that are done are kept"
        ) from error


def stored_record(store: ObjectStore) -> AnyRecord | None:
    """Read the record of the finished run in a store; None if none has finished.

    It may be that of a fit or a prediction.

    Raises
    ------
    RunError
        If it is damaged, or the store does not answer.
    """
    content = store.read(RECORD)
    try:
        return None if content is None else parse_json(content, _at(store, RECORD), _any_record)
    except DamagedError as error:
        raise RunError(f"{error}; remove it, and give the command of that run again") from error


def finished_in_store(
    store: ObjectStore, fingerprint: str, kind: type[Finished]
) -> Finished | None:
    """Read the record of the run with a fingerprint, if all of it is done and in the store.

    Parameters
    ----------
    store : ObjectStore
        The store.
    fingerprint : str
        Fingerprint of the plan of the run.
    kind : type
        Class of its record.

    Returns
    -------
    RunRecord or PredictionRecord or None
        None also if a tile or scene failed, or a result is absent.
    """
    plan = stored_plan(store)
    if plan is None or plan.fingerprint != fingerprint:
        return None
    record = stored_record(store)
    if not isinstance(record, kind) or record.failed:
        return None
    return None if set(plan.files) - _present(store, plan.files) else record


def begin_in_store(store: ObjectStore, plan: Plan, *, overwrite: bool, force: bool) -> Plan:
    """Clear a store for a run, and put its plan there.

    Results of another run go, its record first, and tiles that the run has no use for. The plan of
    before goes last, so that a clearing that is cut short is taken up again.

    Parameters
    ----------
    store : ObjectStore
        The store.
    plan : Plan
        The run. If it has a date already, results of that date are made.
    overwrite, force : bool
        As in `alps_geo.runs.flags.RunFlags`.

    Returns
    -------
    Plan
        The run with its date: that of before if it goes on.

    Raises
    ------
    RunError
        If the store holds results that may not be replaced, or does not answer.
    """
    found = stored_plan(store)
    goes_on = found is not None and found.fingerprint == plan.fingerprint
    if not overwrite:
        _check(store, found, plan, force=force)
    if store.exists(RECORD):
        store.remove([RECORD])
    if found is not None and not goes_on:
        _remove_results(store, found)
    if found is not None and (force or not goes_on):
        _remove_tiles(store, set() if force else {scene.tiles_folder for scene in plan.scenes})
    if goes_on:
        _forget_failures(store, plan)
    if found is not None and goes_on and not force:
        return found
    dated = replace(plan, date=plan.date or current_date())
    content = json.dumps(dated.to_json()).encode()
    if found is not None:
        store.put(_PLAN, content)
        return dated
    return dated if store.put_new(_PLAN, content) else _other_plan(store, plan)


def join_in_store(store: ObjectStore, plan: Plan) -> None:
    """Put the plan of a run into a store, unless it is there, for work on tiles next to others.

    Raises
    ------
    RunError
        If the store holds another run, or results that would be replaced, or does not answer.
    """
    found = stored_plan(store)
    if found is None:
        _check(store, None, plan, force=False)
        dated = replace(plan, date=current_date())
        if not store.put_new(_PLAN, json.dumps(dated.to_json()).encode()):
            _other_plan(store, plan)
    elif found.fingerprint != plan.fingerprint:
        raise RunError(
            f"{_another(store, plan)}, whose tiles stay; choose another {_option(plan)}, or give "
            "the command once without --only tiles and with --overwrite, which keeps tiles that "
            "still fit"
        )


def publish(folder: RunFolder, tally: Tally) -> None:
    """Put the results of a run that has finished in a folder of this machine into its store.

    The record is put last. Then the folder is emptied, but for the note of its address. Nothing is
    done for a run that is kept in the folder.

    Parameters
    ----------
    folder : RunFolder
        The folder, held by this process.
    tally : Tally
        Told before results are put.

    Raises
    ------
    RunError
        If the store does not take a file: then all remain here, and are put by the next call.
    """
    if (store := folder.store) is None:
        return
    tally.tell("upload")
    sizes = {name: (folder.path / name).stat().st_size for name in _results(folder)}
    # Parts of a large one are put at the same time.
    for name in (name for name, size in sizes.items() if size > _LARGE):
        store.put_file(name, folder.path / name)
    small = [name for name, size in sizes.items() if size <= _LARGE]
    each_at_once(lambda name: store.put_file(name, folder.path / name), small)
    store.put_file(RECORD, folder.record_path)
    # The record says by now which machines made the tiles.
    notes = f"{TILES}/{folder.workers_path.name}"
    store.remove(f"{notes}/{name}" for name in store.names(notes))
    with run_errors(folder.path):
        _empty(folder)


def _results(folder: RunFolder) -> list[str]:
    """List the files to put, without the record: no tile, and nothing that is of this machine."""
    plan = read_plan(folder)
    # Segments that a fit leaves are of no use to another run.
    if plan is None or plan.is_fit:
        return []
    tiles = {scene.tiles_folder for scene in plan.scenes}
    paths = (path.relative_to(folder.path) for path in folder.path.rglob("*") if path.is_file())
    names = [
        path.as_posix()
        for path in paths
        if path.parts[0] != TILES or (len(path.parts) > 2 and path.parts[1] not in tiles)
    ]
    more = [f"{TILES}/{path.name}" for path in (folder.polygons_path,) if path.exists()]
    return [*more, *sorted(set(names) - {RECORD})]


def _empty(folder: RunFolder) -> None:
    """Remove all of a folder but its lock, which is held, and the note of its address.

    The record goes first: without it the rest is taken for what a stopped run left.
    """
    folder.record_path.unlink()
    stays = {folder.tiles_path, folder.lock_path, folder.address_path}
    for path in {*folder.path.iterdir(), *folder.tiles_path.iterdir()} - stays:
        if path.is_dir():
            rmtree(path)
        else:
            path.unlink()


def earlier_record(
    folder: RunFolder, plan: Plan, tally: Tally, flags: RunFlags, kind: type[Finished]
) -> Finished | None:
    """Read the record of a run, if all of it is done, in its place, and not to be done again.

    Results that were made for a store and are not there yet are put there.

    Parameters
    ----------
    folder : RunFolder
        The run folder.
    plan : Plan
        The run.
    tally : Tally
        Told of each result that is put.
    flags : RunFlags
        Treatment of earlier results.
    kind : type
        Class of its record.

    Returns
    -------
    RunRecord or PredictionRecord or None
        None if there is something to be done.

    Raises
    ------
    RunError
        If the folder is a file, or a store does not take the results.
    """
    if flags.force:
        return None
    if folder.store is None:
        return finished_record(folder, plan.fingerprint, kind)
    if (record := finished_in_store(folder.store, plan.fingerprint, kind)) is not None:
        return record
    made, record = read_plan(folder), finished_record(folder, plan.fingerprint, kind)
    if made is None or record is None:
        return None
    with held(folder, "stop it, or choose another --out"):
        # Results of another date are those of a run of before.
        if begin_in_store(folder.store, made, overwrite=flags.overwrite, force=False) != made:
            return None
        publish(folder, tally)
    return record


def _check(store: ObjectStore, found: Plan | None, plan: Plan, *, force: bool) -> None:
    """Check that nothing of another run is lost, and no file of somebody else."""
    if found is None:
        if strange := sorted(_present(store, {*plan.files, RECORD})):
            raise RunError(
                f"{_at(store, strange[0])} is there already, where a result has to go, and is of "
                f"no run that alps-geo knows; choose another {_option(plan)}, or replace it with "
                "--overwrite"
            )
        return
    if found.fingerprint != plan.fingerprint:
        # From fit to fit only tiles can be lost, and a fit with other settings is meant to do that.
        if found.is_fit and plan.is_fit:
            return
        results = set() if found.is_fit else _present(store, {*plan.files, *found.files, RECORD})
        if results or _stale_tiles(store, found, plan):
            raise RunError(
                f"{_another(store, plan)}; choose another {_option(plan)}, or replace it with "
                "--overwrite"
            )
        return
    record = None if force else stored_record(store)
    if isinstance(record, RunRecord) and record.changes:
        raise RunError(
            f"{store.address} is to be labelled again, with clusters of its own; the clusters "
            f"there were changed by hand (alps-geo clusters {record.changes[-1]}): choose another "
            "--out to keep them, --overwrite lets them go"
        )


def _stale_tiles(store: ObjectStore, found: Plan, plan: Plan) -> bool:
    used = {scene.tiles_folder for scene in plan.scenes}
    folders = [each.tiles_folder for each in found.scenes if each.tiles_folder not in used]
    return any(store.names(f"{TILES}/{folder}") for folder in folders)


def _present(store: ObjectStore, files: Iterable[str]) -> set[str]:
    """Return the files that are in a store, by one listing of each folder of a scene."""
    found: set[str] = set()
    paths = [PurePosixPath(name) for name in files]
    for parent in sorted({path.parent for path in paths}):
        names = {path.name for path in paths if path.parent == parent}
        if parent == PurePosixPath():
            # Whatever else lies at the address may be very much.
            found |= {name for name in names if store.exists(name)}
        else:
            listed = names & set(store.names(str(parent)))
            found |= {str(parent / name) for name in listed}
    return found


def _remove_results(store: ObjectStore, found: Plan) -> None:
    known = {*found.files, *(f"{name}{ending}" for name in found.files for ending in SIDECARS)}
    store.remove(sorted(_present(store, known | {*_PAGES})))


def _remove_tiles(store: ObjectStore, used: set[str]) -> None:
    """Remove all that is no result, but the plan and the folders of tiles that are used."""
    stays = {*used, PurePosixPath(_PLAN).name}
    names = [name for name in store.names(TILES) if name.partition("/")[0] not in stays]
    store.remove(f"{TILES}/{name}" for name in names)


def _forget_failures(store: ObjectStore, plan: Plan) -> None:
    for scene in plan.scenes:
        tiles = f"{TILES}/{scene.tiles_folder}"
        notes = [name for name in store.names(tiles) if name.endswith(".json")]
        store.remove(f"{tiles}/{name}" for name in notes)


def _other_plan(store: ObjectStore, plan: Plan) -> Plan:
    """Return the plan that another process has put at the same moment, if it is the same run."""
    found = stored_plan(store)
    if found is None or found.fingerprint != plan.fingerprint:
        raise RunError(
            f"{store.address}: another run (other scenes, settings or version) has begun there; "
            f"choose another {_option(plan)}, or wait and replace it with --overwrite"
        )
    return found


def _another(store: ObjectStore, plan: Plan) -> str:
    parts = "images" if plan.images else "scenes"
    return f"{store.address} holds another run (other {parts}, settings or version)"


def _option(plan: Plan) -> str:
    return "--work" if plan.is_fit else "--out"


def _at(store: ObjectStore, name: str) -> str:
    return f"{store.address}/{name}"


def _any_record(found: object) -> AnyRecord:
    for kind in (FitRecord, PredictionRecord):
        with suppress(ValueError):
            return kind.from_json(found)
    return RunRecord.from_json(found)
