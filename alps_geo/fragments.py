"""From the masks of one tile to fragments: disjoint, and described by weighted sums.

Where masks overlap, the smaller one owns the pixel. What no mask owns, and what a large mask lumps
together or has not whole, is filled with superpixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import label

from alps_geo.descriptors import (
    CONTEXT_SCALES,
    TEXTURE_SCALES,
    context_images,
    texture_images,
)
from alps_geo.features import RegionSums, embedding_sums, pixel_counts, pixel_sums
from alps_geo.sam.frame import CHANNELS
from alps_geo.superpixels import SIDE, superpixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.descriptors import BandScale
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.sam import TileMasks
    from alps_geo.scene import TilePixels


FILLED, CUT, SEEN, OWNED = 0, 1, 2, 3

COARSE_AREA = 4 * SIDE**2
"""Masks of fewer pixels are never too coarse."""

COARSE_VARIANCE = 0.1
"""A mask is uneven if its superpixels differ by more than this share of the scene's variance."""


@dataclass(frozen=True)
class Outlines:
    """Where the fragments of one tile lie: all that deciding about pixels takes.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel of the tile's window, 1..n; 0 for none.
    size : ndarray of int64, shape (n,)
        Pixels of each fragment in the window.
    rank : ndarray of uint8, shape (n,)
        `FILLED` if no mask owns the fragment, `CUT` if the window may have cut it off, `OWNED` if
        it is whole and its centroid lies in the tile's core, else `SEEN`.
    failed : bool
        Whether the tile could not be read or worked on: its core then stays without segments.
    """

    labels: NDArray[np.int32]
    size: NDArray[np.int64]
    rank: NDArray[np.uint8]
    failed: bool = False

    def __len__(self) -> int:
        return len(self.size)


@dataclass(frozen=True, kw_only=True)
class Fragments(Outlines):
    """What one tile contributes to the segments of its scene.

    Attributes
    ----------
    sums : RegionSums
        One row per fragment, with the tile's weights: see `TileGrid.weights`.
    """

    sums: RegionSums


def cut_fragments(
    grid: TileGrid,
    tile: Tile,
    pixels: TilePixels,
    masks: TileMasks,
    scale: BandScale,
    *,
    max_mask_area: float,
    fill: bool,
    dense: NDArray[np.float32] | None = None,
) -> Fragments:
    """Turn the masks of a tile into fragments: disjoint, and described by weighted sums.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    tile : Tile
        The tile that the masks are of.
    pixels : TilePixels
        What was read from the tile's window.
    masks : TileMasks
        The masks, and the embedding that their features are pooled from.
    scale : BandScale
        Level and spread of the scene's bands.
    max_mask_area : float
        Masks that cover a larger share of the window are dropped: the filtering gate of ALPS
        (arXiv 2406.10855).
    fill : bool
        Whether superpixels take the place of masks that are large and uneven or cut off, and fill
        what is left, so that every valid pixel has a fragment.
    dense : ndarray of float32, shape (D, h, w), optional
        Features of another backbone, cells over the whole window.
    """
    standard = scale.standardise(pixels.bands, pixels.valid)
    kept = np.flatnonzero(masks.area <= max_mask_area * pixels.valid.size)
    owner = paint_masks(masks, kept, pixels.valid)
    pieces = np.zeros_like(owner)
    if fill:
        cells = superpixels(standard, pixels.valid, (tile.window.row_off, tile.window.col_off))
        coarse = coarse_regions(owner, cells, standard, _on_inner_edges(owner, tile.core_slices))
        owner[coarse[owner]] = 0
        # A superpixel that masks cut apart is several fragments.
        pieces = _connected_pieces(np.where(owner == 0, cells, 0))
    # Masks that smaller ones cover whole leave no fragment.
    source = np.unique(owner[owner > 0]) - 1
    number = np.zeros(len(masks) + 1, dtype=np.int32)
    number[source + 1] = np.arange(1, len(source) + 1)
    labels = np.where(pieces > 0, pieces + len(source), number[owner]).astype(np.int32)
    size = pixel_counts(labels, len(source) + int(pieces.max()))
    rank = _ranks(labels, size, tile)
    rank[len(source) :] = FILLED
    weights = grid.weights(tile)
    sums = _sums(pixels.valid, masks, source, labels, len(size), standard, scale, weights, dense)
    return Fragments(labels, size, rank, sums=sums)


def no_fragments(shape: tuple[int, int], bands: int) -> Fragments:
    """Return the fragments of a tile of this shape in which there is nothing to find."""
    sums = RegionSums(
        weight=np.zeros(0),
        mask_weight=np.zeros(0),
        feature_sums=np.zeros((0, CHANNELS)),
        texture_sums=np.zeros((0, len(TEXTURE_SCALES))),
        context_sums=np.zeros((0, len(CONTEXT_SCALES) * bands)),
        score_sums=np.zeros((0, 2)),
        dense_sums=np.zeros((0, 0)),
    )
    return Fragments(
        np.zeros(shape, dtype=np.int32),
        size=np.zeros(0, dtype=np.int64),
        rank=np.zeros(0, dtype=np.uint8),
        sums=sums,
    )


def failed_fragments(tile: Tile, bands: int) -> Fragments:
    """Return what is known of a tile that has failed."""
    return replace(no_fragments((tile.window.height, tile.window.width), bands), failed=True)


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


def coarse_regions(
    regions: NDArray[np.int32],
    cells: NDArray[np.int32],
    standard: NDArray[np.float32],
    cut: NDArray[np.integer],
) -> NDArray[np.bool_]:
    """Find regions that superpixels describe better: large, and uneven or cut off.

    What is uneven lumps things together. What the window's edge cuts off ends in a straight line
    where the next tile sees it otherwise; superpixels take over from tile to tile without a seam.

    Parameters
    ----------
    regions : ndarray of int32, shape (H, W)
        Region of every pixel, from 1; 0 for none.
    cells : ndarray of int32, shape (H, W)
        Superpixel of every pixel, from 1; 0 for none.
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands: their variance over the scene is 1.
    cut : ndarray of int
        The regions that are cut off.

    Returns
    -------
    ndarray of bool, shape (regions.max() + 1,)
        Indexed by region; index 0 is False.
    """
    count = int(regions.max())
    area = pixel_counts(regions, count)
    per_cell = np.maximum(pixel_counts(cells, int(cells.max())), 1)
    variance = np.zeros(count)
    for band in standard:
        means = pixel_sums(cells, len(per_cell), band[None])[:, 0] / per_cell
        image = np.concatenate([[0.0], means])[cells]
        first, second = (pixel_sums(regions, count, image[None] ** power)[:, 0] for power in (1, 2))
        variance += second / np.maximum(area, 1) - (first / np.maximum(area, 1)) ** 2
    coarse = variance > COARSE_VARIANCE * len(standard)
    coarse[cut - 1] = True
    return np.concatenate([[False], coarse & (area > COARSE_AREA)])


def touching_pairs(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """List the pairs of labels that share a side of a pixel.

    Parameters
    ----------
    labels : ndarray of int, shape (H, W)
        0 for none; below 2**31.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Each pair once, the smaller label first, in ascending order.
    """
    sides = [
        np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
        np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
    ]
    pairs = np.concatenate(
        [side[(side[:, 0] != side[:, 1]) & (side > 0).all(axis=1)] for side in sides]
    )
    # One number for each pair sorts faster than two.
    key = pairs.min(axis=1).astype(np.int64) * 2**32 + pairs.max(axis=1)
    return np.stack(np.divmod(np.unique(key), 2**32), axis=1)


def _connected_pieces(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give each connected piece of each label a number of its own, from 1; 0 stays 0."""
    pieces: NDArray[np.int32] = label(labels, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    return pieces


def _sums(
    valid: NDArray[np.bool_],
    masks: TileMasks,
    source: NDArray[np.integer],
    labels: NDArray[np.int32],
    count: int,
    standard: NDArray[np.float32],
    scale: BandScale,
    weights: NDArray[np.float64],
    dense: NDArray[np.float32] | None,
) -> RegionSums:
    """Sum over `count` fragments; the first ones come from the masks at `source`."""
    dense_sums = np.zeros((count, 0))
    if dense is not None:
        cell_size = labels.shape[0] / dense.shape[1], labels.shape[1] / dense.shape[2]
        dense_sums = embedding_sums(labels, count, dense, cell_size, weights)
    weight = pixel_sums(labels, count, weights[None])
    of_mask = np.zeros((count, 1))
    of_mask[: len(source)] = weight[: len(source)]
    scores = np.zeros((count, 2))
    scores[: len(source)] = np.stack([masks.predicted_iou, masks.stability_score], axis=1)[source]
    context = pixel_sums(labels, count, context_images(standard, valid) * weights)
    repeats = len(CONTEXT_SCALES)
    return RegionSums(
        weight=weight[:, 0],
        mask_weight=of_mask[:, 0],
        feature_sums=embedding_sums(labels, count, masks.embedding, masks.frame.cell_size, weights),
        texture_sums=pixel_sums(labels, count, texture_images(standard, valid) * weights),
        context_sums=context * np.tile(scale.std, repeats) + weight * np.tile(scale.mean, repeats),
        score_sums=scores * of_mask,
        dense_sums=dense_sums,
    )


def _ranks(labels: NDArray[np.int32], size: NDArray[np.int64], tile: Tile) -> NDArray[np.uint8]:
    """Say how well the tile knows each of its fragments."""
    count = len(size)
    coordinates = np.array(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"))
    centres = (pixel_sums(labels, count, coordinates) / size[:, None]).T
    core = tile.core_slices
    inside = [
        (part.start <= centre) & (centre < part.stop)
        for centre, part in zip(centres, core, strict=True)
    ]
    rank = np.where(inside[0] & inside[1], OWNED, SEEN).astype(np.uint8)
    rank[_on_inner_edges(labels, core) - 1] = CUT
    return rank


def _on_inner_edges(labels: NDArray[np.int32], core: tuple[slice, slice]) -> NDArray[np.int32]:
    """Fragments on those edges of the window beyond which the scene goes on."""
    height, width = labels.shape
    edges = [
        labels[:1] if core[0].start > 0 else None,
        labels[-1:] if core[0].stop < height else None,
        labels[:, :1] if core[1].start > 0 else None,
        labels[:, -1:] if core[1].stop < width else None,
    ]
    touching = np.unique(np.concatenate([[0], *(e.ravel() for e in edges if e is not None)]))
    return touching[touching > 0].astype(np.int32)
