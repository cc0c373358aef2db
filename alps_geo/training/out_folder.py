"""The folder of a training: claimed, gone on with, or begun again, and nothing of others lost."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from alps_geo.errors import RunError
from alps_geo.files import restore_folder, run_errors
from alps_geo.runs.stored_json import DamagedError, check_shape, read_json
from alps_geo.training.checkpoint import CHECKPOINT
from alps_geo.training.model_folder import (
    DESCRIPTION,
    EVENTS,
    OF_MODEL,
    OF_TRAINING,
    PLAN,
    read_model,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alps_geo.training.model import TrainedModel
    from alps_geo.training.processes import Processes

_KIND = "alps-geo training"
_SHAPE = {"kind": _KIND, "deciding": {}}


@dataclass(frozen=True)
class OutFlags:
    """Flags for the folder of a training.

    Attributes
    ----------
    resume : bool
        True to go on with a training that was stopped, or to begin one.
    overwrite : bool
        True to begin again, whatever training or model is there.
    """

    resume: bool = False
    overwrite: bool = False


def finished_model(
    folder: Path, deciding: Mapping[str, object], flags: OutFlags
) -> TrainedModel | None:
    """Check a folder, and return its model if the training has come to its end there.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.
    deciding : mapping of str to object
        All that decides the weights, as plain values.
    flags : OutFlags
        Permissions.

    Raises
    ------
    RunError
        If the folder is taken by something else, or by a training that is not to be touched or is
        another one.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file, expected a folder; choose another --out")
    found, is_done = _begun(folder), (folder / DESCRIPTION).exists()
    if found is None and not is_done:
        if folder.is_dir() and any(folder.iterdir()):
            raise RunError(
                f"{folder} is there and holds no training of alps-geo; choose another --out"
            )
        return None
    has_begun = is_done or (folder / CHECKPOINT).exists()
    if flags.overwrite or not has_begun:
        return None
    if found is None or (is_done and not flags.resume):
        raise RunError(
            f"{folder} holds a trained model; --overwrite replaces it, another --out keeps it"
        )
    if not flags.resume:
        raise RunError(
            f"{folder} holds a training that was stopped; --resume goes on with it, --overwrite "
            "begins again, another --out keeps it"
        )
    _check_same(folder, found, deciding)
    return read_model(folder) if is_done else None


def earlier_model(
    folder: Path, deciding: Mapping[str, object], flags: OutFlags, processes: Processes
) -> TrainedModel | None:
    """Check a folder as `finished_model`, once a replacement that a kill cut short is undone.

    Processes that train together look at it between the same two steps of the first.

    Raises
    ------
    RunError
        As `finished_model`.
    """
    if processes.is_first:
        restore_folder(folder)
    processes.wait()
    if (done := finished_model(folder, deciding, flags)) is None:
        processes.wait()
    return done


@contextmanager
def claimed(
    folder: Path, deciding: Mapping[str, object], flags: OutFlags, processes: Processes
) -> Iterator[None]:
    """Hold the folder of a training, and mark it as such; the first process does that for all.

    Raises
    ------
    RunError
        If it cannot be written, or another process trains there.
    """
    if not processes.is_first:
        processes.wait()
        yield
        return
    with run_errors(folder / PLAN):
        folder.mkdir(parents=True, exist_ok=True)
    # Next to the folder, which the finished model replaces as a whole.
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with run_errors(folder / PLAN):
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise RunError(
                f"another process is training in {folder}; wait until it ends, or stop it"
            ) from error
    try:
        if flags.overwrite:
            _clear(folder)
        write_json(folder / PLAN, {"kind": _KIND, "deciding": dict(deciding)})
        processes.wait()
        yield
    finally:
        lock.release()
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Remove a training and its model, and nothing else."""
    with run_errors(folder / PLAN):
        for path in folder.iterdir():
            if not any(fnmatch(path.name, each) for each in (*OF_TRAINING, *OF_MODEL, EVENTS)):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _begun(folder: Path) -> Mapping[str, Any] | None:
    """Return all that decides the training in a folder, None if there is none."""
    try:
        found = read_json(folder / PLAN, lambda found: check_shape(found, _SHAPE))
    except DamagedError as error:
        raise RunError(f"{error}; choose another --out") from error
    return None if found is None else found["deciding"]


def _check_same(folder: Path, found: Mapping[str, Any], deciding: Mapping[str, object]) -> None:
    """Raise RunError if a training is another one, with the first thing that differs."""
    for name in (*deciding, *found):
        before, now = found.get(name), deciding.get(name)
        if before != now:
            known = {"chips": "other chips, masks or classes", "parent": "another model"}
            what = known.get(name, f"{name} {before}, not {now}")
            raise RunError(
                f"{folder} holds a training with {what}; give it as it was to go on, or "
                "--overwrite to begin again"
            )
