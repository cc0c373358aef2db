"""Which fragments of neighbouring tiles are one object.

Three rules decide, whatever the order in which tiles are looked at:

1. Fragments of neighbouring tiles are one object if they agree on the pixels that both tiles see:
   IoU above one half there. Fragments of a tile never overlap, so each can match one fragment of a
   neighbour at most.
2. Masks have to look alike, too: what two tiles call one thing in a narrow overlap may be another
   thing beyond it.
3. A large mask that a window has cut off lies there in superpixels. They become one object if the
   mask goes on beyond every edge that cuts it: the next tile has a mask that agrees on the pixels
   that both see, which goes on in turn, until it ends; and if all of it together is as even as one
   mask has to be. Else the superpixels stay apart, so that no mask ends at the edge of a tile, and
   no chain of masks swallows what is unlike.

What is joined is found by union-find over the pairs of the whole scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window, intersection
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.fragments import BOTTOM, COARSE_VARIANCE, LEFT, RIGHT, TOP, variance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.fragments import Objects, Outlines
    from alps_geo.grid import Tile, TileGrid

MATCH_IOU = 0.5

ALIKE = 1.0
"""Mean squared difference of the bands of two masks of one object, in variances of the scene."""


_NO_PAIR = np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Joined:
    """Which fragments of all tiles are one object.

    Attributes
    ----------
    groups : tuple of ndarray of uint32
        One lookup table per tile, in the grid's order: fragment -> group, 1..n by first appearance;
        0 -> 0.
    part_sums : ndarray of float64, shape (n, 3)
        Of the superpixels in each group that make up masks: their pixels, and the predicted IoU and
        stability score of the masks, times the pixels. What two tiles see counts twice.
    """

    groups: tuple[NDArray[np.uint32], ...]
    part_sums: NDArray[np.float64]


def join(grid: TileGrid, load: Callable[[Tile], Outlines]) -> Joined:
    """Find the fragments that are one object.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Gives the outlines of a tile's fragments. It is asked several times for each tile, never for
        more than two rows of tiles at once.
    """
    sizes: list[NDArray[np.int64]] = []
    objects: list[Objects] = []
    matches: list[_Match] = []
    for tile in grid:
        outlines = load(tile)
        sizes.append(outlines.size)
        objects.append(outlines.objects)
        matches += [
            _match(grid, tile, outlines, neighbour, load(neighbour))
            for neighbour in grid.after(tile)
        ]
    offsets = np.cumsum([0, *map(len, sizes)])
    masks = _Masks.of_tiles(objects, matches)
    pairs = [match.fragments + offsets[list(match.tiles)] - 1 for match in matches]
    # The fragments of a mask are joined through a node for the mask, numbered after all fragments.
    count = int(offsets[-1])
    member, mask, mask_pairs = masks.going_on()
    links = [_NO_PAIR, *pairs, np.stack([member, count + mask], axis=1), count + mask_pairs]
    group = _components(np.concatenate(links), count + len(masks), count)
    part_sums = np.zeros((int(group.max(initial=0)), 3))
    part = masks.in_parts[mask]
    pixels = np.concatenate([np.empty(0, dtype=np.int64), *sizes])[member[part]]
    scores = np.insert(masks.scores[mask[part]], 0, 1.0, axis=1)
    np.add.at(part_sums, group[member[part]] - 1, pixels[:, None] * scores)
    return Joined(
        tuple(
            np.concatenate([[0], group[start:stop]]).astype(np.uint32)
            for start, stop in pairwise(offsets)
        ),
        part_sums,
    )


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


def within(inner: Window, outer: Window) -> tuple[slice, slice]:
    """`inner` as slices into an array that covers `outer`."""
    top = inner.row_off - outer.row_off
    left = inner.col_off - outer.col_off
    return slice(top, top + inner.height), slice(left, left + inner.width)


@dataclass(frozen=True)
class _Match:
    """What two neighbouring tiles have in common.

    Attributes
    ----------
    tiles : (int, int)
        Their positions in the grid.
    edges : (int, int)
        The edge of each beyond which the other lies.
    fragments : ndarray of int64, shape (n, 2)
        Fragments that are one object.
    masks : ndarray of int64, shape (m, 2)
        Masks that are one object, if one of the two lies there in superpixels.
    """

    tiles: tuple[int, int]
    edges: tuple[int, int]
    fragments: NDArray[np.int64]
    masks: NDArray[np.int64]


def _match(
    grid: TileGrid, tile: Tile, outlines: Outlines, neighbour: Tile, others: Outlines
) -> _Match:
    """Compare two tiles where both see."""
    tiles = grid.index(tile), grid.index(neighbour)
    edges = (RIGHT, LEFT) if neighbour.row == tile.row else (BOTTOM, TOP)
    if not (len(outlines) and len(others)) or _apart(tile.window, neighbour.window):
        return _Match(tiles, edges, _NO_PAIR, _NO_PAIR)
    shared = intersection(tile.window, neighbour.window)
    labels = outlines.labels[within(shared, tile.window)]
    their_labels = others.labels[within(shared, neighbour.window)]
    mine, theirs = outlines.objects, others.objects
    mask, their_mask = np.append(0, mine.of), np.append(0, theirs.of)
    fragments = match_labels(labels, their_labels)
    alike = _alike(mine, mask[fragments[:, 0]], theirs, their_mask[fragments[:, 1]])
    masks = match_labels(mask[labels], their_mask[their_labels])
    kept = _alike(mine, masks[:, 0], theirs, masks[:, 1])
    kept &= mine.in_parts[masks[:, 0] - 1] | theirs.in_parts[masks[:, 1] - 1]
    return _Match(tiles, edges, fragments[alike], masks[kept])


def _alike(
    mine: Objects, first: NDArray[np.integer], theirs: Objects, second: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Tell for pairs of masks whether they look alike; 0 stands for no mask, which rules none out.

    Shape (n,).
    """
    difference = _band_means(mine)[first] - _band_means(theirs)[second]
    alike = (difference**2).mean(axis=1) <= ALIKE
    return np.asarray(alike | (first == 0) | (second == 0))


def _band_means(objects: Objects) -> NDArray[np.float64]:
    """Mean of each standardised band over each mask, shape (k + 1, B); row 0 is of no mask."""
    bands = objects.sums.shape[1] // 2
    means = objects.sums[:, 1 : 1 + bands] / objects.sums[:, :1]
    return np.vstack([np.zeros((1, bands)), means])


@dataclass(frozen=True)
class _Masks:
    """The masks of all tiles, numbered from 0 through the grid.

    Attributes
    ----------
    fragment, mask : ndarray of int64, shape (f,)
        The fragments that belong to masks, numbered through the grid from 0, and the mask of each.
    in_parts, edges, sums, scores
        As in `alps_geo.fragments.Objects`.
    pairs, pair_edges : ndarray of int64, shape (m, 2)
        Masks that are one object, and the edge of each beyond which the other lies.
    """

    fragment: NDArray[np.int64]
    mask: NDArray[np.int64]
    in_parts: NDArray[np.bool_]
    edges: NDArray[np.bool_]
    sums: NDArray[np.float64]
    scores: NDArray[np.float64]
    pairs: NDArray[np.int64]
    pair_edges: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.in_parts)

    @classmethod
    def of_tiles(cls, objects: Sequence[Objects], matches: Sequence[_Match]) -> _Masks:
        """Give numbers to the masks of all tiles."""
        offsets = np.cumsum([0, *map(len, objects)])
        of = np.concatenate([o.of for o in objects]).astype(np.int64)
        base = np.repeat(offsets[:-1], [len(o.of) for o in objects])
        fragment = np.flatnonzero(of)
        pairs = [_NO_PAIR, *(m.masks + offsets[list(m.tiles)] - 1 for m in matches)]
        sides = [_NO_PAIR, *(np.broadcast_to(m.edges, m.masks.shape) for m in matches)]
        return cls(
            fragment=fragment,
            mask=(base + of - 1)[fragment],
            in_parts=np.concatenate([o.in_parts for o in objects]),
            edges=np.concatenate([o.edges for o in objects]),
            sums=np.concatenate([o.sums for o in objects]),
            scores=np.concatenate([o.scores for o in objects]),
            pairs=np.concatenate(pairs),
            pair_edges=np.concatenate(sides),
        )

    def going_on(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Find the masks in superpixels that go on beyond each edge that cuts them.

        Returns
        -------
        fragment, mask : ndarray of int64, shape (f,)
            The fragments that belong to such masks, or to masks that these go on in.
        pairs : ndarray of int64, shape (m, 2)
            Pairs of these masks that are one object.
        """
        group = _components(self.pairs, len(self), len(self)) - 1
        count = int(group.max(initial=-1)) + 1
        met = np.zeros_like(self.edges)
        met[self.pairs, self.pair_edges] = True
        ends = self.in_parts & (self.edges & ~met).any(axis=1)
        sums = np.zeros((count, self.sums.shape[1]))
        np.add.at(sums, group[self.in_parts], self.sums[self.in_parts])
        whole = (sums[:, 0] > 0) & (variance(sums) <= COARSE_VARIANCE)
        whole[group[ends]] = False
        together = whole[group]
        chosen = together[self.mask]
        return self.fragment[chosen], self.mask[chosen], self.pairs[together[self.pairs[:, 0]]]


def _components(links: NDArray[np.int64], nodes: int, counted: int) -> NDArray[np.int64]:
    """Group the first `counted` of some linked nodes, 1..n by first appearance."""
    graph = sparse.coo_array((np.ones(len(links), np.int8), links.T), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][:counted]
    _, appearance, inverse = np.unique(component, return_index=True, return_inverse=True)
    order = np.empty(len(appearance), dtype=np.int64)
    order[np.argsort(appearance)] = np.arange(1, len(appearance) + 1)
    return np.asarray(order[inverse])


def _apart(first: Window, second: Window) -> bool:
    """Whether two windows of one grid share no pixel (an overlap of 0)."""
    return bool(
        first.row_off + first.height <= second.row_off
        or first.col_off + first.width <= second.col_off
    )
