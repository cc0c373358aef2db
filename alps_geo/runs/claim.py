"""Checks that a run may have a folder: whether it would lose what another has done there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.runs.plan import Plan
    from alps_geo.runs.run_files import RunFiles


def check_claim(
    files: RunFiles, plan: Plan, inputs: Sequence[str], *, overwrite: bool, force: bool
) -> None:
    """Check that a run may have a folder; parameters and errors are those of `RunFolder.claimed`.

    Nothing is changed, so that it can be asked before and after the folder is locked.
    """
    files.check_folder()
    found = files.plan()
    ours = () if found is None else found.files
    _check_room(files, plan)
    _check_inputs(files, {*plan.files, *ours}, inputs)
    if overwrite:
        return
    if (loss := _loss(files, found, plan)) is not None:
        raise RunError(f"{loss}{_what_is_lost(files, plan)}")
    _check_strange(files, plan, ours)
    if force:
        return
    if (change := files.stopped_change()) is not None:
        raise RunError(
            f"{files.path}: alps-geo clusters {change} was stopped here; give that command "
            "again to finish it, or --overwrite to label anew with clusters of no name"
        )
    if lost := _what_is_lost(files, plan):
        raise RunError(f"{files.path} is to be labelled anew, with clusters of its own{lost}")


def _what_is_lost(files: RunFiles, plan: Plan) -> str:
    """Say what new clusters would replace and no command can bring back, and how to keep it."""
    if (damage := files.record_damage()) is not None:
        if not files.model_path.exists():
            return ""
        lost = f"{damage}, so that nobody can tell if clusters there were changed by hand"
    else:
        changes = _changes(files)
        if not changes:
            return ""
        more = "" if len(changes) == 1 else f", and {len(changes) - 1} before"
        lost = f"the clusters there were changed by hand (alps-geo clusters {changes[-1]}{more})"
    if plan.is_fit:
        return f"; {lost}"
    return (
        f"; {lost}: alps-geo apply with --clusters-from {files.model_path} --overwrite keeps them, "
        "alps-geo label with --overwrite lets them go"
    )


def _changes(files: RunFiles) -> list[str]:
    if files.fitted_model() is not None or not files.record_path.exists():
        return []
    changes: list[str] = files.record().get("changes", [])
    return changes


def _check_strange(files: RunFiles, plan: Plan, ours: Sequence[str]) -> None:
    strange = [name for name in plan.files if name not in ours and (files.path / name).exists()]
    if strange:
        more = f" (and so are {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise RunError(
            f"{files.path / strange[0]} is there already{more}, where a result has to go, and "
            "is of no run that alps-geo knows; choose another --out, or replace it with "
            "--overwrite"
        )


def _loss(files: RunFiles, found: Plan | None, plan: Plan) -> str | None:
    """Say what another run has done here that would be gone: results, or tiles of no use."""
    option = "--work" if plan.is_fit else "--out"
    if found is None:
        if not files.record_path.exists():
            return None
        if (damage := files.plan_damage()) is not None:
            return (
                f"{damage}, so that nobody can tell which run has finished in {files.path}; choose "
                f"another {option}, or replace it with --overwrite, which keeps tiles that still "
                "fit"
            )
    # From fit to fit only tiles can be lost, and a fit with other settings is meant to do that.
    elif found.run == plan.run or (found.is_fit and plan.is_fit):
        return None
    results = found is None or _has_results(files, found)
    if found is not None and not results and not _stale_tiles(files, found, plan):
        return None
    if found is not None and found.is_fit:
        what = "tiles of a fit of other scenes or settings"
    elif plan.is_fit and results:
        what = "the results of alps-geo label or apply, which a fit there would remove"
    else:
        what = "another run (other scenes, settings or version)"
    return f"{files.path} holds {what}; choose another {option}, or replace it with --overwrite"


def _has_results(files: RunFiles, found: Plan) -> bool:
    results = [files.record_path, *(files.path / name for name in found.files)]
    return not found.is_fit and any(path.exists() for path in results)


def _stale_tiles(files: RunFiles, found: Plan, plan: Plan) -> bool:
    """Return True if tiles are done that the run of `plan` has no use for."""
    used = {scene.tiles_folder for scene in plan.scenes}
    stale = [scene for scene in found.scenes if scene.tiles_folder not in used]
    return any(files.done_and_failed(scene)[0] for scene in stale)


def _check_room(files: RunFiles, plan: Plan) -> None:
    """See to it that results can take their places: folders are never replaced by files."""
    for name in plan.files:
        path = files.path / name
        if path.is_dir():
            raise RunError(f"{path} is a folder, expected a file or none; choose another --out")
        if path.parent.exists() and not path.parent.is_dir():
            raise RunError(
                f"{path.parent} is a file, expected a folder or none; choose another --out"
            )


def _check_inputs(files: RunFiles, results: set[str], inputs: Sequence[str]) -> None:
    # The model that is applied is written as it is, so it may be the one that lies here.
    places = {(files.path / name).resolve() for name in results - {files.model_path.name}}
    for given in inputs:
        if Path(given).resolve() in places:
            raise RunError(
                f"{given} would be replaced by a result, and this run reads it; "
                "choose another --out, or copy it elsewhere first"
            )
