"""Blocks of tiles: the pieces in which what follows the tiles is shared out.

The same blocks whatever the number of processes, so that results are the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window

from alps_geo.windows import within

if TYPE_CHECKING:
    from alps_geo.grid import Tile, TileGrid

SIDE = 4
"""Tiles along a side of a block, at most.

Those around it are loaded too, so small blocks load tiles several times; large ones are few.
"""

KEPT_TILES = (SIDE + 2) ** 2
"""Tiles of a block with those around it: as many as one asks for."""


@dataclass(frozen=True)
class TileBlock:
    """A rectangle of tiles.

    Attributes
    ----------
    index : int
        Index of the block in its scene, row by row.
    tiles : tuple of Tile
        Its tiles, in the order of the grid.
    """

    index: int
    tiles: tuple[Tile, ...]

    @property
    def window(self) -> Window:
        """The cores of all its tiles together, in scene pixels."""
        first, last = self.tiles[0].core, self.tiles[-1].core
        height = last.row_off + last.height - first.row_off
        width = last.col_off + last.width - first.col_off
        return Window(first.col_off, first.row_off, width, height)

    def core_of(self, tile: Tile) -> tuple[slice, slice]:
        """Rows and columns of the core of a tile in the window of the block."""
        return within(tile.core, self.window)


def tile_blocks(grid: TileGrid) -> list[TileBlock]:
    """Divide a grid into blocks of tiles of about the same size, row by row.

    >>> from alps_geo.grid import TileGrid
    >>> [len(block.tiles) for block in tile_blocks(TileGrid(500, 600, 100, 0))]
    [9, 9, 6, 6]
    """
    rows, cols = (np.array_split(np.arange(count), -(-count // SIDE)) for count in grid.shape)
    parts = ((these_rows, these_cols) for these_rows in rows for these_cols in cols)
    return [
        TileBlock(
            index,
            tuple(grid[row, col] for row in these_rows.tolist() for col in these_cols.tolist()),
        )
        for index, (these_rows, these_cols) in enumerate(parts)
    ]
