"""Cutting one tile into fragments: disjoint regions, of which segments are made.

Where masks overlap, the smaller one owns the pixel. Pixels of no mask, of a large uneven mask, and
of a large mask that the window cuts off, are filled with superpixels. Those of a mask that is cut
off remember it, so that they become one segment again where the next tile goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects

from alps_geo.features.embeddings import CellSize, Embeddings
from alps_geo.features.sums import pixel_counts, pixel_sums
from alps_geo.segments.ranks import Edge, Rank
from alps_geo.segments.regions import (
    connected_pieces,
    first_pixels,
    numbered,
    region_sums,
    superpixel_means,
    variance,
)
from alps_geo.segments.whole_masks import whole_means
from alps_geo.windows import origin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.masks.tile_masks import TileMasks
    from alps_geo.segments.superpixels import TileBands

COARSE_VARIANCE = 0.1
"""A mask is uneven if the variance of its superpixels is above this share of the scene's."""

COARSE_SPREAD = 3.0
"""An uneven mask is coarse if its area in superpixels times this variance is above this.

It is the sum of squares that is lost if the mask is one segment, Ward's cost of merging it. Roofs
are uneven but small, so they stay; woods with roads in them do not. `docs/quality.md` compares
limits.
"""


@dataclass(frozen=True)
class Objects:
    """Masks of one tile that own fragments.

    Attributes
    ----------
    of : ndarray of int32, shape (n,)
        Object of each fragment, 1..k; 0 for superpixels that no mask owns.
    superpixel : ndarray of int32, shape (n,)
        Superpixel of each fragment that is one or a part of one, from 1; 0 for those of masks.
    in_parts : ndarray of bool, shape (k,)
        True if the window cuts the mask and it was replaced by parts of superpixels.
    edges : ndarray of bool, shape (k, 4)
        True for each `Edge` of the window that it touches, if the scene goes on there.
    sums : ndarray of float64, shape (k, 1 + 2 * B)
        Pixels; sums over them of each standardised band, and of its square. Bands are averaged over
        superpixels first, where there are any.
    scores : ndarray of float64, shape (k, 2)
        Predicted IoU and stability score.
    means : ndarray of float64, shape (k, C)
        Mean of the `sam` embedding over the whole mask; C is 0 if `FragmentRules` do not ask.
    """

    of: NDArray[np.int32]
    superpixel: NDArray[np.int32]
    in_parts: NDArray[np.bool_]
    edges: NDArray[np.bool_]
    sums: NDArray[np.float64]
    scores: NDArray[np.float64]
    means: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.in_parts)


@dataclass(frozen=True)
class Outlines:
    """Label image and per-fragment table of one tile, without embeddings.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel of the tile's window, 1..n; 0 for none.
    size : ndarray of int64, shape (n,)
        Pixels of each fragment in the window.
    rank : ndarray of uint8, shape (n,)
        `Rank` of each fragment.
    owner : ndarray of int32, shape (n,)
        Index in the grid of the tile whose core holds the centroid, if the fragment is `SEEN` and
        that tile sees all of it, too; -1 for all others.
    objects : Objects
        The masks that they come from.
    valid_pixels : int
        Pixels of the tile's core that have data.
    failed : bool
        True if the tile could not be read or worked on: its core then stays without segments.
    """

    labels: NDArray[np.int32]
    size: NDArray[np.int64]
    rank: NDArray[np.uint8]
    owner: NDArray[np.int32]
    objects: Objects
    valid_pixels: int
    failed: bool = False

    def __len__(self) -> int:
        return len(self.size)


@dataclass(frozen=True, kw_only=True)
class Fragments(Outlines):
    """Outlines and embeddings of one tile.

    Attributes
    ----------
    embeddings : Embeddings
        The tile's embeddings.
    """

    embeddings: Embeddings


@dataclass(frozen=True)
class FragmentRules:
    """Rules by which masks become fragments.

    Attributes
    ----------
    max_mask_area : float
        Masks that cover a larger share of the window are dropped: the filtering gate of ALPS
        (arXiv 2406.10855).
    fill : bool
        True if superpixels replace masks that are large and uneven or cut off, and fill all other
        pixels, so that every valid one has a fragment.
    cell_size : CellSize, optional
        Size of the cells of the `sam` embedding, to average it over whole masks, pixels that
        smaller ones own included.
    """

    max_mask_area: float
    fill: bool
    cell_size: CellSize | None = None


def cut_fragments(
    grid: TileGrid,
    tile: Tile,
    bands: TileBands,
    masks: TileMasks,
    embeddings: Embeddings,
    rules: FragmentRules,
) -> Fragments:
    """Cut a tile into fragments, which are disjoint.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    tile : Tile
        The tile that the masks are of.
    bands : TileBands
        The bands of the tile's window.
    masks : TileMasks
        The masks, of which only valid pixels count.
    embeddings : Embeddings
        The tile's embeddings.
    rules : FragmentRules
        Masks to drop, and whether to fill.
    """
    masks = masks.clipped(bands.valid)
    small = np.flatnonzero(masks.area <= rules.max_mask_area * bands.valid.size)
    owner = masks.painted(small)
    edges = _inner_edges(owner, len(masks), tile.core_slices)
    if rules.fill:
        cut = _with_superpixels(owner, edges, bands.superpixels, bands.standard, bands.size)
    else:
        cut = _without_superpixels(owner, len(masks), bands.standard)
    size = pixel_counts(cut.labels, len(cut.mask_of))
    filled = np.append(True, cut.in_parts)[cut.mask_of]
    rank, owner_tile = _ranks(cut.labels, size, filled, grid, tile)
    return Fragments(
        cut.labels,
        size,
        rank,
        owner_tile,
        _objects(cut, edges, masks, embeddings.sam, rules.cell_size),
        valid_pixels=int(bands.valid[tile.core_slices].sum()),
        embeddings=embeddings,
    )


@dataclass(frozen=True)
class _Cut:
    """Fragments of a tile and the m masks that were found in it.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel, 1..n.
    mask_of : ndarray of int32, shape (n,)
        The mask that each belongs to, 1..m; 0 for none.
    superpixel : ndarray of int32, shape (n,)
        The superpixel that each is a part of, from 1; 0 for masks.
    in_parts : ndarray of bool, shape (m,)
        As in `Objects`.
    sums : ndarray of float64, shape (m, 1 + 2 * B)
        As in `Objects`.
    """

    labels: NDArray[np.int32]
    mask_of: NDArray[np.int32]
    superpixel: NDArray[np.int32]
    in_parts: NDArray[np.bool_]
    sums: NDArray[np.float64]


def _with_superpixels(
    owner: NDArray[np.int32],
    edges: NDArray[np.bool_],
    superpixels: NDArray[np.int32],
    standard: NDArray[np.float32],
    superpixel_size: int,
) -> _Cut:
    """Cut a tile into masks and superpixels; see `_filled`."""
    sums = region_sums(owner, len(edges), superpixel_means(superpixels, standard))
    uneven = variance(sums)
    spread = sums[:, 0] / superpixel_size**2 * uneven
    coarse = (uneven > COARSE_VARIANCE) & (spread > COARSE_SPREAD)
    in_parts = edges.any(axis=1) & ~coarse
    return _Cut(*_filled(owner, superpixels, coarse, in_parts), in_parts, sums)


def _without_superpixels(
    owner: NDArray[np.int32], count: int, standard: NDArray[np.float32]
) -> _Cut:
    """Cut a tile into masks alone."""
    labels, mask_of = numbered(owner)
    none = np.zeros(len(mask_of), dtype=np.int32)
    in_parts = np.zeros(count, dtype=np.bool_)
    return _Cut(labels, mask_of, none, in_parts, region_sums(owner, count, standard))


def _objects(
    cut: _Cut,
    edges: NDArray[np.bool_],
    masks: TileMasks,
    sam: NDArray[np.floating],
    size: CellSize | None,
) -> Objects:
    """Keep the masks that own fragments."""
    present, of = np.unique(np.append(0, cut.mask_of), return_inverse=True)
    owning = present[1:] - 1
    scores = np.stack([masks.predicted_iou, masks.stability_score], axis=1).astype(np.float64)
    return Objects(
        of[1:].astype(np.int32),
        cut.superpixel,
        cut.in_parts[owning],
        edges[owning],
        cut.sums[owning],
        scores[owning],
        whole_means(masks, owning, sam, size),
    )


def no_fragments(shape: tuple[int, int], bands: int) -> Fragments:
    """Return the fragments of an empty tile of this shape: none."""
    return Fragments(
        np.zeros(shape, dtype=np.int32),
        size=np.zeros(0, dtype=np.int64),
        rank=np.zeros(0, dtype=np.uint8),
        owner=np.zeros(0, dtype=np.int32),
        objects=Objects(
            of=np.zeros(0, dtype=np.int32),
            superpixel=np.zeros(0, dtype=np.int32),
            in_parts=np.zeros(0, dtype=np.bool_),
            edges=np.zeros((0, 4), dtype=np.bool_),
            sums=np.zeros((0, 1 + 2 * bands)),
            scores=np.zeros((0, 2)),
            means=np.zeros((0, 0)),
        ),
        valid_pixels=0,
        embeddings=Embeddings.empty(),
    )


def failed_fragments(tile: Tile, bands: int) -> Fragments:
    """Return the fragments of a failed tile: none."""
    return replace(no_fragments((tile.window.height, tile.window.width), bands), failed=True)


def _filled(
    owner: NDArray[np.int32],
    superpixels: NDArray[np.int32],
    coarse: NDArray[np.bool_],
    in_parts: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Assign numbers to the masks, and after them to the superpixels of all other pixels.

    Parameters
    ----------
    owner : ndarray of int32, shape (H, W)
        Mask of every pixel, 1..m; 0 for none.
    superpixels : ndarray of int32, shape (H, W)
        Superpixel of every pixel.
    coarse : ndarray of bool, shape (m,)
        Masks to replace by superpixels.
    in_parts : ndarray of bool, shape (m,)
        Masks to replace by parts of superpixels: none lies on both sides of the mask's border.

    Returns
    -------
    labels, mask_of, superpixel : ndarray of int32
        As in `_Cut`.
    """
    labels, mask_of = numbered(np.where(np.append(False, coarse | in_parts)[owner], 0, owner))
    part_of = np.where(np.append(False, in_parts)[owner], owner, 0)
    free = labels == 0
    # A superpixel that masks cut apart is several.
    whole = connected_pieces(np.where(free, superpixels, 0))
    # Pixels times masks: of a large tile more than 32 bits hold.
    both = whole + part_of.astype(np.int64) * (int(whole.max()) + 1)
    parts = connected_pieces(np.where(free, both, 0))
    first = first_pixels(parts)
    superpixel = np.append(np.zeros_like(mask_of), whole.ravel()[first]).astype(np.int32)
    labels[parts > 0] = parts[parts > 0] + len(mask_of)
    return labels, np.append(mask_of, part_of.ravel()[first]).astype(np.int32), superpixel


def _ranks(
    labels: NDArray[np.int32],
    size: NDArray[np.int64],
    filled: NDArray[np.bool_],
    grid: TileGrid,
    tile: Tile,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Rank the fragments of a tile, and find the owners of those that it does not own itself."""
    count = len(size)
    coordinates = np.array(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"))
    # Pixel (0, 0) reaches from 0 to 1, as the cores of tiles have it; its centre is 0.5.
    centres = pixel_sums(labels, count, coordinates) / size[:, None] + 0.5
    corner = np.array(origin(tile.window))
    asked = grid.owners(centres + corner)
    owned = asked == grid.index(tile)
    of_masks = np.where(owned, Rank.OWNED, Rank.SEEN)
    of_masks[_inner_edges(labels, count, tile.core_slices).any(axis=1)] = Rank.CUT
    of_superpixels = np.where(owned, Rank.FILLED_OWNED, Rank.FILLED)
    rank = np.where(filled, of_superpixels, of_masks).astype(np.uint8)
    seen = np.flatnonzero(rank == Rank.SEEN)
    boxes = find_objects(labels, max_label=count)
    box = np.array([[(s.start, s.stop) for s in boxes[i]] for i in seen]).reshape(-1, 2, 2)
    seen = seen[grid.see_whole(asked[seen], box.astype(np.int64) + corner[:, None])]
    owner = np.full(count, -1, dtype=np.int32)
    owner[seen] = asked[seen]
    return rank, owner


def _inner_edges(
    labels: NDArray[np.int32], count: int, core: tuple[slice, slice]
) -> NDArray[np.bool_]:
    """Find the labels 1..count that touch an edge of the window beyond which the scene goes on.

    Returns
    -------
    ndarray of bool, shape (count, 4)
        One column for each `Edge`.
    """
    height, width = labels.shape
    edges = (
        (labels[:1], core[0].start > 0),
        (labels[-1:], core[0].stop < height),
        (labels[:, :1], core[1].start > 0),
        (labels[:, -1:], core[1].stop < width),
    )
    touching = np.zeros((count + 1, len(edges)), dtype=np.bool_)
    for edge, (pixels, goes_on) in zip(Edge, edges, strict=True):
        touching[pixels, edge] = goes_on
    return touching[1:]
