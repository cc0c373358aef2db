"""Stored tiles of a scene: two files for each, its outlines and its embeddings.

Outlines are read several times and embeddings once, so that a pass over outlines leaves the other
file alone. Each file is written whole or not at all, the outlines last: a tile is done when they
are there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from io import BytesIO
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED

import numpy as np

from alps_geo.features.embeddings import Embeddings
from alps_geo.runs.folder import EMBEDDINGS, OUTLINES
from alps_geo.runs.tile_files import TileFiles, packed
from alps_geo.segments.fragments import Fragments, Objects, Outlines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from alps_geo.grid import Tile

_PLAIN = tuple(field.name for field in fields(Outlines) if field.name != "objects")
"""Fields of `Outlines` that are arrays or numbers."""

ARRAYS = {
    OUTLINES: (*_PLAIN, *(f"objects.{field.name}" for field in fields(Objects))),
    EMBEDDINGS: tuple(f"embeddings.{field.name}" for field in fields(Embeddings)),
}
"""Names of the arrays in each file of a tile: the fields of `Fragments` and of its parts."""

# Embeddings would take longer to deflate and inflate than all else here, to be 9 % smaller.
_COMPRESSION = {OUTLINES: ZIP_DEFLATED, EMBEDDINGS: ZIP_STORED}


_WRITTEN = (EMBEDDINGS, OUTLINES)
"""Files of a tile in the order of writing: outlines last, for they say that the tile is done."""


@dataclass(frozen=True)
class TileStore(TileFiles):
    """The fragments of the tiles of one scene under one key."""

    def holds(self, tile: Tile) -> bool:
        """Return True if a tile's fragments are stored, and undamaged as far as that is known."""
        return self.holds_all(tile, _WRITTEN)

    def held(self) -> Callable[[Tile], bool]:
        """Return `holds` for many tiles."""
        return self.held_of(_WRITTEN)

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
        for kind in _WRITTEN:
            arrays = {name: attrgetter(name)(fragments) for name in ARRAYS[kind]}
            self.write(tile, kind, packed(arrays, _COMPRESSION[kind]))

    def _arrays(self, tile: Tile, kind: str) -> Mapping[str, NDArray[Any]] | None:
        """Read the arrays of one file of a tile; None if it is absent or damaged."""
        data = self.read(tile, kind)
        if data is None:
            return None
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ARRAYS[kind]}


def _plain(array: NDArray[Any]) -> Any:
    return array if array.ndim else array.item()
