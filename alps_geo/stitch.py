"""From the fragments of tiles to segments of the scene.

Two rules decide everything:

1. Two fragments of neighbouring tiles are one object if they agree on the pixels that both tiles
   see: IoU above one half there. Fragments of a tile never overlap, so each can match one fragment
   of a neighbour at most, and the order of matching does not matter.
2. Every pixel belongs to the tile whose core holds it, and so does its fragment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window, intersection
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.features import RegionSums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.fragments import Fragments
    from alps_geo.grid import Tile, TileGrid

MATCH_IOU = 0.5

_NO_PAIR = np.empty((0, 4), dtype=np.int64)


@dataclass(frozen=True)
class Segments:
    """The segments of one scene, and where they lie.

    Attributes
    ----------
    sums : RegionSums
        Row i describes segment id i + 1.
    ids : tuple of ndarray of uint32
        One lookup table per tile, in the grid's order: fragment -> segment id, 0 -> 0.
    valid_pixels : int
        Pixels of the scene that have data.
    """

    sums: RegionSums
    ids: tuple[NDArray[np.uint32], ...]
    valid_pixels: int

    def __len__(self) -> int:
        return len(self.sums)

    def core_ids(self, index: int, tile: Tile, fragments: Fragments) -> NDArray[np.uint32]:
        """Segment ids in the core of the grid's `index`-th tile, shape of the core."""
        return self.ids[index][fragments.labels[tile.core_slices]]


def stitch(
    grid: TileGrid,
    load: Callable[[Tile], Fragments],
    *,
    min_area: int = 1,
    keep_specks: bool = False,
) -> Segments:
    """Join the fragments of all tiles into segments.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Gives the fragments of a tile. It is asked up to three times for each tile, so that no
        more than two are in memory at once.
    min_area : int
        Segments of fewer pixels are specks.
    keep_specks : bool
        Whether specks join their largest neighbour, so that every pixel keeps a segment; those
        that touch nothing stay. Else they are dropped: their pixels become 0.

    Returns
    -------
    Segments
        Ids run from 1 without gaps, in the order in which the grid first meets the segments.
    """
    sums: list[RegionSums] = []
    touching: list[NDArray[np.int32]] = []
    valid_pixels = 0
    pairs: list[NDArray[np.int64]] = []
    position = {(tile.row, tile.col): index for index, tile in enumerate(grid)}
    for index, tile in enumerate(grid):
        fragments = load(tile)
        sums.append(fragments.sums)
        touching.append(fragments.touching)
        valid_pixels += fragments.valid_pixels
        for step in ((0, 1), (1, 0)):
            other = position.get((tile.row + step[0], tile.col + step[1]))
            if other is not None:
                neighbour = grid[tile.row + step[0], tile.col + step[1]]
                matched = _match_tiles(tile, fragments, neighbour, load(neighbour))
                tiles = np.broadcast_to([index, other], matched.shape)
                pairs.append(np.hstack([tiles, matched]))
    joined, ids = _number(
        sums, np.concatenate([_NO_PAIR, *pairs]), min_area, touching if keep_specks else None
    )
    return Segments(joined, ids, valid_pixels)


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


def _match_tiles(
    tile: Tile, fragments: Fragments, neighbour: Tile, others: Fragments
) -> NDArray[np.int64]:
    """Pairs (fragment, fragment of the neighbour) that are one object, shape (n, 2)."""
    if not (len(fragments.sums) and len(others.sums)) or _apart(tile.window, neighbour.window):
        return np.empty((0, 2), dtype=np.int64)
    shared = intersection(tile.window, neighbour.window)
    return match_labels(
        fragments.labels[_within(shared, tile.window)],
        others.labels[_within(shared, neighbour.window)],
    )


def _apart(first: Window, second: Window) -> bool:
    """Whether two windows of one grid share no pixel (an overlap of 0)."""
    return bool(
        first.row_off + first.height <= second.row_off
        or first.col_off + first.width <= second.col_off
    )


def _within(inner: Window, outer: Window) -> tuple[slice, slice]:
    """`inner` as slices into an array that covers `outer`."""
    top = inner.row_off - outer.row_off
    left = inner.col_off - outer.col_off
    return slice(top, top + inner.height), slice(left, left + inner.width)


def _number(
    sums: Sequence[RegionSums],
    pairs: NDArray[np.int64],
    min_area: int,
    touching: Sequence[NDArray[np.int32]] | None,
) -> tuple[RegionSums, tuple[NDArray[np.uint32], ...]]:
    """Give ids to connected fragments; `pairs` has rows (tile, other tile, fragment, other's).

    Specks join one of those they touch, by the pairs of each tile; without pairs they are dropped.
    """
    offsets = np.cumsum([0, *(len(rows) for rows in sums)])
    nodes = RegionSums.concatenate(sums)
    first = offsets[pairs[:, 0]] + pairs[:, 2] - 1
    second = offsets[pairs[:, 1]] + pairs[:, 3] - 1
    count, group = _connected(len(nodes), first, second)
    if touching is not None:
        steps = zip(touching, offsets[:-1], strict=True)
        links = np.concatenate([rows.astype(np.int64) + start - 1 for rows, start in steps])
        count, group = _join_specks(count, group, nodes.area, links, min_area)
    area = np.bincount(group, weights=nodes.area, minlength=count)
    kept = area >= (max(min_area, 1) if touching is None else 1)
    # Ids by first appearance, so that they follow the picture and not an algorithm's whim.
    _, appearance = np.unique(group, return_index=True)
    order = np.argsort(appearance)
    new_id = np.zeros(count, dtype=np.int64)
    new_id[order[kept[order]]] = np.arange(1, kept.sum() + 1)
    segment = new_id[group]
    merged = nodes.grouped(segment, int(kept.sum()))
    ids = tuple(
        np.concatenate([[0], segment[start:stop]]).astype(np.uint32)
        for start, stop in pairwise(offsets)
    )
    return merged, ids


def _connected(
    count: int, first: NDArray[np.integer], second: NDArray[np.integer]
) -> tuple[int, NDArray[np.int32]]:
    """Count the connected groups of `count` nodes, and name the group of each node, from 0."""
    graph = sparse.coo_array(
        (np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count)
    )
    groups, group = connected_components(graph, directed=False)
    return int(groups), group


def _join_specks(
    count: int,
    group: NDArray[np.int32],
    area: NDArray[np.int64],
    links: NDArray[np.int64],
    min_area: int,
) -> tuple[int, NDArray[np.int32]]:
    """Join every group of less than `min_area` pixels to the largest that it touches.

    `links` has rows of two nodes that touch.
    """
    both = np.concatenate([links, links[:, ::-1]])
    while True:
        size = np.bincount(group, weights=area, minlength=count)
        speck, other = group[both].T
        wanted = (size[speck] < min_area) & (size[speck] > 0) & (speck != other)
        speck, other = speck[wanted], other[wanted]
        if not len(speck):
            return count, group
        # One way out for each speck: two of them would join what has nothing in common.
        order = np.lexsort((other, -size[other], speck))
        first = order[np.unique(speck[order], return_index=True)[1]]
        count, joined = _connected(count, speck[first], other[first])
        group = joined[group]
