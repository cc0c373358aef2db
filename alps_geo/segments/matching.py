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
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import intersect, intersection
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.segments.fragments import COARSE_VARIANCE
from alps_geo.segments.ranks import Edge, Rank, is_owned
from alps_geo.segments.regions import variance
from alps_geo.windows import within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.segments.fragments import Objects, Outlines

MATCH_IOU = 0.5

ALIKE = 1.0
"""Mean squared difference of the bands of two masks of one object, in variances of the scene."""


_NO_PAIR = np.empty((0, 2), dtype=np.int64)


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


def join(grid: TileGrid, load: Callable[[Tile], Outlines]) -> Joined:
    """Find the fragments that are one object.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Loads the outlines of a tile. It is called several times for each tile, never for more than
        two rows of tiles at once.
    """
    going = _masks_that_go_on(grid, load)
    objects: list[NDArray[np.int64]] = []
    known: list[_Known] = []
    pairs: list[tuple[list[int], NDArray[np.int64]]] = []
    for index, tile in enumerate(grid):
        outlines = load(tile)
        view = _objects(outlines, going[index])
        objects.append(view.object_of)
        holds = np.append(False, ~outlines.objects.in_parts | going[index])
        of_mask = holds[outlines.objects.of]
        known.append(_Known(outlines.rank, outlines.owner, of_mask, outlines.failed))
        for neighbour in grid.after(tile):
            other = grid.index(neighbour)
            their_view = _objects(load(neighbour), going[other])
            pairs.append(([index, other], _match(tile, view, neighbour, their_view)))
    offsets = np.cumsum([0, *(object_of.max(initial=0) for object_of in objects)])
    links = [matched + offsets[tiles] - 1 for tiles, matched in pairs]
    group = _components(np.concatenate([_NO_PAIR, *links]), int(offsets[-1]))
    count = int(group.max(initial=0))
    tables = (np.append(0, group[start:stop]) for start, stop in pairwise(offsets))
    groups = tuple(table[of].astype(np.uint32) for table, of in zip(tables, objects, strict=True))
    ranks = _final_ranks(groups, known, count)
    by_mask = tuple(
        tile.by_mask & (tile.rank == rank) for tile, rank in zip(known, ranks, strict=True)
    )
    return Joined(groups, ranks, by_mask, count)


def match_labels(
    first: NDArray[np.integer], second: NDArray[np.integer], min_iou: float = MATCH_IOU
) -> NDArray[np.int64]:
    """Pair the labels of two arrays of one shape whose IoU is above `min_iou`.

    With `min_iou` of one half or more, a label is in one pair at most.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Labels of `first` and `second`, ascending; 0 is never paired.
    """
    shape = (int(first.max(initial=0)) + 1, int(second.max(initial=0)) + 1)
    counts = sparse.coo_array(
        (np.ones(first.size, dtype=np.int64), (first.ravel(), second.ravel())), shape=shape
    ).tocsr()
    shared = counts[1:, 1:].tocoo()
    a, b = shared.coords
    union = counts.sum(axis=1)[1 + a] + counts.sum(axis=0)[1 + b] - shared.data
    keep = shared.data > min_iou * union
    return np.stack([a[keep], b[keep]], axis=1).astype(np.int64) + 1


@dataclass(frozen=True)
class _View:
    """The objects of one tile and the mean band values of each.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel.
    object_of : ndarray of int64, shape (n + 1,)
        The object that each fragment is or is a part of, 1..k, by fragment; 0 for none.
    bands : ndarray of float64, shape (k + 1, B)
        Mean of each standardised band over each object that is a mask; NaN for others.
    """

    labels: NDArray[np.int32]
    object_of: NDArray[np.int64]
    bands: NDArray[np.float64]


def _masks(outlines: Outlines) -> _View:
    """View a tile as its masks, and nothing else."""
    object_of = np.append(0, outlines.objects.of).astype(np.int64)
    return _View(outlines.labels, object_of, _band_means(outlines.objects))


@dataclass(frozen=True)
class _Known:
    """Per-fragment rank, owner and mask flag of one tile."""

    rank: NDArray[np.uint8]
    owner: NDArray[np.int32]
    by_mask: NDArray[np.bool_]
    failed: bool


def _final_ranks(
    groups: Sequence[NDArray[np.uint32]], known: Sequence[_Known], count: int
) -> tuple[NDArray[np.uint8], ...]:
    """Rank the fragments of each tile; those that their owners do not see are disowned.

    Parameters
    ----------
    groups : sequence of ndarray of uint32
        One lookup table per tile: fragment -> group, 1..`count`.
    known : sequence of _Known
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


def _objects(outlines: Outlines, going: NDArray[np.bool_]) -> _View:
    """View a tile as masks, and as superpixels where a mask in parts does not go on."""
    objects = outlines.objects
    mask = np.where(np.append(False, ~objects.in_parts | going)[objects.of], objects.of, 0)
    code = np.append(0, np.where(mask > 0, mask, len(objects) + objects.superpixel))
    known, object_of = np.unique(code, return_inverse=True)
    bands = _band_means(objects)[np.where(known > len(objects), 0, known)]
    return _View(outlines.labels, object_of.astype(np.int64), bands)


def _band_means(objects: Objects) -> NDArray[np.float64]:
    """Mean of each standardised band over each mask, shape (k + 1, B); NaN in row 0."""
    bands = objects.sums.shape[1] // 2
    means = objects.sums[:, 1 : 1 + bands] / objects.sums[:, :1]
    return np.vstack([np.full((1, bands), np.nan), means])


def _match(tile: Tile, view: _View, neighbour: Tile, their_view: _View) -> NDArray[np.int64]:
    """Pair the views of one object in two tiles, shape (n, 2)."""
    # With an overlap of 0 they share no pixel.
    if not intersect(tile.window, neighbour.window):
        return _NO_PAIR
    shared = intersection(tile.window, neighbour.window)
    pairs = match_labels(
        view.object_of[view.labels[within(shared, tile.window)]],
        their_view.object_of[their_view.labels[within(shared, neighbour.window)]],
    )
    difference = view.bands[pairs[:, 0]] - their_view.bands[pairs[:, 1]]
    # NaN, and so not unlike, where one of them is no mask.
    unlike: NDArray[np.bool_] = (difference**2).mean(axis=1) > ALIKE
    return pairs[~unlike]


def _masks_that_go_on(grid: TileGrid, load: Callable[[Tile], Outlines]) -> list[NDArray[np.bool_]]:
    """Find the masks in parts that go on beyond every edge that cuts them; for each tile, (k,)."""
    objects: list[Objects] = []
    pairs: list[tuple[list[int], NDArray[np.int64]]] = []
    sides = [_NO_PAIR]
    for index, tile in enumerate(grid):
        outlines = load(tile)
        objects.append(outlines.objects)
        for neighbour in grid.after(tile):
            matched = _match(tile, _masks(outlines), neighbour, _masks(load(neighbour)))
            pairs.append(([index, grid.index(neighbour)], matched))
            side = (Edge.RIGHT, Edge.LEFT) if neighbour.row == tile.row else (Edge.BOTTOM, Edge.TOP)
            sides.append(np.broadcast_to(side, matched.shape))
    offsets = np.cumsum([0, *map(len, objects)])
    links = [matched + offsets[tiles] - 1 for tiles, matched in pairs]
    going = _go_on(objects, np.concatenate([_NO_PAIR, *links]), np.concatenate(sides))
    return np.split(going, offsets[1:-1])


def _go_on(
    objects: Sequence[Objects], links: NDArray[np.int64], sides: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Find the masks of all tiles, numbered from 0, that are in parts and go on.

    Parameters
    ----------
    objects : sequence of Objects
        Those of each tile.
    links, sides : ndarray of int64, shape (m, 2)
        Pairs of masks that are one object, and the edge of each beyond which the other lies.
    """
    in_parts = np.concatenate([o.in_parts for o in objects])
    edges = np.concatenate([o.edges for o in objects])
    sums = np.concatenate([o.sums for o in objects])
    met = np.zeros_like(edges)
    met[links, sides] = True
    # Whole masks need not be even with it: else a street would take every house along.
    group = _components(links[in_parts[links].all(axis=1)], len(in_parts)) - 1
    totals = np.zeros((int(group.max(initial=-1)) + 1, sums.shape[1]))
    np.add.at(totals, group[in_parts], sums[in_parts])
    goes_on = variance(totals) <= COARSE_VARIANCE
    goes_on[group[in_parts & (edges & ~met).any(axis=1)]] = False
    return in_parts & goes_on[group]


def _components(links: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    """Group linked nodes, 1..n by first appearance."""
    graph = sparse.coo_array((np.ones(len(links), np.int8), links.T), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    _, appearance, inverse = np.unique(component, return_index=True, return_inverse=True)
    order = np.empty(len(appearance), dtype=np.int64)
    order[np.argsort(appearance)] = np.arange(1, len(appearance) + 1)
    return np.asarray(order[inverse])
