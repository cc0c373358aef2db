"""Masks that windows cut off, and that go on in the next tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.segments.fragments import COARSE_VARIANCE
from alps_geo.segments.kept_tiles import expect, with_those_after
from alps_geo.segments.pairing import NO_PAIR, View, band_means, components, match_views
from alps_geo.segments.ranks import Edge
from alps_geo.segments.regions import variance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.segments.blocks import TileBlock
    from alps_geo.segments.fragments import Outlines
    from alps_geo.segments.pairing import Pairs


@dataclass(frozen=True)
class _TileMasks:
    """Masks of one tile, and their pairs with those of the neighbours after it.

    Attributes
    ----------
    in_parts, edges, sums : ndarray
        See `alps_geo.segments.fragments.Objects`.
    pairs : list of Pairs
        Pairs of masks.
    sides : list of tuple of Edge
        For each of `pairs`, the edges of the tile and of the neighbour that they cross.
    """

    in_parts: NDArray[np.bool_]
    edges: NDArray[np.bool_]
    sums: NDArray[np.float64]
    pairs: list[Pairs]
    sides: list[tuple[Edge, Edge]]


def _pair_masks_with(
    grid: TileGrid, load: Callable[[Tile], Outlines]
) -> Callable[[TileBlock], dict[int, _TileMasks]]:
    """Return the pairing of the masks of the tiles of a block."""

    def paired(block: TileBlock) -> dict[int, _TileMasks]:
        expect(load, with_those_after(grid, block.tiles))
        return {grid.index(tile): _paired(grid, tile, load) for tile in block.tiles}

    return paired


def _paired(grid: TileGrid, tile: Tile, load: Callable[[Tile], Outlines]) -> _TileMasks:
    """Pair the masks of a tile with those of the neighbours after it."""
    outlines = load(tile)
    pairs, sides = [], []
    for neighbour in grid.after(tile):
        matched = match_views(tile, _masks(outlines), neighbour, _masks(load(neighbour)))
        pairs.append(([grid.index(tile), grid.index(neighbour)], matched))
        below = neighbour.row != tile.row
        sides.append((Edge.BOTTOM, Edge.TOP) if below else (Edge.RIGHT, Edge.LEFT))
    objects = outlines.objects
    return _TileMasks(objects.in_parts, objects.edges, objects.sums, pairs, sides)


def masks_that_go_on(
    grid: TileGrid,
    blocks: Sequence[TileBlock],
    load: Callable[[Tile], Outlines],
    mapper: Mapper,
) -> list[NDArray[np.bool_]]:
    """Find the masks in parts that go on beyond every edge that cuts them; for each tile, (k,)."""
    found: dict[int, _TileMasks] = {}
    for part in mapper.map(partial(_pair_masks_with, grid, load), blocks):
        found |= part
    masks = [found[index] for index in range(len(grid))]
    offsets = np.cumsum([0, *(len(tile.in_parts) for tile in masks)])
    pairs = [each for tile in masks for each in tile.pairs]
    links = [matched + offsets[tiles] - 1 for tiles, matched in pairs]
    each_side = (side for tile in masks for side in tile.sides)
    sides = [
        np.broadcast_to(side, matched.shape)
        for side, (_, matched) in zip(each_side, pairs, strict=True)
    ]
    going = _go_on(masks, np.concatenate([NO_PAIR, *links]), np.concatenate([NO_PAIR, *sides]))
    return np.split(going, offsets[1:-1])


def _go_on(
    masks: Sequence[_TileMasks], links: NDArray[np.int64], sides: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Find the masks of all tiles, numbered from 0, that are in parts and go on.

    Parameters
    ----------
    masks : sequence of _TileMasks
        Those of each tile.
    links, sides : ndarray of int64, shape (m, 2)
        Pairs of masks that are one object, and the edge of each beyond which the other lies.
    """
    in_parts = np.concatenate([tile.in_parts for tile in masks])
    edges = np.concatenate([tile.edges for tile in masks])
    sums = np.concatenate([tile.sums for tile in masks])
    met = np.zeros_like(edges)
    met[links, sides] = True
    # Whole masks need not be even with it: else a street would take every house along.
    group = components(links[in_parts[links].all(axis=1)], len(in_parts)) - 1
    totals = np.zeros((int(group.max(initial=-1)) + 1, sums.shape[1]))
    np.add.at(totals, group[in_parts], sums[in_parts])
    goes_on = variance(totals) <= COARSE_VARIANCE
    goes_on[group[in_parts & (edges & ~met).any(axis=1)]] = False
    return in_parts & goes_on[group]


def _masks(outlines: Outlines) -> View:
    """View a tile as its masks, and nothing else."""
    object_of = np.append(0, outlines.objects.of).astype(np.int64)
    return View(outlines.labels, object_of, band_means(outlines.objects))
