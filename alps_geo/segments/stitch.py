"""Stitching: segments of the scene from the fragments of its tiles.

Fragments that are one object are found in `alps_geo.segments.matching`, and their pixels in
`alps_geo.segments.paint`: once, for all that is asked of them later. A segment that is then left
with fewer than `min_area` pixels is a speck: it joins the largest segment that it touches, or is
dropped, as the caller wishes. The same goes for the rest of an unclaimed fragment, if it is much
smaller than a superpixel: there are such leftovers only where tiles meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.features.mapping import HERE
from alps_geo.segments.extents import paint_all
from alps_geo.segments.matching import join

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper
    from alps_geo.grid import TileGrid
    from alps_geo.segments.borders import Borders
    from alps_geo.segments.paint import Load
    from alps_geo.segments.painting import Painting

_LEFTOVER = 4
"""Unclaimed segments that are smaller than a superpixel, divided by this, join a neighbour."""


@dataclass(frozen=True)
class Segments:
    """The segments of one scene; row i is that of segment id i + 1.

    Attributes
    ----------
    area : ndarray of int64, shape (n,)
        Pixels.
    valid_pixels : int
        Pixels of the scene that have data.
    """

    area: NDArray[np.int64]
    valid_pixels: int

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True, kw_only=True)
class Stitched(Segments):
    """Segments just stitched, which can still be described.

    Attributes
    ----------
    first_tile, last_tile : ndarray of int32, shape (n,)
        Positions in the grid of the first and the last tile whose cores have some of the segment.
    first_block, last_block : ndarray of int32, shape (n,)
        The first and the last of the blocks of tiles that have some of it; see
        `alps_geo.segments.blocks`.
    painting : Painting
        Their pixels.
    borders : Borders
        Their borders.
    """

    first_tile: NDArray[np.int32]
    last_tile: NDArray[np.int32]
    first_block: NDArray[np.int32]
    last_block: NDArray[np.int32]
    painting: Painting
    borders: Borders

    @property
    def rows(self) -> NDArray[np.uint32]:
        """The segments (n,) in the order in which the grid, tile by tile, last meets them."""
        return (np.argsort(self.last_tile, kind="stable") + 1).astype(np.uint32)


def stitch(
    grid: TileGrid,
    load: Load,
    painting: Painting,
    mapper: Mapper = HERE,
    *,
    min_area: int = 1,
    superpixel_size: int | None = None,
) -> Stitched:
    """Join the fragments of all tiles into segments.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Loads the outlines of a tile. It is called several times for each tile, block by block.
    painting : Painting
        Where to write the pixels of the segments.
    mapper : Mapper
        Maps matching and painting over blocks of tiles; `load` and `painting` have to pickle if it
        maps in other processes.
    min_area : int
        Segments of fewer pixels are specks.
    superpixel_size : int, optional
        Side of the superpixels that fill the tiles. Specks then join the largest segment that
        they touch, so that every pixel keeps its segment; those that touch none stay. None if
        nothing is filled: specks are dropped, and their pixels become 0.

    Returns
    -------
    Stitched
        Ids run from 1 without gaps, in the order in which the grid first meets the segments.

    Raises
    ------
    RunError
        If the painting cannot be written.
    """
    extents = paint_all(grid, join(grid, load, mapper), load, painting, mapper)
    if superpixel_size is not None:
        leftover = np.where(extents.claimed, 0, superpixel_size**2 // _LEFTOVER)
        host = _hosts(extents.area, extents.borders.pairs, np.maximum(leftover, min_area))
        kept = (host == np.arange(len(host))) & (extents.area > 0)
    else:
        host = np.arange(len(extents.area))
        kept = extents.area >= max(min_area, 1)
    # New ids by first appearance, so that they follow the picture.
    final = np.zeros(len(kept) + 1, dtype=np.uint32)
    final[1:][kept] = np.arange(1, kept.sum() + 1)
    final[1:] = final[1 + host]
    area = np.zeros(int(kept.sum()) + 1, dtype=np.int64)
    np.add.at(area, final[1:], extents.area)
    last_tile, last_block = np.zeros((2, len(area)), dtype=np.int32)
    first_tile, first_block = np.full((2, len(area)), len(grid), dtype=np.int32)
    np.maximum.at(last_tile, final[1:], extents.last_tile)
    np.maximum.at(last_block, final[1:], extents.last_block)
    np.minimum.at(first_tile, final[1:], extents.first_tile)
    np.minimum.at(first_block, final[1:], extents.first_block)
    painting.assign(final)
    return Stitched(
        area[1:],
        extents.valid_pixels,
        first_tile=first_tile[1:],
        last_tile=last_tile[1:],
        first_block=first_block[1:],
        last_block=last_block[1:],
        painting=painting,
        borders=extents.borders.renamed(final[1:].astype(np.int64) - 1),
    )


def _hosts(
    area: NDArray[np.int64], touching: NDArray[np.int64], min_area: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Join specks to the largest segment that each touches.

    Parameters
    ----------
    area : ndarray of int64, shape (n,)
        Pixels of each segment.
    touching : ndarray of int64, shape (m, 2)
        Pairs of segments, from 0.
    min_area : ndarray of int, shape (n,)
        Segments of fewer pixels are specks.

    Returns
    -------
    ndarray of int64, shape (n,)
        The segment that stands for all that were joined to it; itself if none was.
    """
    both = np.concatenate([touching, touching[:, ::-1]])
    host = np.arange(len(area))
    while True:
        size = np.bincount(host, weights=area, minlength=len(area))
        # Joined segments have to have the least that any of them has to have.
        least = np.full(len(area), np.iinfo(np.int64).max)
        np.minimum.at(least, host, min_area)
        speck, other = host[both].T
        wanted = (size[speck] < least[speck]) & (speck != other)
        speck, other = speck[wanted], other[wanted]
        if not len(speck):
            return host
        # One host for each speck: by two of them, segments would join that have nothing in common.
        order = np.lexsort((other, -size[other], speck))
        first = order[np.unique(speck[order], return_index=True)[1]]
        graph = sparse.coo_array(
            (np.ones(len(first), np.int8), (speck[first], other[first])), shape=2 * (len(area),)
        )
        _, component = connected_components(graph, directed=False)
        # The largest stands for all that joined it; of equals the first.
        by_size = np.lexsort((np.arange(len(area)), -size))
        _, found = np.unique(component[by_size], return_index=True)
        host = by_size[found][component][host]
