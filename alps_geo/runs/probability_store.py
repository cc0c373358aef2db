"""Stored probabilities of the classes of tiles, one file for each tile."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED

import numpy as np

from alps_geo.runs.folder import PROBABILITIES
from alps_geo.runs.tile_files import TileFiles, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alps_geo.grid import Tile

_ARRAY = "probabilities"


class ProbabilityStore(TileFiles):
    """The probabilities of the tiles of one scene under one key.

    They are bytes: 255 times the probability of each class, 0 for all of them where there is no
    data. Those of a network that is sure are deflated to a small part of that.
    """

    def holds(self, tile: Tile) -> bool:
        """Return True if a tile's probabilities are stored, and undamaged as far as is known."""
        return self.holds_all(tile, (PROBABILITIES,))

    def held(self) -> Callable[[Tile], bool]:
        """Return `holds` for many tiles."""
        return self.held_of((PROBABILITIES,))

    def load(self, tile: Tile) -> NDArray[np.uint8] | None:
        """Load probabilities (k, H, W) of a tile; None if they are absent or damaged."""
        data = self.read(tile, PROBABILITIES)
        if data is None:
            return None
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            found: NDArray[np.uint8] = arrays[_ARRAY]
        return found

    def save(self, tile: Tile, probabilities: NDArray[np.uint8]) -> None:
        """Keep a tile's probabilities.

        Raises
        ------
        RunError
            If the folder cannot be written; the tile is then not done.
        """
        self.write(tile, PROBABILITIES, packed({_ARRAY: probabilities}, ZIP_DEFLATED))
