"""From the fragments of tiles to the segments of the scene.

One object is found in `alps_geo.segments.matching`. Which pixels it has is decided here, whatever
the order in which tiles are looked at:

1. Where tiles overlap and disagree, a pixel goes to the fragment that is known best: one that is
   whole and has its centroid in its own tile's core, before one that is whole, before one that the
   window's edge has cut off. Among whole ones the smaller wins, as among the masks of one tile,
   wherever it lies; among those that are cut off the tile whose core holds the pixel. So borders
   follow objects, and not the grid.
2. What no mask of any tile claims goes to superpixels, first to those whose centroid lies in their
   own tile's core, then to the others and to masks that are disowned; the smaller wins.
3. What is left of a segment after that and has fewer than `min_area` pixels is a speck: it joins
   the largest segment that it touches, or is dropped, as the caller wishes. The same goes for
   what is left of fragments without an owner, if it is much smaller than a superpixel: only where
   tiles meet are there such leftovers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import intersection
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.features.sums import pixel_counts
from alps_geo.segments.fragments import CUT, FILLED
from alps_geo.segments.matching import join
from alps_geo.segments.regions import touching_pairs
from alps_geo.segments.superpixels import SIDE
from alps_geo.windows import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.segments.fragments import Outlines
    from alps_geo.segments.matching import Joined

    Load = Callable[[Tile], Outlines]

_LARGEST = 2**40
"""More pixels than any fragment has."""

_LEFTOVER = SIDE**2 // 4
"""Pixels, a quarter of a superpixel: what nobody owns and is smaller joins a neighbour."""


@dataclass(frozen=True)
class Segments:
    """The segments of one scene; row i is that of segment id i + 1.

    Attributes
    ----------
    area : ndarray of int64, shape (n,)
        Pixels.
    ids : tuple of ndarray of uint32
        One lookup table per tile, in the grid's order: fragment -> segment id, 0 -> 0.
    ranks : tuple of ndarray of uint8
        As in `alps_geo.segments.matching.Joined`.
    valid_pixels : int
        Pixels of the scene that have data.
    """

    area: NDArray[np.int64]
    ids: tuple[NDArray[np.uint32], ...]
    ranks: tuple[NDArray[np.uint8], ...]
    valid_pixels: int

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True, kw_only=True)
class Stitched(Segments):
    """Segments, with what it takes to describe them.

    Attributes
    ----------
    by_mask : tuple of ndarray of bool
        As in `alps_geo.segments.matching.Joined`.
    last_tile : ndarray of int32, shape (n,)
        Position in the grid of the last tile whose core has some of the segment.
    """

    by_mask: tuple[NDArray[np.bool_], ...]
    last_tile: NDArray[np.int32]


@dataclass(frozen=True)
class Claims:
    """Fragment of each pixel of a core.

    Attributes
    ----------
    number : ndarray of int32, shape of the core
        The fragment, counted through all tiles around; 0 for none.
    ids : ndarray of uint32, shape (n + 1,)
        The segment id of each number.
    tiles : tuple of Tile
        The tiles around, whose fragments are counted one after the other.
    """

    number: NDArray[np.int32]
    ids: NDArray[np.uint32]
    tiles: tuple[Tile, ...]


def stitch(grid: TileGrid, load: Load, *, min_area: int = 1, keep_specks: bool = False) -> Stitched:
    """Join the fragments of all tiles into segments.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Gives the outlines of a tile's fragments. It is asked several times for each tile, never for
        more than three rows of tiles at once.
    min_area : int
        Segments of fewer pixels are specks.
    keep_specks : bool
        Whether specks join the largest segment that they touch, so that every pixel keeps its
        segment; those that touch none stay. Else they are dropped: their pixels become 0.

    Returns
    -------
    Stitched
        Ids run from 1 without gaps, in the order in which the grid first meets the segments.
    """
    joined = join(grid, load)
    extents = _measure(grid, joined, load)
    if keep_specks:
        leftover = np.where(extents.owned, 0, _LEFTOVER)
        host = _hosts(extents.area, extents.touching, np.maximum(leftover, min_area))
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
    return Stitched(
        area=area[1:],
        ids=tuple(final[ids] for ids in joined.groups),
        ranks=joined.ranks,
        valid_pixels=extents.valid_pixels,
        by_mask=joined.by_mask,
        last_tile=last_tile[1:],
    )


def paint(
    grid: TileGrid, segments: Segments, load: Load
) -> Iterator[tuple[Window, NDArray[np.uint32]]]:
    """Give the segment ids of the scene, one core after the other.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    segments : Segments
        The segments.
    load : callable
        Gives the fragments of a tile.

    Yields
    ------
    window : rasterio.windows.Window
        A core, in scene pixels.
    block : ndarray of uint32
        The ids of its pixels; 0 for none.
    """
    for tile in grid:
        claims = claim(grid, tile, segments.ids, segments.ranks, load)
        yield tile.core, claims.ids[claims.number]


def claim(
    grid: TileGrid,
    tile: Tile,
    ids: Sequence[NDArray[np.uint32]],
    ranks: Sequence[NDArray[np.uint8]],
    load: Load,
) -> Claims:
    """Decide which fragment each pixel of a core goes to; none if the tile has failed.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    tile : Tile
        The core's.
    ids, ranks : sequence of ndarray
        As in `Segments`.
    load : callable
        Gives the outlines of a tile's fragments.
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
        strength = _strength(ranks[index], outlines.size, at_home=other == tile)
        here = within(shared, tile.core)
        wins = strength[labels] > best[here]
        best[here][wins] = strength[labels][wins]
        claimed[here][wins] = labels[wins] + (count - 1)
        found.append(ids[index][1:])
        count += len(outlines)
    return Claims(claimed, np.concatenate(found), tiles)


def _strength(
    rank: NDArray[np.uint8], size: NDArray[np.int64], *, at_home: bool
) -> NDArray[np.int64]:
    """Strength of each fragment's claim to a pixel, shape (n + 1,); none for fragment 0."""
    smallness = np.where(rank == CUT, 0, _LARGEST - size)
    # Being at home in the core decides between equals alone, so it comes last.
    strength = 2 * (rank.astype(np.int64) * _LARGEST + smallness) + at_home
    return np.append(0, strength + 1)


@dataclass(frozen=True)
class _Extents:
    """Area, last tile and neighbours of each group in `Joined`; row i is group i + 1.

    Attributes
    ----------
    area : ndarray of int64, shape (n,)
        Pixels.
    owned : ndarray of bool, shape (n,)
        Whether some of them come from other fragments than those without an owner.
    last_tile : ndarray of int32, shape (n,)
        As in `Stitched`.
    touching : ndarray of int64, shape (m, 2)
        Pairs that share a side of a pixel.
    valid_pixels : int
        As in `Segments`.
    """

    area: NDArray[np.int64]
    owned: NDArray[np.bool_]
    last_tile: NDArray[np.int32]
    touching: NDArray[np.int64]
    valid_pixels: int


def _measure(grid: TileGrid, joined: Joined, load: Load) -> _Extents:
    """Find out which pixels segments were given."""
    area = np.zeros(joined.count + 1, dtype=np.int64)
    owned = np.zeros(joined.count + 1, dtype=np.bool_)
    last_tile = np.zeros(joined.count + 1, dtype=np.int32)
    touching = [np.empty((0, 2), dtype=np.int64)]
    # The segments right above a core and to the left of it, 0 beyond the scene: for pairs across
    # the borders of cores.
    above, left = np.zeros(grid.width, dtype=np.int64), np.zeros(1, dtype=np.int64)
    valid_pixels = 0
    for index, tile in enumerate(grid):
        claims = claim(grid, tile, joined.groups, joined.ranks, load)
        valid_pixels += load(tile).valid_pixels
        segments = claims.ids[1:]
        pixels = pixel_counts(claims.number, len(segments))
        np.add.at(area, segments, pixels)
        ranks = [joined.ranks[grid.index(other)] for other in claims.tiles]
        is_owned = np.concatenate([np.zeros(0, np.uint8), *ranks]) > FILLED
        owned[segments[(pixels > 0) & is_owned]] = True
        last_tile[segments[pixels > 0]] = index
        cols = tile.core.toslices()[1]
        block = np.pad(claims.ids[claims.number].astype(np.int64), ((1, 0), (1, 0)))
        block[0, 1:] = above[cols]
        block[1:, 0] = left if tile.col > 0 else 0
        touching.append(touching_pairs(block))
        above[cols], left = block[-1, 1:], block[1:, -1]
    pairs = np.unique(np.concatenate(touching), axis=0) - 1
    return _Extents(area[1:], owned[1:], last_tile[1:], pairs, valid_pixels)


def _hosts(
    area: NDArray[np.int64], touching: NDArray[np.int64], min_area: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Find where each segment ends up when specks join the largest segment that they touch.

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
        A segment of those joined, which stands for all of them; itself if nothing joined.
    """
    both = np.concatenate([touching, touching[:, ::-1]])
    host = np.arange(len(area))
    while True:
        size = np.bincount(host, weights=area, minlength=len(area))
        # What joined something is measured by the least that any part of it has to have.
        least = np.full(len(area), np.iinfo(np.int64).max)
        np.minimum.at(least, host, min_area)
        speck, other = host[both].T
        wanted = (size[speck] < least[speck]) & (speck != other)
        speck, other = speck[wanted], other[wanted]
        if not len(speck):
            return host
        # One way out for each speck: two of them would join what has nothing in common.
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
