"""Checks that a run may have a folder: whether it would lose what another has done there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.plan import Plan
    from alps_geo.run_files import RunFiles


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
    if _would_lose(files, found, plan):
        raise RunError(
            f"{files.path} holds another run (other scenes, settings or version); "
            f"choose another --out, or replace it with --overwrite{_what_is_lost(files)}"
        )
    _check_strange(files, plan, ours)
    if force:
        return
    if (change := files.stopped_change()) is not None:
        raise RunError(
            f"{files.path}: alps-geo clusters {change} was stopped here; give that command "
            "again to finish it, or --overwrite to label anew with clusters of no name"
        )
    if lost := _what_is_lost(files):
        raise RunError(f"{files.path} is to be labelled anew, with clusters of its own{lost}")


def _what_is_lost(files: RunFiles) -> str:
    """Say what new clusters would replace and no command can bring back, and how to keep it."""
    changes = (files.found_record() or {}).get("changes", [])
    if not changes:
        return ""
    more = "" if len(changes) == 1 else f", and {len(changes) - 1} before"
    return (
        f"; the clusters there were changed by hand (alps-geo clusters {changes[-1]}{more}): "
        f"alps-geo apply with --clusters-from {files.model_path} --overwrite keeps them, "
        "alps-geo label with --overwrite lets them go"
    )


def _check_strange(files: RunFiles, plan: Plan, ours: Sequence[str]) -> None:
    strange = [name for name in plan.files if name not in ours and (files.path / name).exists()]
    if strange:
        more = f" (and so are {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise RunError(
            f"{files.path / strange[0]} is there already{more}, where a result has to go, and "
            "is of no run that alps-geo knows; choose another --out, or replace it with "
            "--overwrite"
        )


def _would_lose(files: RunFiles, found: Plan | None, plan: Plan) -> bool:
    """Whether what another run has done here would be gone: results, or tiles of no use."""
    if found is None:
        return files.record_path.exists()
    # A fit leaves nothing here that could be lost: its model lies elsewhere.
    if found.run == plan.run or not found.files:
        return False
    used = {scene.tiles_folder for scene in plan.scenes}
    stale = [scene for scene in found.scenes if scene.tiles_folder not in used]
    results = [files.record_path, *(files.path / name for name in found.files)]
    return any(path.exists() for path in results) or any(
        files.done_and_failed(scene)[0] for scene in stale
    )


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
