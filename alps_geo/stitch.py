"""From the fragments of tiles to the segments of the scene.

What is one object is found in `alps_geo.matching`. Which pixels it has is decided here, whatever
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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from rasterio.windows import intersection
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.features import RegionSums, pixel_counts, pixel_sums
from alps_geo.features import moment_sums as moment_sums_of
from alps_geo.fragments import CUT, FILLED, touching_pairs
from alps_geo.matching import join, within
from alps_geo.superpixels import SIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.fragments import Fragments, Outlines
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.matching import Joined
    from alps_geo.scene import TilePixels

    Load = Callable[[Tile], Outlines]
    Read = Callable[[Window], TilePixels]

Number = TypeVar("Number", bound=np.number)

_LARGEST = 2**40
"""More pixels than any fragment has."""

_LEFTOVER = SIDE**2 // 4
"""Pixels, a quarter of a superpixel: what nobody owns and is smaller joins a neighbour."""


@dataclass(frozen=True)
class Segments:
    """The segments of one scene; row i describes segment id i + 1.

    Attributes
    ----------
    area : ndarray of int64, shape (n,)
        Pixels.
    band_means, band_stds : ndarray of float64, shape (n, B)
        Mean and standard deviation of every band over the pixels.
    moments : ndarray of float64, shape (n, 5)
        Mean of row, col, row², col² and row · col over the pixels, in scene pixels.
    part_sums : ndarray of float64, shape (n, 3)
        As in `alps_geo.matching.Joined`.
    ids : tuple of ndarray of uint32
        One lookup table per tile, in the grid's order: fragment -> segment id, 0 -> 0.
    ranks : tuple of ndarray of uint8
        As in `alps_geo.matching.Joined`.
    tells : tuple of ndarray of bool
        Whether each fragment of each tile tells of its segment. Leftovers without an owner do not:
        most of what they are made of lies in other segments than the one that they joined.
    valid_pixels : int
        Pixels of the scene that have data.
    """

    area: NDArray[np.int64]
    band_means: NDArray[np.float64]
    band_stds: NDArray[np.float64]
    moments: NDArray[np.float64]
    part_sums: NDArray[np.float64]
    ids: tuple[NDArray[np.uint32], ...]
    ranks: tuple[NDArray[np.uint8], ...]
    tells: tuple[NDArray[np.bool_], ...]
    valid_pixels: int

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True)
class SegmentSums:
    """What the tiles know of some segments, added up.

    Attributes
    ----------
    ids : ndarray of uint32, shape (n,)
        The segments.
    sums : RegionSums
        One row for each.
    """

    ids: NDArray[np.uint32]
    sums: RegionSums


def stitch(
    grid: TileGrid, load: Load, read: Read, *, min_area: int = 1, keep_specks: bool = False
) -> Segments:
    """Join the fragments of all tiles into segments.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Gives the outlines of a tile's fragments. It is asked several times for each tile, never for
        more than three rows of tiles at once.
    read : callable
        Gives the pixels of a window.
    min_area : int
        Segments of fewer pixels are specks.
    keep_specks : bool
        Whether specks join the largest segment that they touch, so that every pixel keeps its
        segment; those that touch none stay. Else they are dropped: their pixels become 0.

    Returns
    -------
    Segments
        Ids run from 1 without gaps, in the order in which the grid first meets the segments.
    """
    joined = join(grid, load)
    measured = _measure(grid, joined, load, read)
    if keep_specks:
        leftover = np.where(measured.owned, 0, _LEFTOVER)
        host = _hosts(measured.area, measured.touching, np.maximum(leftover, min_area))
        kept = (host == np.arange(len(host))) & (measured.area > 0)
    else:
        host = np.arange(len(measured.area))
        kept = measured.area >= max(min_area, 1)
    # New ids by first appearance, so that they follow the picture.
    final = np.zeros(len(kept) + 1, dtype=np.uint32)
    final[1:][kept] = np.arange(1, kept.sum() + 1)
    final[1:] = final[1 + host]
    count = int(kept.sum())
    area = _added(measured.area, final[1:], count)
    means = _added(measured.band_sums, final[1:], count) / area[:, None]
    squares = _added(measured.square_sums, final[1:], count) / area[:, None]
    return Segments(
        area=area,
        band_means=means,
        band_stds=np.sqrt(np.maximum(squares - means**2, 0)),
        moments=_added(measured.moment_sums, final[1:], count) / area[:, None],
        part_sums=_added(joined.part_sums, final[1:], count),
        ids=tuple(final[ids] for ids in joined.groups),
        ranks=joined.ranks,
        tells=tuple(np.append(False, kept | measured.owned)[ids[1:]] for ids in joined.groups),
        valid_pixels=measured.valid_pixels,
    )


def sum_segments(
    grid: TileGrid, segments: Segments, load: Callable[[Tile], Fragments]
) -> Iterator[SegmentSums]:
    """Add up what the tiles know of each segment.

    Only segments that a tile to come knows too are held, so memory follows the strips along the
    seams and not the scene.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    segments : Segments
        The segments.
    load : callable
        Gives the fragments of a tile; asked once for each, in the grid's order.

    Yields
    ------
    SegmentSums
        The segments that end with a tile, by ascending id; each segment comes once.
    """
    ends_with = np.zeros(len(segments) + 1, dtype=np.int32)
    for index, table in enumerate(segments.ids):
        ends_with[table] = index
    open_ids, held = np.empty(0, dtype=np.uint32), list[RegionSums]()
    for index, (tile, table) in enumerate(zip(grid, segments.ids, strict=True)):
        found = np.concatenate([open_ids, np.where(segments.tells[index], table[1:], 0)])
        held.append(load(tile).sums)
        known, row = np.unique(found, return_inverse=True)
        if len(known) and known[0] == 0:
            known, row = known[1:], row - 1
        sums = RegionSums.concatenate(held).grouped(row + 1, len(known))
        ended = ends_with[known] == index
        if ended.any():
            parts = segments.part_sums[known[ended] - 1]
            yield SegmentSums(known[ended], _with_parts(sums.take(ended), parts))
        open_ids, held = known[~ended], [sums.take(~ended)]


def _with_parts(sums: RegionSums, parts: NDArray[np.float64]) -> RegionSums:
    """Add the scores of masks that lie there in superpixels, rows of `Joined.part_sums`."""
    return replace(
        sums,
        mask_weight=sums.mask_weight + parts[:, 0],
        score_sums=sums.score_sums + parts[:, 1:],
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
        claim = _claim(grid, tile, segments.ids, segments.ranks, load)
        yield tile.core, claim.ids[claim.number]


@dataclass(frozen=True)
class _Claim:
    """Which fragment each pixel of a core goes to.

    Attributes
    ----------
    number : ndarray of int32, shape of the core
        The fragment, counted through all tiles around; 0 for none.
    ids : ndarray of uint32, shape (n + 1,)
        The segment id of each number.
    ranks : ndarray of uint8, shape (n + 1,)
        The rank of each number.
    """

    number: NDArray[np.int32]
    ids: NDArray[np.uint32]
    ranks: NDArray[np.uint8]


def _claim(
    grid: TileGrid,
    tile: Tile,
    ids: Sequence[NDArray[np.uint32]],
    ranks: Sequence[NDArray[np.uint8]],
    load: Load,
) -> _Claim:
    """Decide which fragment each pixel of a core goes to."""
    claimed = np.zeros((tile.core.height, tile.core.width), dtype=np.int32)
    best = np.zeros(claimed.shape, dtype=np.int64)
    candidates = [np.zeros(1, dtype=np.uint32)]
    their_ranks = [np.zeros(1, dtype=np.uint8)]
    count = 1
    for other in [] if load(tile).failed else grid.around(tile):
        fragments = load(other)
        shared = intersection(tile.core, other.window)
        labels = fragments.labels[within(shared, other.window)]
        index = grid.index(other)
        claim = _claims(ranks[index], fragments.size, at_home=other == tile)
        here = within(shared, tile.core)
        wins = claim[labels] > best[here]
        best[here][wins] = claim[labels][wins]
        claimed[here][wins] = labels[wins] + (count - 1)
        candidates.append(ids[index][1:])
        their_ranks.append(ranks[index])
        count += len(fragments)
    return _Claim(claimed, np.concatenate(candidates), np.concatenate(their_ranks))


def _claims(
    rank: NDArray[np.uint8], size: NDArray[np.int64], *, at_home: bool
) -> NDArray[np.int64]:
    """Strength of each fragment's claim to a pixel, shape (n + 1,); none for fragment 0."""
    smallness = np.where(rank == CUT, 0, _LARGEST - size)
    # Being at home in the core decides between equals alone, so it comes last.
    strength = 2 * (rank.astype(np.int64) * _LARGEST + smallness) + at_home
    return np.append(0, strength + 1)


@dataclass(frozen=True)
class _Measured:
    """Sums over the pixels that segments were given, and the pairs of them that touch.

    `owned` tells which have pixels other than those of fragments without an owner.
    """

    area: NDArray[np.int64]
    owned: NDArray[np.bool_]
    band_sums: NDArray[np.float64]
    square_sums: NDArray[np.float64]
    moment_sums: NDArray[np.float64]
    touching: NDArray[np.int64]
    valid_pixels: int


def _measure(
    grid: TileGrid,
    joined: Joined,
    load: Load,
    read: Read,
) -> _Measured:
    """Measure the pixels that segments were given."""
    count = len(joined.part_sums)
    area = np.zeros(count + 1, dtype=np.int64)
    owned = np.zeros(count + 1, dtype=np.bool_)
    moment_sums = np.zeros((count + 1, 5))
    band_sums: NDArray[np.float64] | None = None
    touching = [np.empty((0, 2), dtype=np.int64)]
    # The segments right above a core and to the left of it, 0 beyond the scene: for pairs across
    # the borders of cores.
    above, left = np.zeros(grid.width, dtype=np.int64), np.zeros(1, dtype=np.int64)
    valid_pixels = 0
    for tile in grid:
        cols = tile.core.toslices()[1]
        if load(tile).failed:
            above[cols], left = 0, np.zeros(1, dtype=np.int64)
            continue
        claim = _claim(grid, tile, joined.groups, joined.ranks, load)
        pixels = read(tile.core)
        valid_pixels += int(pixels.valid.sum())
        if band_sums is None:
            band_sums = np.zeros((count + 1, 2 * len(pixels.bands)))
        claimed, numbers, segments = claim.number, len(claim.ids) - 1, claim.ids[1:]
        pixels_of = pixel_counts(claimed, numbers)
        np.add.at(area, segments, pixels_of)
        owned[segments[(pixels_of > 0) & (claim.ranks[1:] > FILLED)]] = True
        bands = pixels.bands.astype(np.float64)
        squared = np.concatenate([bands, bands**2])
        np.add.at(band_sums, segments, pixel_sums(claimed, numbers, squared))
        origin = tile.core.row_off, tile.core.col_off
        np.add.at(moment_sums, segments, moment_sums_of(claimed, numbers, origin))
        block = np.pad(claim.ids[claimed].astype(np.int64), ((1, 0), (1, 0)))
        block[0, 1:] = above[cols]
        block[1:, 0] = left if tile.col > 0 else 0
        touching.append(touching_pairs(block))
        above[cols], left = block[-1, 1:], block[1:, -1]
    if band_sums is None:
        raise ValueError("not one tile could be read, so there is nothing to measure")
    means, squares = np.split(band_sums[1:], 2, axis=1)
    pairs = np.unique(np.concatenate(touching), axis=0) - 1
    return _Measured(area[1:], owned[1:], means, squares, moment_sums[1:], pairs, valid_pixels)


def _added(values: NDArray[Number], group: NDArray[np.integer], count: int) -> NDArray[Number]:
    """Add up the rows of each group 1..count; rows of group 0 are left out."""
    total = np.zeros((count + 1, *values.shape[1:]), dtype=values.dtype)
    np.add.at(total, group, values)
    return total[1:]


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
