"""Files on a disk that appear whole or not at all.

Everything is written in a hidden folder next to the result and moved into place at the end, on the
same file system, so that a crash, a full disk or Ctrl-C never leaves half a file under a result's
name. The hidden folder is named after the result: what a killed run left there goes with the next.
Files and the folders that name them are flushed to the disk, so that a power loss does no worse.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
import zipfile
import zlib
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from filelock import FileLock, Timeout

from alps_geo.errors import DiskError, RunError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


GDAL_CACHE_BYTES = 128 * 2**20
"""Blocks that GDAL may hold: a row of them. Left alone it takes 5 % of the machine's memory.

rasterio takes this option in bytes, where GDAL would take small numbers for megabytes.
"""

ARRAYS_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, LookupError, ValueError, EOFError)
"""Errors of numpy and zipfile on an .npz file of which a byte has changed.

RuntimeError stands for an archive of a version or with a password that zipfile does not know.
"""

SIDECARS = ("-wal", "-shm", "-journal", ".aux.xml")
"""Endings, after the whole name, of the files that SQLite and GDAL keep next to a result.

GDAL's holds properties that a raster cannot, such as names of clusters.
"""

_PARTIAL, _REPLACED = ".partial", ".replaced"

_LATE = {errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.EIO, errno.ETIMEDOUT}
"""Errors of a rename on a network, which may have been done all the same."""

_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each look at a file whose rename was reported as failed."""

_WRITES = 3
"""Times that a file is written before it counts as lost."""

_OPEN_FILES = 256
"""Files that libraries have open, at most."""

_LITTLE_ROOM = 4_000_000
"""Bytes: what a library writes at once may be as much, and fail where less is left."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file, and whatever belongs next to it, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file to make or to replace; its folder is made if need be.

    Yields
    ------
    pathlib.Path
        Where to write instead: a file of the same name in a hidden folder. When the block ends,
        every file in that folder and in folders in it is moved to the folder of `path`, `path`
        itself last; when the block fails, the hidden folder goes and whatever lay at `path` before
        stays.

    Raises
    ------
    RunError
        If the folder cannot be written.
    """
    work = path.with_name(f".{path.name}{_PARTIAL}")
    with run_errors(path):
        shutil.rmtree(work, ignore_errors=True)
        _make_folders(path.parent)
        work.mkdir()
    try:
        yield work / path.name
        with run_errors(path):
            _move_all(work, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Write a folder whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The folder to make or to replace; the folder that it lies in is made if need be.

    Yields
    ------
    pathlib.Path
        Where to write instead: an empty folder in a hidden one. When the block ends it takes the
        place of `path`, with all that is in it; when the block fails, it goes and whatever lay at
        `path` before stays.

    Raises
    ------
    RunError
        If the folder cannot be written, or another process is writing it.
    """
    path = path.resolve() if path.is_symlink() else path
    before = path.with_name(f".{path.name}{_REPLACED}")
    with _held_work(path) as work:
        with run_errors(path):
            _put_back(before, path)
            work.mkdir()
        yield work
        with run_errors(path):
            if os.name != "nt":
                os.sync()  # once for all files, of which there may be very many
            if path.exists():
                path.replace(before)
            try:
                work.replace(path)
            finally:
                _put_back(before, path)
            _flush_folder(path.parent)


@contextmanager
def _held_work(path: Path) -> Iterator[Path]:
    """Hold the hidden folder of a result; yield a path in it, at which nothing is."""
    hidden = path.with_name(f".{path.name}{_PARTIAL}")
    work, lock = hidden / path.name, FileLock(hidden / "lock")
    with run_errors(path):
        _make_folders(hidden)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise RunError(
                f"another process is writing {path}; wait until it ends, or stop it"
            ) from error
    try:
        shutil.rmtree(work, ignore_errors=True)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        lock.release()
        with suppress(OSError):
            (hidden / "lock").unlink(missing_ok=True)
            hidden.rmdir()


def restore_folder(path: Path) -> None:
    """Put back a folder whose replacement was stopped after it had left its place.

    Raises
    ------
    RunError
        If that fails.
    """
    with run_errors(path):
        _put_back(path.with_name(f".{path.name}{_REPLACED}"), path)


def _put_back(before: Path, path: Path) -> None:
    """Put back a folder that was about to be replaced, or remove it if it has been."""
    if before.exists() and not path.exists():
        before.replace(path)
    shutil.rmtree(before, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    with replacing(path) as part, run_errors(path):
        part.write_bytes(data)


def put_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, whoever else writes it at the same moment on any machine.

    Network file systems report a rename as failed that was done when an answer is lost, and show
    its result late. So the file is looked for before it is written again.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    with run_errors(path):
        _make_folders(path.parent)
        for _ in range(_WRITES):
            part = path.with_name(_part_name(path.name))
            try:
                with part.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if _is_renamed(part, path, data):
                    _flush_folder(path.parent)
                    return
            finally:
                part.unlink(missing_ok=True)
        raise OSError(errno.ESTALE, "the file system loses files that were renamed")


def _part_name(name: str) -> str:
    """Make up a name that no other process on any machine has."""
    host = socket.gethostname()[:32].replace("/", "_")
    return f".{name[:40]}.{host}.{os.getpid()}.{secrets.token_hex(4)}{_PARTIAL}"


def _is_renamed(part: Path, path: Path, data: bytes) -> bool:
    """Rename a file; return False if it is lost."""
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            part.replace(path)
        except OSError as error:
            if error.errno not in _LATE:
                raise
        else:
            return True
        with suppress(OSError):
            if path.read_bytes() == data:
                return True
    return False


def remove_result(path: Path) -> None:
    """Remove a file, if it is there, and those that libraries keep next to it."""
    # Sidecars first: they would be taken for those of the next file of this name.
    for ending in SIDECARS:
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
    if path.is_file():
        path.unlink()


def allow_open_files(count: int) -> None:
    """Let this process have some more files open at once, as far as the system lets it.

    Systems give a program 256 or 1024 of them, and more if it asks; Windows has no such limit.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OPEN_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems allow less than they say; then opening one too many is an error.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def run_errors(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn OSError, and the given kinds that a library raises for it, into one line for the user.

    Parameters
    ----------
    path : pathlib.Path
        The result that is being written.
    *kinds : type
        Further exceptions that mean that writing failed.

    Raises
    ------
    DiskError
        In place of an OSError of the system, or of any other if the disk takes no more.
    RunError
        In place of the others: a library refuses what it was given.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, *kinds)):
            raise
        # Libraries raise an OSError too, without a number, and hide that of the system.
        of_system = isinstance(error, OSError) and error.errno is not None
        if of_system or not _takes_more(path.parent):
            raise DiskError(unwritable(path, reason_of(error))) from error
        place = _in_the_end(path)
        raise RunError(
            f"{place}: cannot be written ({reason_of(error)}; {_free(path.parent, place.parent)}); "
            "the disk has room, so mend what the reason names, and give the command again"
        ) from error


def gdal_error(library: Literal["rasterio", "pyogrio"]) -> type[Exception]:
    """Return the class of GDAL's errors that a library passes on and names in no public module."""
    found: type[Exception] = import_module(f"{library}._err").CPLE_BaseError
    return found


def unwritable(path: Path, reason: str) -> str:
    """Say that a result cannot be written, with the space that is left where it should go."""
    place = _in_the_end(path)
    return (
        f"{place}: cannot be written ({reason}; {_free(path.parent, place.parent)}); "
        "expected a folder that exists, is writable and has room: make room or choose another --out"
    )


def _in_the_end(path: Path) -> Path:
    """Find the place that a file is moved to, however deep in hidden folders it is written."""
    hidden = [part.startswith(".") and part.endswith(_PARTIAL) for part in path.parts]
    return type(path)(*(part for part, is_ in zip(path.parts, hidden, strict=True) if not is_))


def _move_all(work: Path, path: Path) -> None:
    written = work / path.name
    _move([part for part in work.rglob("*") if part.is_file() and part != written], work, path)
    _move([written], work, path)


def _move(parts: Sequence[Path], work: Path, path: Path) -> None:
    folders = set()
    for part in sorted(parts):
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        target = path.parent / part.relative_to(work)
        _make_folders(target.parent)
        part.replace(target)
        folders.add(target.parent)
    for folder in sorted(folders):
        _flush_folder(folder)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, each known to the disk by its name."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlive a power loss; Windows sees to that itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _takes_more(folder: Path) -> bool:
    """Return True if a file of the size that a library writes at once can be written."""
    try:
        if shutil.disk_usage(folder).free < _LITTLE_ROOM:
            return False
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_LITTLE_ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


def _free(folder: Path, shown: Path) -> str:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"{shown}: {reason_of(error)}"
    # Libraries say of a full disk all sorts of things, but that it is full.
    little = "the disk is as good as full, " if free < _LITTLE_ROOM else ""
    return f"{little}{free / 1e6:.1f} MB free in {shown}"
