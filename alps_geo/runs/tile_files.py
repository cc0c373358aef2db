"""Files of the tiles of one scene, each with a digest of its content at its end.

The key stands for everything that the content depends on. It is part of the folder's name, so that
a listing tells which tiles are done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np

from alps_geo.runs.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from alps_geo.grid import Tile
    from alps_geo.runs.failures import FailedTile
    from alps_geo.runs.storage import Storage

_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class TileFiles:
    """The files of the tiles of one scene under one key; a value that any process can be given.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the files.
    key : str
        Fingerprint of everything that the content depends on, except the tile's position.
    storage : Storage or None
        Storage of the files, where it is not the folder on this machine.
    """

    folder: Path
    key: str
    storage: Storage | None = None

    @property
    def files(self) -> Storage:
        """The storage of the files: the folder on this machine, or elsewhere."""
        return LocalStorage(self.folder) if self.storage is None else self.storage

    def read(self, tile: Tile, kind: str) -> bytes | None:
        """Read a file of a tile; None if it is absent or damaged, so that it is to be made again.

        Raises
        ------
        RunError
            If a store does not answer.
        """
        content = self.files.read(self._name(tile, kind))
        if content is None:
            return None
        data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        return data if digest == self._digest(tile, kind, data) else None

    def write(self, tile: Tile, kind: str, data: bytes) -> None:
        """Write a file of a tile, whole or not at all.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        self.files.put(self._name(tile, kind), data + self._digest(tile, kind, data))

    def fail(self, failed: FailedTile, tile: Tile) -> None:
        """Note why a tile failed.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        self.files.put(self._name(tile, "json"), json.dumps(failed.to_json()).encode())

    def forget_failures(self, tiles: Iterable[Tile]) -> None:
        """Remove the notes of failures of tiles, as far as there are any.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        notes = {self._name(tile, "json") for tile in tiles}
        self.files.remove(sorted(notes.intersection(self.files.names())))

    def has_failed(self, tile: Tile) -> bool:
        """Return True if a failure of the tile was noted."""
        return self.files.exists(self._name(tile, "json"))

    def holds_all(self, tile: Tile, kinds: Sequence[str]) -> bool:
        """Return True if all files of a tile are there; on a disk also undamaged.

        Of a store it is asked for the last of them alone, which says that the tile is done: damage
        is found when the tile is read.
        """
        if self.files.is_remote:
            return self.files.exists(self._name(tile, kinds[-1]))
        return all(self.read(tile, kind) is not None for kind in kinds)

    def held_of(self, kinds: Sequence[str]) -> Callable[[Tile], bool]:
        """Return `holds_all` for many tiles, which takes one listing of a store."""
        if not self.files.is_remote:
            return lambda tile: self.holds_all(tile, kinds)
        found = set(self.files.names())
        return lambda tile: all(self._name(tile, kind) in found for kind in kinds)

    def _digest(self, tile: Tile, kind: str, data: bytes) -> bytes:
        header = f"{self.key} {tile.row} {tile.col} {kind} ".encode()
        return hashlib.sha256(header + data).digest()

    def _name(self, tile: Tile, kind: str) -> str:
        return f"{tile.row:04d}_{tile.col:04d}.{kind}"


def packed(arrays: Mapping[str, object], compression: int) -> bytes:
    """Pack arrays as numpy's savez and savez_compressed do, at the lowest level of compression."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", compression, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()
