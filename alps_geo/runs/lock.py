"""Lock of a run folder: one process works there alone, or any number together on its tiles."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from portalocker import AlreadyLocked, Lock, LockException, LockFlags

from alps_geo.errors import RunError, reason_of
from alps_geo.files import run_errors
from alps_geo.runs.workers import workers_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.runs.folder import RunFolder

# A command that only looks holds the lock for a moment; that must not turn a run away.
_ALONE_SECONDS = 1.0

_TOGETHER_SECONDS = 5.0
"""Longer, for the first of many processes holds the folder alone while it writes the plan."""

_SHOWN = 3
"""Processes that an error names."""


class BusyError(RunError):
    """Another process holds the folder."""


@contextmanager
def held(folder: RunFolder, remedy: str = "or stop it") -> Iterator[None]:
    """Hold a folder alone, so that no other process changes it.

    Parameters
    ----------
    folder : RunFolder
        The folder; made if need be.
    remedy : str
        End of the error for users whose folder another process holds.

    Raises
    ------
    BusyError
        If other processes hold the folder.
    RunError
        If it cannot be written, or its file system has no locks.
    """
    lock = _acquired(folder, LockFlags.EXCLUSIVE, _ALONE_SECONDS)
    if lock is None:
        busy = f"another run is at work in {folder.path}; wait until it ends, {remedy}"
        raise BusyError(_tiles_busy(folder) if is_shared(folder) else busy)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held_together(folder: RunFolder) -> Iterator[None]:
    """Hold a folder for work on its tiles, as other processes may at the same time.

    Raises
    ------
    BusyError
        If a process holds the folder alone.
    RunError
        If it cannot be written, or its file system has no locks.
    """
    lock = _acquired(folder, LockFlags.SHARED, _TOGETHER_SECONDS)
    if lock is None:
        raise BusyError(
            f"a run that needs {folder.path} for itself is at work there, as one without --only "
            "does; wait until it ends, or stop it"
        )
    try:
        yield
    finally:
        lock.release()


def is_running(folder: RunFolder) -> bool:
    """Return True if a process holds a folder now, alone or with others.

    Raises
    ------
    RunError
        If this user may not know.
    """
    return folder.lock_path.exists() and not _is_free(folder, LockFlags.EXCLUSIVE)


def is_shared(folder: RunFolder) -> bool:
    """Return True if processes hold a folder together for work on its tiles; raises as above."""
    return is_running(folder) and _is_free(folder, LockFlags.SHARED)


def _is_free(folder: RunFolder, kind: LockFlags) -> bool:
    try:
        with _lock(folder, kind, 0.0):
            return True
    except AlreadyLocked:
        return False
    except (LockException, OSError) as error:
        raise RunError(
            f"{folder.lock_path}: whether a run is at work cannot be told ({reason_of(error)}); "
            "ask as the user who runs it"
        ) from error


def _acquired(folder: RunFolder, kind: LockFlags, seconds: float) -> Lock | None:
    """Acquire the lock of a folder, which is made if need be; None if others hold it."""
    with run_errors(folder.lock_path):
        folder.tiles_path.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder, kind, seconds)
        try:
            lock.acquire()
        except AlreadyLocked:
            return None
        except LockException as error:
            raise RunError(
                f"{folder.lock_path}: cannot be locked ({reason_of(error)}), so that two runs "
                "could change one folder; mount the file system with locks, or choose another "
                "--out"
            ) from error
    return lock


def _lock(folder: RunFolder, kind: LockFlags, seconds: float) -> Lock:
    # The kernel lets go of a lock when its process ends, however it does. NFS makes locks of its
    # own of flock's, which a file must be open for reading and writing for.
    flags = kind | LockFlags.NON_BLOCKING
    return Lock(folder.lock_path, "a+", timeout=seconds, check_interval=0.05, flags=flags)


def _tiles_busy(folder: RunFolder) -> str:
    """Say that processes work on the tiles of a folder, and name some."""
    workers = [each for each in workers_at(folder) if each.may_be_alive]
    names = [f"process {each.pid} on {each.host}" for each in workers[:_SHOWN]]
    more = [f"{len(workers) - _SHOWN} more"] if len(workers) > _SHOWN else []
    who = f" ({', '.join(names + more)})" if names else ""
    return (
        f"tiles are being worked on in {folder.path} by runs with --only tiles{who}; wait until "
        "they end, or stop them: alps-geo status tells how far they are"
    )
