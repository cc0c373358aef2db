"""Stored tiles of a scene: two files for each, its outlines and its embeddings.

Outlines are read several times and embeddings once, so that a pass over outlines leaves the other
file alone. Each file is written whole or not at all, the outlines last: a tile is done when they
are there. The key stands for everything that a tile's fragments depend on. It is part of the
folder's name, so that a listing tells which tiles are done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from io import BytesIO
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

from alps_geo.features.embeddings import Embeddings
from alps_geo.files import write_bytes
from alps_geo.runs.folder import EMBEDDINGS, OUTLINES
from alps_geo.segments.fragments import Fragments, Objects, Outlines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.grid import Tile
    from alps_geo.runs.failures import FailedTile

_PLAIN = tuple(field.name for field in fields(Outlines) if field.name != "objects")
"""Fields of `Outlines` that are arrays or numbers."""

ARRAYS = {
    OUTLINES: (*_PLAIN, *(f"objects.{field.name}" for field in fields(Objects))),
    EMBEDDINGS: tuple(f"embeddings.{field.name}" for field in fields(Embeddings)),
}
"""Names of the arrays in each file of a tile: the fields of `Fragments` and of its parts."""

# Embeddings would take longer to deflate and inflate than all else here, to be 9 % smaller.
_COMPRESSION = {OUTLINES: ZIP_DEFLATED, EMBEDDINGS: ZIP_STORED}

_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class TileStore:
    """The tiles of one scene under one key; a value, so that any process can be given it.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the files.
    key : str
        Fingerprint of everything that the fragments depend on, except the tile's position.
    """

    folder: Path
    key: str

    def holds(self, tile: Tile) -> bool:
        """Return True if a tile's fragments are stored, and undamaged."""
        return all(self._data(tile, kind) is not None for kind in ARRAYS)

    def load_outlines(self, tile: Tile) -> Outlines | None:
        """Load the outlines of a tile; None if they are absent or damaged."""
        arrays = self._arrays(tile, OUTLINES)
        if arrays is None:
            return None
        names = [each.name for each in fields(Objects)]
        objects = Objects(**{name: arrays[f"objects.{name}"] for name in names})
        return Outlines(objects=objects, **{name: _plain(arrays[name]) for name in _PLAIN})

    def load_embeddings(self, tile: Tile) -> Embeddings | None:
        """Load the embeddings of a tile; None if they are absent or damaged."""
        arrays = self._arrays(tile, EMBEDDINGS)
        if arrays is None:
            return None
        names = [each.name for each in fields(Embeddings)]
        return Embeddings(**{name: arrays[f"embeddings.{name}"] for name in names})

    def save(self, tile: Tile, fragments: Fragments) -> None:
        """Keep a tile's fragments.

        Raises
        ------
        RunError
            If the folder cannot be written; the tile is then not done.
        """
        # Outlines last: they say that the tile is done.
        for kind in (EMBEDDINGS, OUTLINES):
            arrays = {name: attrgetter(name)(fragments) for name in ARRAYS[kind]}
            data = _packed(arrays, _COMPRESSION[kind])
            write_bytes(self._path(tile, kind), data + self._digest(tile, kind, data))

    def fail(self, failed: FailedTile, tile: Tile) -> None:
        """Note why a tile failed.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        write_bytes(self._path(tile, "json"), json.dumps(failed.to_json()).encode())

    def has_failed(self, tile: Tile) -> bool:
        """Return True if a failure of the tile was noted."""
        return self._path(tile, "json").exists()

    def _arrays(self, tile: Tile, kind: str) -> Mapping[str, NDArray[Any]] | None:
        """Read the arrays of one file of a tile; None if it is absent or damaged."""
        data = self._data(tile, kind)
        if data is None:
            return None
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ARRAYS[kind]}

    def _data(self, tile: Tile, kind: str) -> bytes | None:
        try:
            content = self._path(tile, kind).read_bytes()
        except OSError:
            # Absent, or on a part of the disk that cannot be read: the tile can be made again.
            return None
        data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        return data if digest == self._digest(tile, kind, data) else None

    def _digest(self, tile: Tile, kind: str, data: bytes) -> bytes:
        header = f"{self.key} {tile.row} {tile.col} {kind} ".encode()
        return hashlib.sha256(header + data).digest()

    def _path(self, tile: Tile, kind: str) -> Path:
        return self.folder / f"{tile.row:04d}_{tile.col:04d}.{kind}"


def _packed(arrays: Mapping[str, Any], compression: int) -> bytes:
    """Pack arrays as numpy's savez and savez_compressed do, at the lowest level of compression."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", compression, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def _plain(array: NDArray[Any]) -> Any:
    return array if array.ndim else array.item()
