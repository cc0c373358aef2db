"""The tiles of a scene: a file for each, written whole or not at all.

The key stands for all that a tile's fragments depend on. It is part of the folder's name, so that
a listing tells which tiles are done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
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
"""What the file of a tile holds: every field of `Fragments`, and of what is in it."""

_DIGEST_BYTES = hashlib.sha256().digest_size


def fingerprint(value: Any) -> str:
    """SHA-256 of a value of plain types: equal for equal values, on every machine."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


FAILED = {
    "scene": str,
    "row": int,
    "col": int,
    "row_off": int,
    "col_off": int,
    "height": int,
    "width": int,
    "reason": str,
}
"""Shape of a `FailedTile` as JSON, for `alps_geo.runs.stored_json`."""


@dataclass(frozen=True)
class FailedTile:
    """A tile that could not be labelled.

    Attributes
    ----------
    scene : str
        Name of the scene's folder.
    row, col : int
        Position in the grid.
    row_off, col_off, height, width : int
        The tile's window, in scene pixels.
    reason : str
        One line for the user.
    """

    scene: str
    row: int
    col: int
    row_off: int
    col_off: int
    height: int
    width: int
    reason: str

    @classmethod
    def of(cls, scene: str, tile: Tile, reason: str) -> FailedTile:
        """Say that `tile` failed."""
        window = tile.window
        return cls(
            scene,
            tile.row,
            tile.col,
            int(window.row_off),
            int(window.col_off),
            int(window.height),
            int(window.width),
            reason,
        )

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> FailedTile:
        """Build a tile from JSON of the shape `FAILED`."""
        return cls(**{name: found[name] for name in FAILED})

    def __str__(self) -> str:
        return (
            f"{self.scene}, rows {self.row_off} to {self.row_off + self.height}, "
            f"columns {self.col_off} to {self.col_off + self.width}: {self.reason}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in ``run.json``."""
        return asdict(self)


@dataclass(frozen=True)
class TileStore:
    """The tiles of one scene under one key; a value, so that any process can be given it.

    Attributes
    ----------
    folder : pathlib.Path
        Where the files lie.
    key : str
        Fingerprint of all that the fragments depend on, apart from the tile's place in the grid.
    """

    folder: Path
    key: str

    def holds(self, tile: Tile) -> bool:
        """Return True if a tile's fragments are stored, and undamaged."""
        return self._arrays(tile) is not None

    def load_outlines(self, tile: Tile) -> Outlines | None:
        """Return where a tile's fragments lie, or None if they are absent or damaged."""
        return self._load(tile, _outlines)

    def load_embeddings(self, tile: Tile) -> Embeddings | None:
        """Return what describes a tile's pixels, or None if it is absent or damaged."""
        return self._load(tile, partial(_inner, Embeddings, "embeddings"))

    def save(self, tile: Tile, fragments: Fragments) -> None:
        """Keep a tile's fragments.

        Raises
        ------
        RunError
            If the folder cannot be written; the tile is then absent, never half there.
        """
        buffer = BytesIO()
        # As numpy's savez_compressed, but for the level of the compression: most of the data are
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
        write_bytes(self._path(tile, "json"), json.dumps(failed.to_dict()).encode())

    def has_failed(self, tile: Tile) -> bool:
        """Return True if a failure of the tile was noted."""
        return self._path(tile, "json").exists()

    def _load(self, tile: Tile, build: Callable[[Mapping[str, NDArray[Any]]], Part]) -> Part | None:
        """Build a part of what is stored of a tile from its arrays, reading no others."""
        data = self._arrays(tile)
        if data is None:
            return None
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            return build(arrays)

    def _arrays(self, tile: Tile) -> bytes | None:
        try:
            content = self._path(tile, "npz").read_bytes()
        except OSError:
            # Absent, or on a part of the disk that cannot be read: the tile can be had anew.
            return None
        data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        return data if digest == self._digest(tile, data) else None

    def _digest(self, tile: Tile, data: bytes) -> bytes:
        place = f"{self.key} {tile.row} {tile.col} ".encode()
        return hashlib.sha256(place + data).digest()

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
