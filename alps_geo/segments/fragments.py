"""From the masks of one tile to fragments: disjoint regions, of which segments are made.

Where masks overlap, the smaller one owns the pixel. What no mask owns, and what a large mask lumps
together or has not whole, is filled with superpixels. Those of a large mask that the window cuts
off remember it, so that they become one segment again where the next tile goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects

from alps_geo.features.sums import Embeddings, pixel_counts, pixel_sums
from alps_geo.segments.regions import (
    cell_means,
    connected_pieces,
    first_pixels,
    numbered,
    region_sums,
    variance,
)
from alps_geo.segments.superpixels import SIDE, superpixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.features.images import BandScale
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.masks.tile_masks import TileMasks
    from alps_geo.scene import TilePixels


FILLED, FILLED_OWNED, CUT, SEEN, OWNED = range(5)
TOP, BOTTOM, LEFT, RIGHT = 0, 1, 2, 3

COARSE_AREA = 4 * SIDE**2
"""Masks of fewer pixels are never too coarse."""

COARSE_VARIANCE = 0.1
"""A mask is uneven if its superpixels differ by more than this share of the scene's variance."""


@dataclass(frozen=True)
class Objects:
    """Objects that SAM's masks make of one tile's fragments.

    Attributes
    ----------
    of : ndarray of int32, shape (n,)
        Object of each fragment, 1..k; 0 for superpixels that no mask owns.
    cell : ndarray of int32, shape (n,)
        Superpixel of each fragment that is one or a part of one, from 1; 0 for those of masks.
    in_parts : ndarray of bool, shape (k,)
        Whether parts of superpixels have taken the place of the object, which the window has cut
        off.
    edges : ndarray of bool, shape (k, 4)
        Whether it touches the top, bottom, left and right edge of the window, if the scene goes on
        there.
    sums : ndarray of float64, shape (k, 1 + 2 * B)
        Pixels; sums over them of each standardised band, and of its square. Bands are averaged over
        superpixels first, where there are any.
    scores : ndarray of float64, shape (k, 2)
        SAM's predicted IoU and stability score.
    """

    of: NDArray[np.int32]
    cell: NDArray[np.int32]
    in_parts: NDArray[np.bool_]
    edges: NDArray[np.bool_]
    sums: NDArray[np.float64]
    scores: NDArray[np.float64]

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
        Of a mask `CUT` if the window may have cut it off, `OWNED` if it is whole and its centroid
        lies in the tile's core, else `SEEN`. Of superpixels `FILLED_OWNED` if the centroid lies in
        the core, else `FILLED`.
    owner : ndarray of int32, shape (n,)
        Of what is `SEEN`, the position in the grid of the tile whose core holds the centroid, if
        that tile sees all of it, too; -1 if it does not, and for all other fragments.
    objects : Objects
        What masks they come from.
    valid_pixels : int
        Pixels of the tile's core that have data.
    failed : bool
        Whether the tile could not be read or worked on: its core then stays without segments.
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
        What describes the tile's pixels.
    """

    embeddings: Embeddings


def cut_fragments(
    grid: TileGrid,
    tile: Tile,
    pixels: TilePixels,
    masks: TileMasks,
    embeddings: Embeddings,
    scale: BandScale,
    *,
    max_mask_area: float,
    fill: bool,
) -> Fragments:
    """Turn the masks of a tile into fragments, which are disjoint.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    tile : Tile
        The tile that the masks are of.
    pixels : TilePixels
        What was read from the tile's window.
    masks : TileMasks
        The masks, of which only valid pixels count.
    embeddings : Embeddings
        The tile's embeddings.
    scale : BandScale
        Level and spread of the scene's bands.
    max_mask_area : float
        Masks that cover a larger share of the window are dropped: the filtering gate of ALPS
        (arXiv 2406.10855).
    fill : bool
        Whether superpixels take the place of masks that are large and uneven or cut off, and fill
        what is left, so that every valid pixel has a fragment.
    """
    standard = scale.standardise(pixels.bands, pixels.valid)
    masks = masks.clipped(pixels.valid)
    kept = np.flatnonzero(masks.area <= max_mask_area * pixels.valid.size)
    owner = paint_masks(masks, kept)
    edges = _inner_edges(owner, len(masks), tile.core_slices)
    if fill:
        cells = superpixels(standard, pixels.valid, (tile.window.row_off, tile.window.col_off))
        sums = region_sums(owner, len(masks), cell_means(cells, standard))
        coarse = (sums[:, 0] > COARSE_AREA) & (variance(sums) > COARSE_VARIANCE)
        in_parts = edges.any(axis=1) & ~coarse
        labels, mask_of, cell = _filled(owner, cells, coarse, in_parts)
    else:
        sums = region_sums(owner, len(masks), standard)
        in_parts = np.zeros(len(masks), dtype=np.bool_)
        labels, mask_of = numbered(owner)
        cell = np.zeros(len(mask_of), dtype=np.int32)
    filled = np.concatenate([[True], in_parts])[mask_of]
    size = pixel_counts(labels, len(mask_of))
    rank, owner_tile = _ranks(labels, size, filled, grid, tile)
    scores = np.stack([masks.predicted_iou, masks.stability_score], axis=1).astype(np.float64)
    present, of = np.unique(np.concatenate([[0], mask_of]), return_inverse=True)
    chosen = present[1:] - 1
    return Fragments(
        labels,
        size,
        rank,
        owner_tile,
        Objects(
            of[1:].astype(np.int32),
            cell,
            in_parts[chosen],
            edges[chosen],
            sums[chosen],
            scores[chosen],
        ),
        valid_pixels=int(pixels.valid[tile.core_slices].sum()),
        embeddings=embeddings,
    )


def no_fragments(shape: tuple[int, int], bands: int) -> Fragments:
    """Return the fragments of a tile of this shape in which there is nothing to find."""
    return Fragments(
        np.zeros(shape, dtype=np.int32),
        size=np.zeros(0, dtype=np.int64),
        rank=np.zeros(0, dtype=np.uint8),
        owner=np.zeros(0, dtype=np.int32),
        objects=Objects(
            of=np.zeros(0, dtype=np.int32),
            cell=np.zeros(0, dtype=np.int32),
            in_parts=np.zeros(0, dtype=np.bool_),
            edges=np.zeros((0, 4), dtype=np.bool_),
            sums=np.zeros((0, 1 + 2 * bands)),
            scores=np.zeros((0, 2)),
        ),
        valid_pixels=0,
        embeddings=Embeddings.empty(),
    )


def failed_fragments(tile: Tile, bands: int) -> Fragments:
    """Return what is known of a tile that has failed."""
    return replace(no_fragments((tile.window.height, tile.window.width), bands), failed=True)


def paint_masks(masks: TileMasks, chosen: NDArray[np.integer]) -> NDArray[np.int32]:
    """Resolve overlapping masks: small objects over large ones.

    Parameters
    ----------
    masks : TileMasks
        The masks of one tile.
    chosen : ndarray of int
        Positions of those to paint; of two of equal area the later owns what they share.

    Returns
    -------
    ndarray of int32, shape (H, W)
        1-based position of the mask that owns the pixel; 0 for none.
    """
    owner = np.zeros(masks.shape, dtype=np.int32)
    for i in chosen[np.argsort(-masks.area[chosen], kind="stable")].tolist():
        owner[masks.slices(i)][masks.mask(i)] = i + 1
    return owner


def _filled(
    owner: NDArray[np.int32],
    cells: NDArray[np.int32],
    coarse: NDArray[np.bool_],
    in_parts: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Give numbers to what masks own, and after that to the superpixels of all else.

    Parameters
    ----------
    owner : ndarray of int32, shape (H, W)
        Mask of every pixel, 1..m; 0 for none.
    cells : ndarray of int32, shape (H, W)
        Superpixel of every pixel.
    coarse : ndarray of bool, shape (m,)
        Masks whose place superpixels take.
    in_parts : ndarray of bool, shape (m,)
        Masks whose place parts of superpixels take: none lies on both sides of the mask's border.

    Returns
    -------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel, 1..n.
    mask_of : ndarray of int32, shape (n,)
        The mask that each belongs to; 0 for none.
    cell : ndarray of int32, shape (n,)
        The superpixel that each is a part of, from 1; 0 for masks.
    """
    labels, mask_of = numbered(np.where(np.append(False, coarse | in_parts)[owner], 0, owner))
    part_of = np.where(np.append(False, in_parts)[owner], owner, 0)
    free = labels == 0
    # A superpixel that masks cut apart is several.
    whole = connected_pieces(np.where(free, cells, 0))
    # Pixels times masks: of a large tile more than 32 bits hold.
    both = whole + part_of.astype(np.int64) * (int(whole.max()) + 1)
    parts = connected_pieces(np.where(free, both, 0))
    first = first_pixels(parts)
    cell = np.append(np.zeros_like(mask_of), whole.ravel()[first]).astype(np.int32)
    labels[parts > 0] = parts[parts > 0] + len(mask_of)
    return labels, np.append(mask_of, part_of.ravel()[first]).astype(np.int32), cell


def _ranks(
    labels: NDArray[np.int32],
    size: NDArray[np.int64],
    filled: NDArray[np.bool_],
    grid: TileGrid,
    tile: Tile,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Say how well the tile knows each of its fragments, and who should know better."""
    count = len(size)
    coordinates = np.array(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"))
    # Pixel (0, 0) reaches from 0 to 1, as the cores of tiles have it; its centre is 0.5.
    centres = pixel_sums(labels, count, coordinates) / size[:, None] + 0.5
    origin = np.array([tile.window.row_off, tile.window.col_off])
    asked = grid.owners(centres + origin)
    owned = asked == grid.index(tile)
    of_masks = np.where(owned, OWNED, SEEN)
    of_masks[_inner_edges(labels, count, tile.core_slices).any(axis=1)] = CUT
    rank = np.where(filled, np.where(owned, FILLED_OWNED, FILLED), of_masks).astype(np.uint8)
    seen = np.flatnonzero(rank == SEEN)
    boxes = find_objects(labels, max_label=count)
    box = np.array([[(s.start, s.stop) for s in boxes[i]] for i in seen]).reshape(-1, 2, 2)
    seen = seen[grid.see_whole(asked[seen], box.astype(np.int64) + origin[:, None])]
    owner = np.full(count, -1, dtype=np.int32)
    owner[seen] = asked[seen]
    return rank, owner


def _inner_edges(
    labels: NDArray[np.int32], count: int, core: tuple[slice, slice]
) -> NDArray[np.bool_]:
    """Tell which of the labels 1..count touch edges of the window beyond which the scene goes on.

    Shape (count, 4): the top, bottom, left and right edge.
    """
    height, width = labels.shape
    edges = (
        (labels[:1], core[0].start > 0),
        (labels[-1:], core[0].stop < height),
        (labels[:, :1], core[1].start > 0),
        (labels[:, -1:], core[1].stop < width),
    )
    touching = np.zeros((count + 1, len(edges)), dtype=np.bool_)
    for edge, (pixels, goes_on) in zip((TOP, BOTTOM, LEFT, RIGHT), edges, strict=True):
        touching[pixels, edge] = goes_on
    return touching[1:]
