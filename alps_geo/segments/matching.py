"""Matching of fragments of neighbouring tiles that are one object.

Five rules decide, in whatever order tiles are gone through:

1. Fragments of two neighbouring tiles are one object if they agree on the pixels that both tiles
   see: IoU above one half there. Objects of a tile never overlap, so each can match one of a
   neighbour at most.
2. Masks have to look alike, too: one object in a narrow overlap may be two beyond it.
3. A mask that a window has cut off is there in parts of superpixels. They are one object if the
   mask goes on beyond every edge that cuts it: the next tile has a mask that agrees on the pixels
   that both see, which goes on in turn, until it ends; and if all of it together is as even as one
   mask has to be. So no mask ends at the edge of a tile, and no chain of masks swallows unlike
   ones.
4. Else the mask is forgotten, and the parts of each superpixel are one again.
5. Every object has one owner, the tile whose core holds its centroid (as in StarDist's `big`).
   A mask of another tile that the owner would see as well, but doesn't, is disowned: else there
   would be more masks where tiles overlap, those of both, than anywhere else.

Objects are the connected components of the pairs of the whole scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.mapping import HERE
from alps_geo.segments.blocks import tile_blocks
from alps_geo.segments.cut_masks import masks_that_go_on
from alps_geo.segments.kept_tiles import expect, with_those_after
from alps_geo.segments.pairing import NO_PAIR, View, band_means, components, match_views
from alps_geo.segments.ranks import Rank, is_owned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.segments.blocks import TileBlock
    from alps_geo.segments.fragments import Outlines
    from alps_geo.segments.pairing import Pairs


@dataclass(frozen=True)
class Joined:
    """Fragments of all tiles, grouped into objects.

    Attributes
    ----------
    groups : tuple of ndarray of uint32
        One lookup table per tile, in the grid's order: fragment -> group, 1..n by first appearance;
        0 -> 0.
    ranks : tuple of ndarray of uint8
        `Rank` of each fragment of each tile, `FILLED` if it is disowned.
    by_mask : tuple of ndarray of bool
        True for each fragment of each tile that is a mask or a part of one: neither superpixel nor
        disowned, and no part of a mask that is forgotten.
    count : int
        Number of groups, n.
    """

    groups: tuple[NDArray[np.uint32], ...]
    ranks: tuple[NDArray[np.uint8], ...]
    by_mask: tuple[NDArray[np.bool_], ...]
    count: int

    def part(self, indices: Iterable[int]) -> JoinedPart:
        """Return the tiles of some indices."""
        of = list(indices)
        return JoinedPart(
            {index: self.groups[index] for index in of},
            {index: self.ranks[index] for index in of},
            {index: self.by_mask[index] for index in of},
        )


@dataclass(frozen=True)
class JoinedPart:
    """Some tiles of `Joined`, by their indices in the grid."""

    groups: Mapping[int, NDArray[np.uint32]]
    ranks: Mapping[int, NDArray[np.uint8]]
    by_mask: Mapping[int, NDArray[np.bool_]]


def join(grid: TileGrid, load: Callable[[Tile], Outlines], mapper: Mapper = HERE) -> Joined:
    """Find the fragments that are one object.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Loads the outlines of a tile. It is called several times for each tile, block by block.
    mapper : Mapper
        Maps the matching of tiles over blocks of them.
    """
    blocks = tile_blocks(grid)
    going = masks_that_go_on(grid, blocks, load, mapper)
    items = ((block, _going_around(grid, block, going)) for block in blocks)
    found: dict[int, _MatchedTile] = {}
    for part in mapper.map(partial(_match_with, grid, load), items):
        found |= part
    matched = [found[index] for index in range(len(grid))]
    offsets = np.cumsum([0, *(tile.count for tile in matched)])
    pairs = (each for tile in matched for each in tile.pairs)
    links = [linked + offsets[tiles] - 1 for tiles, linked in pairs]
    group = components(np.concatenate([NO_PAIR, *links]), int(offsets[-1]))
    count = int(group.max(initial=0))
    tables = (np.append(0, group[start:stop]) for start, stop in pairwise(offsets))
    groups = tuple(
        table[tile.object_of].astype(np.uint32) for table, tile in zip(tables, matched, strict=True)
    )
    ranks = _final_ranks(groups, matched, count)
    by_mask = tuple(
        tile.by_mask & (tile.rank == rank) for tile, rank in zip(matched, ranks, strict=True)
    )
    return Joined(groups, ranks, by_mask, count)


@dataclass(frozen=True)
class _MatchedTile:
    """Objects of one tile, and their pairs with those of the neighbours after it.

    Attributes
    ----------
    object_of : ndarray of int64, shape (n + 1,)
        See `View`.
    pairs : list of Pairs
        Pairs of objects.
    rank, owner : ndarray, shape (n,)
        See `alps_geo.segments.fragments.Outlines`.
    by_mask : ndarray of bool, shape (n,)
        True for each fragment that is a mask or a part of one that is not forgotten.
    failed : bool
        True if the tile has failed.
    """

    object_of: NDArray[np.int64]
    pairs: list[Pairs]
    rank: NDArray[np.uint8]
    owner: NDArray[np.int32]
    by_mask: NDArray[np.bool_]
    failed: bool

    @property
    def count(self) -> int:
        """Number of objects."""
        return int(self.object_of.max(initial=0))


def _match_with(
    grid: TileGrid, load: Callable[[Tile], Outlines]
) -> Callable[[tuple[TileBlock, Mapping[int, NDArray[np.bool_]]]], dict[int, _MatchedTile]]:
    """Return the matching of the tiles of a block, of which the masks that go on are known."""

    def matched(item: tuple[TileBlock, Mapping[int, NDArray[np.bool_]]]) -> dict[int, _MatchedTile]:
        block, going = item
        expect(load, with_those_after(grid, block.tiles))
        return {grid.index(tile): _matched(grid, tile, load, going) for tile in block.tiles}

    return matched


def _matched(
    grid: TileGrid,
    tile: Tile,
    load: Callable[[Tile], Outlines],
    going: Mapping[int, NDArray[np.bool_]],
) -> _MatchedTile:
    """Match the objects of a tile with those of the neighbours after it."""
    index, outlines = grid.index(tile), load(tile)
    view = _objects(outlines, going[index])
    pairs = []
    for neighbour in grid.after(tile):
        other = grid.index(neighbour)
        their_view = _objects(load(neighbour), going[other])
        pairs.append(([index, other], match_views(tile, view, neighbour, their_view)))
    holds = np.append(False, ~outlines.objects.in_parts | going[index])
    by_mask = holds[outlines.objects.of]
    return _MatchedTile(
        view.object_of, pairs, outlines.rank, outlines.owner, by_mask, outlines.failed
    )


def _going_around(
    grid: TileGrid, block: TileBlock, going: Sequence[NDArray[np.bool_]]
) -> dict[int, NDArray[np.bool_]]:
    """Return the masks that go on in the tiles of a block, and of the neighbours after them."""
    tiles = with_those_after(grid, block.tiles)
    return {index: going[index] for index in map(grid.index, tiles)}


def _final_ranks(
    groups: Sequence[NDArray[np.uint32]], known: Sequence[_MatchedTile], count: int
) -> tuple[NDArray[np.uint8], ...]:
    """Rank the fragments of each tile; those that their owners do not see are disowned.

    Parameters
    ----------
    groups : sequence of ndarray of uint32
        One lookup table per tile: fragment -> group, 1..`count`.
    known : sequence of _MatchedTile
        One per tile.
    count : int
        Number of groups.
    """
    owned = np.zeros(count + 1, dtype=np.bool_)
    for table, tile in zip(groups, known, strict=True):
        owned[table[1:][is_owned(tile.rank)]] = True
    ranks = []
    for table, tile in zip(groups, known, strict=True):
        group = table[1:]
        in_doubt = (tile.rank == Rank.SEEN) & (tile.owner >= 0) & ~owned[group]
        unknown = np.zeros_like(in_doubt)
        for owner in np.unique(tile.owner[in_doubt]).tolist():
            if not known[owner].failed:
                asked = in_doubt & (tile.owner == owner)
                unknown[asked] = ~np.isin(group[asked], groups[owner][1:])
        ranks.append(np.where(unknown, Rank.FILLED, tile.rank).astype(np.uint8))
    return tuple(ranks)


def _objects(outlines: Outlines, going: NDArray[np.bool_]) -> View:
    """View a tile as masks, and as superpixels where a mask in parts does not go on."""
    objects = outlines.objects
    mask = np.where(np.append(False, ~objects.in_parts | going)[objects.of], objects.of, 0)
    code = np.append(0, np.where(mask > 0, mask, len(objects) + objects.superpixel))
    known, object_of = np.unique(code, return_inverse=True)
    bands = band_means(objects)[np.where(known > len(objects), 0, known)]
    return View(outlines.labels, object_of.astype(np.int64), bands)
