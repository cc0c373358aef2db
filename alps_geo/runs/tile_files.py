"""Files of the tiles of one scene, each with a digest of its content at its end."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np

from alps_geo.files.stored import StoredFiles
from alps_geo.grid import Tile

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class TileFiles(StoredFiles[Tile]):
    """The files of the tiles of one scene under one key; see `StoredFiles`."""

    def stem(self, item: Tile) -> str:
        """Return the row and column of a tile."""
        return f"{item.row:04d}_{item.col:04d}"

    def identity(self, item: Tile, kind: str) -> str:
        """Return the key and the tile, which go into its digests."""
        return f"{self.key} {item.row} {item.col} {kind} "


def packed(arrays: Mapping[str, object], compression: int) -> bytes:
    """Pack arrays as numpy's savez and savez_compressed do, at the lowest level of compression."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", compression, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()
