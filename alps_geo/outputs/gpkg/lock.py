"""Connections to GeoPackages that other programs may have open, and their locks."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.files import run_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where closing a file drops no lock of another handle
    fcntl = None  # type: ignore[assignment]

_MAGIC = b"SQLite format 3\0"

# A program that draws the polygons holds a lock for a moment; that must not turn a command away.
_LOCK_SECONDS = 5.0

# SQLite's locks: bytes of the database that everyone shares who has it open in WAL mode, and the
# byte of its -shm that tells whether anybody has (os_unix.c: SHARED_FIRST, UNIX_SHM_DMS).
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
_SHM_OPEN = 128

_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class DamagedDatabaseError(RunError):
    """A file that is no database of SQLite, or a damaged one."""


@contextmanager
def exclusive(path: Path) -> Iterator[sqlite3.Connection]:
    """Lock a GeoPackage against changes by other programs, in a transaction.

    Opening the file settles a ``-wal`` or ``-journal`` that a crashed program left.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Yields
    ------
    sqlite3.Connection
        In an exclusive transaction, which is rolled back at the end unless it was committed.

    Raises
    ------
    RunError
        If the file is absent or damaged, if another program holds it, or if it cannot be written.
    """
    with connected(path) as database:
        with database_errors(path):
            database.execute("BEGIN EXCLUSIVE")
        yield database


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a GeoPackage, and close it at the end.

    Raises
    ------
    RunError
        If the file is absent, or open elsewhere without the lock that goes with it.
    """
    if not path.is_file():
        raise RunError(unreadable(path, "it is absent"))
    if _has_lost_its_lock(path):
        raise RunError(_held(path))
    # An address with a mode, for a plain path would be made if it went away in between.
    address = f"{path.absolute().as_uri()}?mode=rw"
    with database_errors(path):
        database = sqlite3.connect(address, timeout=_LOCK_SECONDS, isolation_level=None, uri=True)
    with closing(database):
        yield database


def settle(path: Path) -> None:
    """Make a GeoPackage one file that no other program holds, so that it can be replaced.

    Committed changes in a ``-wal`` are moved into it, an interrupted transaction in a ``-journal``
    is rolled back, and both go. A file that is no database has nothing to settle.

    Parameters
    ----------
    path : pathlib.Path
        A file that is there.

    Raises
    ------
    DamagedDatabaseError
        If the file is a damaged database.
    RunError
        If another program holds it, or if it cannot be written.
    """
    if not is_database(path):
        return
    with connected(path) as database, database_errors(path):
        # Succeeds only if no other program has the file open in WAL mode.
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("ROLLBACK")


def check_free(path: Path) -> None:
    """Check that no other program holds a GeoPackage that is to be replaced, if it is there.

    Raises
    ------
    RunError
        If one does.
    """
    with suppress(DamagedDatabaseError):  # only a new one helps
        if path.is_file():
            settle(path)


def is_database(path: Path) -> bool:
    """Return True if a file begins as databases of SQLite do.

    Don't call this while this process holds a lock of the file: POSIX drops all locks of a file
    when any descriptor of it is closed.

    Raises
    ------
    RunError
        If it cannot be read.
    """
    with run_errors(path), path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into one line for the user.

    Raises
    ------
    DamagedDatabaseError
        If the file is damaged.
    RunError
        In place of any other.
    """
    try:
        with run_errors(path):
            yield
    except sqlite3.Error as error:
        code = _code(error)
        if code in _HELD:
            raise RunError(_held(path)) from error
        if code in _DAMAGED:
            raise DamagedDatabaseError(unreadable(path, str(error))) from error
        if code == sqlite3.SQLITE_ERROR:
            raise RunError(unreadable(path, str(error))) from error
        with run_errors(path, sqlite3.Error):
            raise


def layer_columns(path: Path, database: sqlite3.Connection, layer: str) -> list[str]:
    """List the columns of a layer, in order.

    Raises
    ------
    RunError
        If there is no such layer, or the file cannot be read.
    """
    with database_errors(path):
        found = database.execute(f'PRAGMA table_info("{layer}")').fetchall()
    if not found:
        raise RunError(unreadable(path, f"the layer {layer} is absent"))
    return [name for _, name, *_ in found]


def check_columns(
    path: Path, database: sqlite3.Connection, layer: str, needed: Sequence[str]
) -> None:
    """Check that a layer has the columns that a command reads or writes.

    Raises
    ------
    RunError
        If one was deleted or renamed.
    """
    columns = layer_columns(path, database, layer)
    if absent := [name for name in needed if name not in columns]:
        raise RunError(
            f"{path}: the layer {layer} has no column {' and no column '.join(absent)}; "
            "if it was renamed, give it that name again; if it was deleted, alps-geo label "
            "with --force --discard-edits writes the file again"
        )


def _has_lost_its_lock(path: Path) -> bool:
    """Return True if another program has a database open in WAL mode, but holds no lock of it.

    POSIX drops all locks that a program has on a file once it closes any handle of it, as it does
    when it looks at the first bytes. SQLite then takes the file for closed and, at the end of our
    work, removes the ``-wal`` that the program goes on with.
    """
    shared_memory = path.with_name(f"{path.name}-shm")
    if fcntl is None or not shared_memory.exists():
        return False
    return _is_locked(shared_memory, _SHM_OPEN, 1) and not _is_locked(
        path, _SHARED_FIRST, _SHARED_SIZE
    )


def _is_locked(path: Path, start: int, size: int) -> bool:
    """Return True if another program has locked some bytes of a file."""
    with run_errors(path), path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, size, start)
        except (BlockingIOError, PermissionError):
            return True
    return False


def _held(path: Path) -> str:
    return (
        f"{path}: another program holds it, such as QGIS with changes that are not saved; "
        "save or close it there, and give the command again"
    )


def unreadable(path: Path, reason: str) -> str:
    """Return the message that the segments in a GeoPackage cannot be read, with the remedy."""
    return (
        f"{path}: the segments cannot be read ({reason}); expected those of a finished run: "
        "run alps-geo label there again with --force"
    )


def _code(error: sqlite3.Error) -> int:
    """Primary code of an error: extended ones keep it in their lowest byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
