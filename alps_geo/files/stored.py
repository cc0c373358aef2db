"""Stored files of the items of a run, its tiles or images, each with a digest at its end.

The key stands for everything that the content depends on but the item itself. It is part of the
folder's name, so that a listing tells which items are done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from alps_geo.files.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from alps_geo.files.storage import Storage

Item = TypeVar("Item")

_DIGEST_BYTES = hashlib.sha256().digest_size

_NOTE = "json"
"""Ending of the name of the note of a failure."""


class _Failure(Protocol):
    """The failure of an item."""

    def to_json(self) -> Mapping[str, object]:
        """Return the failure as a JSON object."""
        ...


@dataclass(frozen=True)
class StoredFiles(Generic[Item]):
    """Base of the files of items under one key; a value that any process can be given.

    A kind of items says how its files are named, and how an item goes into their digests.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the files.
    key : str
        Fingerprint of everything that the content depends on, except the item itself.
    storage : Storage or None
        Storage of the files, where it is not the folder on this machine.
    """

    folder: Path
    key: str
    storage: Storage | None = None

    def stem(self, item: Item) -> str:
        """Return the name of the files of an item, without their endings."""
        raise NotImplementedError

    def identity(self, item: Item, kind: str) -> str:
        """Return the text that goes into the digest of a file in front of its content."""
        raise NotImplementedError

    @property
    def files(self) -> Storage:
        """The storage of the files: the folder on this machine, or elsewhere."""
        return LocalStorage(self.folder) if self.storage is None else self.storage

    def read(self, item: Item, kind: str) -> bytes | None:
        """Read a file of an item; None if it is absent or damaged, so that it is to be made again.

        Raises
        ------
        RunError
            If a store does not answer.
        """
        content = self.files.read(self.name(item, kind))
        if content is None:
            return None
        data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        return data if digest == self._digest(item, kind, data) else None

    def write(self, item: Item, kind: str, data: bytes) -> None:
        """Write a file of an item, whole or not at all.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        self.files.put(self.name(item, kind), data + self._digest(item, kind, data))

    def fail(self, failed: _Failure, item: Item) -> None:
        """Note why an item failed.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        self.files.put(self.name(item, _NOTE), json.dumps(failed.to_json()).encode())

    def forget_failures(self, items: Iterable[Item]) -> None:
        """Remove the notes of failures of items, as far as there are any.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        notes = {self.name(item, _NOTE) for item in items}
        self.files.remove(sorted(notes.intersection(self.files.names())))

    def has_failed(self, item: Item) -> bool:
        """Return True if a failure of the item was noted."""
        return self.files.exists(self.name(item, _NOTE))

    def failed_of(self) -> Callable[[Item], bool]:
        """Return `has_failed` for many items, by one listing."""
        found = set(self.files.names())
        return lambda item: self.name(item, _NOTE) in found

    def holds_all(self, item: Item, kinds: Sequence[str]) -> bool:
        """Return True if all files of an item are there; on a disk also undamaged.

        Of a store it is asked for the last of them alone, which says that the item is done: damage
        is found when it is read.
        """
        if self.files.is_remote:
            return self.files.exists(self.name(item, kinds[-1]))
        return all(self.read(item, kind) is not None for kind in kinds)

    def held_of(self, kinds: Sequence[str]) -> Callable[[Item], bool]:
        """Return `holds_all` for many items, which takes one listing of a store."""
        if not self.files.is_remote:
            return lambda item: self.holds_all(item, kinds)
        found = set(self.files.names())
        return lambda item: all(self.name(item, kind) in found for kind in kinds)

    def name(self, item: Item, kind: str) -> str:
        """Return the name of a file of an item."""
        return f"{self.stem(item)}.{kind}"

    def _digest(self, item: Item, kind: str, data: bytes) -> bytes:
        return hashlib.sha256(self.identity(item, kind).encode() + data).digest()
