"""Stored tiles of a scene: a file for each, written whole or not at all.

The key stands for everything that a tile's fragments depend on. It is part of the folder's name, so
that a listing tells which tiles are done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from alps_geo.features.embeddings import Embeddings
from alps_geo.files import write_bytes
from alps_geo.segments.fragments import Fragments, Objects, Outlines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.grid import Tile
    from alps_geo.runs.failures import FailedTile

Inner = TypeVar("Inner", bound=Objects | Embeddings)
Part = TypeVar("Part")

_NESTED: dict[str, type[Objects | Embeddings]] = {
    "objects": Objects,
    "embeddings": Embeddings,
}
"""Fields of `Fragments` that have fields themselves."""

ARRAYS = tuple(
    name
    for field in fields(Fragments)
    for name in (
        [f"{field.name}.{part.name}" for part in fields(_NESTED[field.name])]
        if field.name in _NESTED
        else [field.name]
    )
)
"""Names of the arrays in the file of a tile: the fields of `Fragments` and of its parts."""

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
        return self._arrays(tile) is not None

    def load_outlines(self, tile: Tile) -> Outlines | None:
        """Load the outlines of a tile; None if they are absent or damaged."""
        return self._load(tile, _outlines)

    def load_embeddings(self, tile: Tile) -> Embeddings | None:
        """Load the embeddings of a tile; None if they are absent or damaged."""
        return self._load(tile, partial(_inner, Embeddings, "embeddings"))

    def save(self, tile: Tile, fragments: Fragments) -> None:
        """Keep a tile's fragments.

        Raises
        ------
        RunError
            If the folder cannot be written; the tile is then absent, never half there.
        """
        buffer = BytesIO()
        # As numpy's savez_compressed, except for the level of compression: most of the data are
        # embeddings, which its own level takes longer to make hardly smaller.
        with ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in _plain_arrays(fragments).items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        data = buffer.getvalue()
        write_bytes(self._path(tile, "npz"), data + self._digest(tile, data))

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

    def _load(self, tile: Tile, build: Callable[[Mapping[str, NDArray[Any]]], Part]) -> Part | None:
        """Build a part of a stored tile from its arrays, reading no others."""
        data = self._arrays(tile)
        if data is None:
            return None
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            return build(arrays)

    def _arrays(self, tile: Tile) -> bytes | None:
        try:
            content = self._path(tile, "npz").read_bytes()
        except OSError:
            # Absent, or on a part of the disk that cannot be read: the tile can be made again.
            return None
        data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        return data if digest == self._digest(tile, data) else None

    def _digest(self, tile: Tile, data: bytes) -> bytes:
        header = f"{self.key} {tile.row} {tile.col} ".encode()
        return hashlib.sha256(header + data).digest()

    def _path(self, tile: Tile, kind: str) -> Path:
        return self.folder / f"{tile.row:04d}_{tile.col:04d}.{kind}"


def _plain_arrays(fragments: Fragments) -> dict[str, Any]:
    """Take fragments apart into the arrays of `ARRAYS`."""
    plain = {}
    for name in ARRAYS:
        value: Any = fragments
        for part in name.split("."):
            value = getattr(value, part)
        plain[name] = np.asarray(value)
    return plain


def _outlines(arrays: Mapping[str, NDArray[Any]]) -> Outlines:
    """Put outlines together from the arrays of `ARRAYS`."""
    plain = {
        field.name: _plain(arrays[field.name])
        for field in fields(Outlines)
        if field.name not in _NESTED
    }
    return Outlines(objects=_inner(Objects, "objects", arrays), **plain)


def _inner(kind: type[Inner], name: str, arrays: Mapping[str, NDArray[Any]]) -> Inner:
    """Put together the value of a field that has fields itself."""
    return kind(**{part.name: arrays[f"{name}.{part.name}"] for part in fields(kind)})


def _plain(array: NDArray[Any]) -> Any:
    return array if array.ndim else array.item()
