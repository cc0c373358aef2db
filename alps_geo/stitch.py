"""From the masks of tiles to segments of the scene.

Three rules decide everything:

1. Where masks of one tile overlap, the smaller one owns the pixel.
2. Two fragments of neighbouring tiles are one object if they agree on the pixels that both tiles
   see: IoU above one half there. Fragments of a tile never overlap, so each can match one fragment
   of a neighbour at most, and the order of matching does not matter.
3. Every pixel belongs to the tile whose core holds it, and so does its fragment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window, intersection
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from alps_geo.features import RegionSums, embedding_sums, pixel_counts, pixel_sums
from alps_geo.sam.frame import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.sam import TileMasks
    from alps_geo.scene import TilePixels

MATCH_IOU = 0.5

_NO_PAIR = np.empty((0, 4), dtype=np.int64)


@dataclass(frozen=True)
class Fragments:
    """What one tile contributes to the segments of its scene.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel of the tile's window, 1..n; 0 for none.
    sums : RegionSums
        One row per fragment, over its pixels inside the tile's core.
    valid_pixels : int
        Pixels with data inside the core.
    """

    labels: NDArray[np.int32]
    sums: RegionSums
    valid_pixels: int


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


def cut_fragments(
    tile: Tile, pixels: TilePixels, masks: TileMasks, max_mask_area: float
) -> Fragments:
    """Turn the masks of a tile into fragments: disjoint, and described by sums over the core.

    Parameters
    ----------
    tile : Tile
        Where the masks lie.
    pixels : TilePixels
        What was read from the tile's window.
    masks : TileMasks
        The masks, and the embedding that their features are pooled from.
    max_mask_area : float
        Masks that cover a larger share of the window are dropped: the filtering gate of ALPS
        (arXiv 2406.10855).
    """
    kept = np.flatnonzero(masks.area <= max_mask_area * pixels.valid.size)
    labels = paint_masks(masks, kept, pixels.valid)
    seen = np.unique(labels[labels > 0])
    # Masks that smaller ones cover whole leave no fragment.
    renumber = np.zeros(len(masks) + 1, dtype=np.int32)
    renumber[seen] = np.arange(1, len(seen) + 1)
    labels = renumber[labels]
    sums = _core_sums(tile, pixels, masks, labels, seen - 1)
    return Fragments(labels, sums, int(pixels.valid[tile.core_slices].sum()))


def no_fragments(pixels: TilePixels) -> Fragments:
    """Return the fragments of a tile in which there is nothing to find."""
    bands = len(pixels.bands)
    sums = RegionSums(
        area=np.zeros(0, dtype=np.int64),
        feature_sums=np.zeros((0, CHANNELS)),
        band_sums=np.zeros((0, bands)),
        score_sums=np.zeros((0, 2)),
    )
    return Fragments(np.zeros(pixels.valid.shape, dtype=np.int32), sums, valid_pixels=0)


def paint_masks(
    masks: TileMasks, chosen: NDArray[np.integer], valid: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Resolve overlapping masks: small objects over large ones.

    Parameters
    ----------
    masks : TileMasks
        The masks of one tile.
    chosen : ndarray of int
        Positions of those to paint; of two of equal area the later owns what they share.
    valid : ndarray of bool, shape (H, W)
        Pixels where it is False belong to no mask.

    Returns
    -------
    ndarray of int32, shape (H, W)
        1-based position of the mask that owns the pixel; 0 for none.
    """
    owner = np.zeros(valid.shape, dtype=np.int32)
    for i in chosen[np.argsort(-masks.area[chosen], kind="stable")].tolist():
        owner[masks.slices(i)][masks.mask(i)] = i + 1
    owner[~valid] = 0
    return owner


def stitch(grid: TileGrid, load: Callable[[Tile], Fragments], *, min_area: int = 1) -> Segments:
    """Join the fragments of all tiles into segments.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    load : callable
        Gives the fragments of a tile. It is asked up to three times for each tile, so that no
        more than two are in memory at once.
    min_area : int
        Segments of fewer pixels are dropped: their pixels become 0.

    Returns
    -------
    Segments
        Ids run from 1 without gaps, in the order in which the grid first meets the segments.
    """
    sums: list[RegionSums] = []
    valid_pixels = 0
    pairs: list[NDArray[np.int64]] = []
    position = {(tile.row, tile.col): index for index, tile in enumerate(grid)}
    for index, tile in enumerate(grid):
        fragments = load(tile)
        sums.append(fragments.sums)
        valid_pixels += fragments.valid_pixels
        for step in ((0, 1), (1, 0)):
            other = position.get((tile.row + step[0], tile.col + step[1]))
            if other is not None:
                neighbour = grid[tile.row + step[0], tile.col + step[1]]
                matched = _match_tiles(tile, fragments, neighbour, load(neighbour))
                tiles = np.broadcast_to([index, other], matched.shape)
                pairs.append(np.hstack([tiles, matched]))
    joined, ids = _number(sums, np.concatenate([_NO_PAIR, *pairs]), min_area)
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


def _core_sums(
    tile: Tile,
    pixels: TilePixels,
    masks: TileMasks,
    labels: NDArray[np.int32],
    source: NDArray[np.integer],
) -> RegionSums:
    """Sum over the core's part of each fragment; `source` is the position of its mask."""
    count = len(source)
    core = np.zeros_like(labels)
    core[tile.core_slices] = labels[tile.core_slices]
    area = pixel_counts(core, count)
    scores = np.stack([masks.predicted_iou[source], masks.stability_score[source]], axis=1)
    return RegionSums(
        area=area,
        feature_sums=embedding_sums(core, count, masks.embedding, masks.frame.cell_size),
        band_sums=pixel_sums(core, count, pixels.bands),
        score_sums=scores.astype(np.float64) * area[:, None],
    )


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
    sums: Sequence[RegionSums], pairs: NDArray[np.int64], min_area: int
) -> tuple[RegionSums, tuple[NDArray[np.uint32], ...]]:
    """Give ids to connected fragments; `pairs` has rows (tile, other tile, fragment, other's)."""
    offsets = np.cumsum([0, *(len(rows) for rows in sums)])
    nodes = RegionSums.concatenate(sums)
    first = offsets[pairs[:, 0]] + pairs[:, 2] - 1
    second = offsets[pairs[:, 1]] + pairs[:, 3] - 1
    graph = sparse.coo_array(
        (np.ones(len(pairs), dtype=np.int8), (first, second)), shape=(len(nodes), len(nodes))
    )
    count, group = connected_components(graph, directed=False)
    area = np.bincount(group, weights=nodes.area, minlength=count)
    kept = area >= max(min_area, 1)
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
