"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from alps_geo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it into place when the block ends well.

    The folder is made if need be. The temporary file has the ending of `path`, since GDAL chooses
    by it, and is removed if the block raises.

    Raises
    ------
    RunError
        If the folder or the file cannot be written: disk full, no permission, not a folder.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {_reason(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _flush(path: Path) -> None:
    """Wait until a file's content is on the disk, so that renaming it never yields an empty one."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _reason(error: OSError) -> str:
    remedies = {
        errno.ENOSPC: "the disk is full; free some space and run the same command again",
        errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
        errno.EACCES: "permission denied; choose another --out",
        errno.EROFS: "the file system is read-only; choose another --out",
        errno.ENOTDIR: "a part of the path is a file, not a folder; choose another --out",
        errno.EEXIST: "a part of the path is a file, not a folder; choose another --out",
    }
    return remedies.get(error.errno or 0, str(error))
