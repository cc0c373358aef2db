"""Painting of cores: the fragment, and so the segment, that each pixel of a core belongs to.

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
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import intersection

from alps_geo.features.sums import pixel_counts
from alps_geo.segments.ranks import Rank, is_unclaimed
from alps_geo.windows import within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.segments.fragments import Outlines
    from alps_geo.segments.matching import Joined, JoinedPart

    Load = Callable[[Tile], Outlines]

_LARGEST = 2**40
"""More pixels than any fragment has."""


@dataclass(frozen=True)
class PaintedCore:
    """The n fragments, of all tiles around, that own pixels of a core.

    Attributes
    ----------
    number : ndarray of unsigned int, shape of the core
        Fragment of each pixel, 1..n; 0 for none.
    ids : ndarray of uint32, shape (n + 1,)
        Group of each fragment in `Joined`, or its segment when segments are known; 0 for none.
    pixels : ndarray of int64, shape (n,)
        Pixels of each in the core.
    claimed : ndarray of bool, shape (n,)
        False for those that no tile claims.
    scores : ndarray of float64, shape (n, 3)
        1, predicted IoU and stability score of its mask for each that is of one; else 0.
    means : ndarray of float64, shape (n, C)
        Mean embedding of the whole mask of each; C is 0 if the tiles have none.
    """

    number: NDArray[np.unsignedinteger]
    ids: NDArray[np.uint32]
    pixels: NDArray[np.int64]
    claimed: NDArray[np.bool_]
    scores: NDArray[np.float64]
    means: NDArray[np.float64]


def paint_core(grid: TileGrid, tile: Tile, joined: Joined | JoinedPart, load: Load) -> PaintedCore:
    """Assign each pixel of a core to a fragment; to none if the tile has failed.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    tile : Tile
        The core's.
    joined : Joined or JoinedPart
        Groups and ranks of the fragments of the tile and those around it.
    load : callable
        Loads the outlines of a tile.
    """
    # Fragments are counted through all tiles around.
    claimed = np.zeros((tile.core.height, tile.core.width), dtype=np.int32)
    best = np.zeros(claimed.shape, dtype=np.int64)
    tables = [_FragmentTable.none()]
    count = 0
    for other in () if load(tile).failed else grid.around(tile):
        outlines = load(other)
        shared = intersection(tile.core, other.window)
        labels = outlines.labels[within(shared, other.window)]
        index = grid.index(other)
        strength = _strength(joined.ranks[index], outlines.size, at_home=other == tile)[labels]
        here = within(shared, tile.core)
        wins = strength > best[here]
        np.copyto(best[here], strength, where=wins)
        np.copyto(claimed[here], labels + count, where=wins)
        tables.append(_FragmentTable.of(joined, index, outlines))
        count += len(outlines)
    return _painted(claimed, tables)


@dataclass(frozen=True)
class _FragmentTable:
    """Group, claim, scores and means of the fragments of one tile, as in `PaintedCore`."""

    group: NDArray[np.uint32]
    claimed: NDArray[np.bool_]
    scores: NDArray[np.float64]
    means: NDArray[np.float64]

    @classmethod
    def none(cls) -> _FragmentTable:
        none = np.zeros((0, 3)), np.zeros((0, 0))
        return cls(np.zeros(0, np.uint32), np.zeros(0, np.bool_), *none)

    @classmethod
    def of(cls, joined: Joined | JoinedPart, index: int, outlines: Outlines) -> _FragmentTable:
        objects = outlines.objects
        rows = np.vstack([np.zeros((1, 3)), np.insert(objects.scores, 0, 1.0, axis=1)])
        scores = rows[np.where(joined.by_mask[index], objects.of, 0)]
        means = np.vstack([np.zeros((1, objects.means.shape[1])), objects.means])[objects.of]
        return cls(joined.groups[index][1:], ~is_unclaimed(joined.ranks[index]), scores, means)


def _painted(claimed: NDArray[np.int32], tables: Sequence[_FragmentTable]) -> PaintedCore:
    """Keep the fragments that own pixels, numbered without gaps."""
    group = np.concatenate([table.group for table in tables])
    pixels = pixel_counts(claimed, len(group))
    kept = np.flatnonzero(pixels)
    number = np.zeros(len(group) + 1, dtype=np.min_scalar_type(len(kept)))
    number[1 + kept] = np.arange(1, len(kept) + 1)
    return PaintedCore(
        number[claimed],
        np.append(np.uint32(0), group[kept]),
        pixels[kept],
        np.concatenate([table.claimed for table in tables])[kept],
        np.concatenate([table.scores for table in tables])[kept],
        # Tiles without fragments have none.
        np.concatenate([t.means for t in tables if len(t.means)] or [np.zeros((0, 0))])[kept],
    )


def _strength(
    rank: NDArray[np.uint8], size: NDArray[np.int64], *, at_home: bool
) -> NDArray[np.int64]:
    """Strength of each fragment's claim to a pixel, shape (n + 1,); 0 for fragment 0."""
    smallness = np.where(rank == Rank.CUT, 0, _LARGEST - size)
    # Being at home in the core decides between equals alone, so it comes last.
    strength = 2 * (rank.astype(np.int64) * _LARGEST + smallness) + at_home
    return np.append(0, strength + 1)
