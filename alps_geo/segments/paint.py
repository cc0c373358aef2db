"""Painting of segments: the fragment, and so the segment, that each pixel of a core belongs to.

In whatever order tiles are gone through:

1. Where tiles overlap and disagree, a pixel goes to the fragment of the highest rank: a mask that
   is whole and has its centroid in its own tile's core, before one that is whole, before one that
   the window cuts off. Among whole ones the smaller wins, as among the masks of one tile, wherever
   it lies; among those that are cut off the tile whose core holds the pixel. So borders follow
   objects, and not the grid.
2. A pixel that no mask of any tile claims goes to superpixels, first to those whose centroid lies
   in their own tile's core, then to the others and to masks that are disowned; the smaller wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from rasterio.windows import intersection

from alps_geo.segments.ranks import Rank
from alps_geo.windows import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.segments.fragments import Outlines

    Load = Callable[[Tile], Outlines]

_LARGEST = 2**40
"""More pixels than any fragment has."""


class Numbering(Protocol):
    """Ids and ranks of the fragments of all tiles, in the grid's order."""

    @property
    def ids(self) -> tuple[NDArray[np.uint32], ...]:
        """One lookup table per tile: fragment -> id, 0 -> 0."""
        ...

    @property
    def ranks(self) -> tuple[NDArray[np.uint8], ...]:
        """`Rank` of each fragment of each tile."""
        ...


@dataclass(frozen=True)
class Claims:
    """Fragment of each pixel of a core.

    Attributes
    ----------
    number : ndarray of int32, shape of the core
        The fragment, counted through all tiles around; 0 for none.
    ids : ndarray of uint32, shape (n + 1,)
        The id of each number.
    tiles : tuple of Tile
        The tiles around, whose fragments are counted one after the other.
    """

    number: NDArray[np.int32]
    ids: NDArray[np.uint32]
    tiles: tuple[Tile, ...]


def paint(
    grid: TileGrid, segments: Numbering, load: Load
) -> Iterator[tuple[Window, NDArray[np.uint32]]]:
    """Paint the segment ids of the scene, one core after the other.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    segments : Segments
        The segments.
    load : callable
        Loads the outlines of a tile.

    Yields
    ------
    window : rasterio.windows.Window
        A core, in scene pixels.
    block : ndarray of uint32
        The ids of its pixels; 0 for none.
    """
    for tile in grid:
        claims = claim(grid, tile, segments, load)
        yield tile.core, claims.ids[claims.number]


def claim(grid: TileGrid, tile: Tile, numbering: Numbering, load: Load) -> Claims:
    """Assign each pixel of a core to a fragment; to none if the tile has failed.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    tile : Tile
        The core's.
    numbering : Numbering
        Ids and ranks of fragments.
    load : callable
        Loads the outlines of a tile.
    """
    claimed = np.zeros((tile.core.height, tile.core.width), dtype=np.int32)
    best = np.zeros(claimed.shape, dtype=np.int64)
    tiles = () if load(tile).failed else tuple(grid.around(tile))
    found = [np.zeros(1, dtype=np.uint32)]
    count = 1
    for other in tiles:
        outlines = load(other)
        shared = intersection(tile.core, other.window)
        labels = outlines.labels[within(shared, other.window)]
        index = grid.index(other)
        strength = _strength(numbering.ranks[index], outlines.size, at_home=other == tile)
        here = within(shared, tile.core)
        wins = strength[labels] > best[here]
        best[here][wins] = strength[labels][wins]
        claimed[here][wins] = labels[wins] + (count - 1)
        found.append(numbering.ids[index][1:])
        count += len(outlines)
    return Claims(claimed, np.concatenate(found), tiles)


def _strength(
    rank: NDArray[np.uint8], size: NDArray[np.int64], *, at_home: bool
) -> NDArray[np.int64]:
    """Strength of each fragment's claim to a pixel, shape (n + 1,); 0 for fragment 0."""
    smallness = np.where(rank == Rank.CUT, 0, _LARGEST - size)
    # Being at home in the core decides between equals alone, so it comes last.
    strength = 2 * (rank.astype(np.int64) * _LARGEST + smallness) + at_home
    return np.append(0, strength + 1)
