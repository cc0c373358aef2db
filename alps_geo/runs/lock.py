"""Lock of a run folder: one process at a time works there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from alps_geo.errors import RunError
from alps_geo.files import run_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.runs.folder import RunFolder

# A command that only looks holds the lock for a moment; that must not turn a run away.
_LOCK_SECONDS = 1.0


@contextmanager
def held(folder: RunFolder, remedy: str = "or stop it") -> Iterator[None]:
    """Hold a folder, so that no other process changes it.

    Parameters
    ----------
    folder : RunFolder
        The folder; made if need be.
    remedy : str
        End of the error for users whose folder another process holds.

    Raises
    ------
    RunError
        If another process holds the folder, or it cannot be written.
    """
    # The kernel lets go of the lock when the process ends, however it does.
    lock = FileLock(folder.lock_path)
    with run_errors(folder.lock_path):
        folder.tiles_path.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout as error:
            raise RunError(
                f"another run is at work in {folder.path}; wait until it ends, {remedy}"
            ) from error
    try:
        yield
    finally:
        lock.release()


def is_running(folder: RunFolder) -> bool:
    """Return True if a process holds a folder now.

    Raises
    ------
    RunError
        If this user may not know.
    """
    if not folder.lock_path.exists():
        return False
    try:
        with FileLock(folder.lock_path, blocking=False):
            return False
    except Timeout:
        return True
    except OSError as error:
        raise RunError(
            f"{folder.lock_path}: whether a run is at work cannot be told ({error.strerror}); "
            "ask as the user who runs it"
        ) from error
