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

from alps_geo.files import put_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alps_geo.grid import Tile
    from alps_geo.runs.failures import FailedTile

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
    """

    folder: Path
    key: str

    def read(self, tile: Tile, kind: str) -> bytes | None:
        """Read a file of a tile; None if it is absent or damaged."""
        try:
            content = self._path(tile, kind).read_bytes()
        except OSError:
            # Absent, or on a part of the disk that cannot be read: the tile can be made again.
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
        put_bytes(self._path(tile, kind), data + self._digest(tile, kind, data))

    def fail(self, failed: FailedTile, tile: Tile) -> None:
        """Note why a tile failed.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        put_bytes(self._path(tile, "json"), json.dumps(failed.to_json()).encode())

    def forget_failure(self, tile: Tile) -> None:
        """Remove the note of a failure of a tile, if there is one."""
        self._path(tile, "json").unlink(missing_ok=True)

    def has_failed(self, tile: Tile) -> bool:
        """Return True if a failure of the tile was noted."""
        return self._path(tile, "json").exists()

    def _digest(self, tile: Tile, kind: str, data: bytes) -> bytes:
        header = f"{self.key} {tile.row} {tile.col} {kind} ".encode()
        return hashlib.sha256(header + data).digest()

    def _path(self, tile: Tile, kind: str) -> Path:
        return self.folder / f"{tile.row:04d}_{tile.col:04d}.{kind}"


def packed(arrays: Mapping[str, object], compression: int) -> bytes:
    """Pack arrays as numpy's savez and savez_compressed do, at the lowest level of compression."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", compression, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()
