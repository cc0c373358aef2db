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

from alps_geo.segments.borders import Borders
from alps_geo.segments.matching import join
from alps_geo.segments.paint import paint_core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.grid import TileGrid
    from alps_geo.segments.matching import Joined
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
    last_tile : ndarray of int32, shape (n,)
        Position in the grid of the last tile whose core has some of the segment.
    painting : Painting
        Their pixels.
    borders : Borders
        Their borders.
    """

    last_tile: NDArray[np.int32]
    painting: Painting
    borders: Borders


def stitch(
    grid: TileGrid,
    load: Load,
    painting: Painting,
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
        Loads the outlines of a tile. It is called several times for each tile, never for more than
        three rows of tiles at once.
    painting : Painting
        Where to write the pixels of the segments.
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
    extents = _paint(grid, join(grid, load), load, painting)
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
    last_tile = np.zeros(len(area), dtype=np.int32)
    np.maximum.at(last_tile, final[1:], extents.last_tile)
    painting.assign(final)
    return Stitched(
        area[1:],
        extents.valid_pixels,
        last_tile=last_tile[1:],
        painting=painting,
        borders=extents.borders.renamed(final[1:].astype(np.int64) - 1),
    )


@dataclass(frozen=True)
class _Extents:
    """Area, last tile and borders of each group in `Joined`; row i is group i + 1.

    Attributes
    ----------
    area : ndarray of int64, shape (n,)
        Pixels.
    claimed : ndarray of bool, shape (n,)
        True unless all of them come from unclaimed fragments.
    last_tile : ndarray of int32, shape (n,)
        See `Stitched`.
    borders : Borders
        Their borders.
    valid_pixels : int
        See `Segments`.
    """

    area: NDArray[np.int64]
    claimed: NDArray[np.bool_]
    last_tile: NDArray[np.int32]
    borders: Borders
    valid_pixels: int


def _paint(grid: TileGrid, joined: Joined, load: Load, painting: Painting) -> _Extents:
    """Paint all cores, and measure the pixels of each group."""
    area = np.zeros(joined.count + 1, dtype=np.int64)
    claimed = np.zeros(joined.count + 1, dtype=np.bool_)
    last_tile = np.zeros(joined.count + 1, dtype=np.int32)
    borders = [Borders.none()]
    # The groups right above a core, 0 beyond the scene, and to the left of it.
    above, left = np.zeros(grid.width, dtype=np.uint32), np.zeros(0, dtype=np.uint32)
    valid_pixels = 0
    with painting.writing() as write:
        for index, tile in enumerate(grid):
            core = paint_core(grid, tile, joined, load)
            write(core)
            valid_pixels += load(tile).valid_pixels
            groups = core.ids[1:]
            np.add.at(area, groups, core.pixels)
            claimed[groups[core.claimed]] = True
            last_tile[groups] = index
            cols = tile.core.toslices()[1]
            block = core.ids[core.number]
            borders += [Borders.between(block), Borders.across(above[cols], block[0])]
            if tile.col > 0:
                borders.append(Borders.across(left, block[:, 0]))
            above[cols], left = block[-1], block[:, -1]
    together = Borders.together(borders)
    return _Extents(area[1:], claimed[1:], last_tile[1:], together, valid_pixels)


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
