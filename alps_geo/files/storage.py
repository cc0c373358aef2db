"""The contract of storages, in which the files of tiles are kept, and that of the local disk.

A storage holds files under names such as ``run.json`` or ``.tiles/scene.key/0003_0007.json``. All
that is asked of it is that a file is put whole: there is no renaming, no appending and no lock.
`alps_geo.runs.fsspec` has the storage of object stores.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from alps_geo.files.disk import put_bytes, run_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Item = TypeVar("Item")

AT_ONCE = 8
"""Requests to a store that are under way at the same time."""


class Storage(Protocol):
    """A folder of files, on a disk or in an object store; a value that any process can be given."""

    @property
    def is_remote(self) -> bool:
        """True where a listing is cheaper than to read or look for single files."""
        ...

    def read(self, name: str) -> bytes | None:
        """Read a file; None if there is none.

        Raises
        ------
        RunError
            If a store does not answer, or lets nobody in.
        """
        ...

    def put(self, name: str, data: bytes) -> None:
        """Put a file whole or not at all, in place of one of that name.

        Raises
        ------
        RunError
            If the storage does not take it.
        """
        ...

    def exists(self, name: str) -> bool:
        """Return True if there is a file of that name; raises as `read`."""
        ...

    def age(self, name: str) -> float | None:
        """Return the seconds since a file was put; None if there is none; raises as `read`."""
        ...

    def names(self, folder: str = "") -> list[str]:
        """List the files in a folder and the folders in it, by their names in the folder.

        An empty list stands for a folder that is not there. Raises as `read`.
        """
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, as far as they are there; raises as `put`."""
        ...


class ObjectStore(Storage, Protocol):
    """A storage that is reached over a network, in which runs are kept."""

    @property
    def address(self) -> str:
        """The address, such as ``s3://bucket/run``."""
        ...

    def within(self, folder: str) -> Storage:
        """Return the storage of a folder in this one."""
        ...

    def put_new(self, name: str, data: bytes) -> bool:
        """Put a file, unless there is one of that name: then return False; raises as `put`."""
        ...

    def put_file(self, name: str, path: Path) -> None:
        """Put a file of this machine; raises as `put`."""
        ...


@dataclass(frozen=True)
class LocalStorage:
    """A folder on a disk of this machine, or on one that machines share.

    Attributes
    ----------
    path : pathlib.Path
        The folder; made when the first file is put.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_remote(self) -> bool:
        """False: files are at hand."""
        return False

    def read(self, name: str) -> bytes | None:
        """Read a file; None if it is absent, or on a part of the disk that cannot be read."""
        try:
            return (self.path / name).read_bytes()
        except OSError:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Put a file whole or not at all.

        Raises
        ------
        RunError
            If the disk does not take it.
        """
        put_bytes(self.path / name, data)

    def exists(self, name: str) -> bool:
        """Return True if there is a file of that name."""
        return (self.path / name).exists()

    def age(self, name: str) -> float | None:
        """Return the seconds since a file was put; None if there is none."""
        try:
            put = (self.path / name).stat().st_mtime
        except OSError:
            return None
        # Clocks of machines differ a little.
        return max(0.0, time.time() - put)

    def names(self, folder: str = "") -> list[str]:
        """List the files in a folder and the folders in it, by their names in the folder."""
        root = self.path / folder
        return sorted(
            path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
        )

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, as far as they are there.

        Raises
        ------
        RunError
            If the disk does not let one go.
        """
        for path in (self.path / name for name in names):
            with run_errors(path):
                path.unlink(missing_ok=True)


def each_at_once(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do work that waits for a store on items, some of them at the same time.

    Raises
    ------
    RunError
        As the work raised it; what has not begun by then is left.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(work, items):
            pass


def fetch_files(storage: Storage, names: Iterable[str], folder: Path) -> None:
    """Copy files of a storage into a folder of this machine, as far as they are there.

    Raises
    ------
    RunError
        If the store does not answer, or the disk does not take them.
    """
    local = LocalStorage(folder)

    def fetch(name: str) -> None:
        if (content := storage.read(name)) is not None:
            local.put(name, content)

    each_at_once(fetch, names)
