"""From the masks of one tile to fragments: disjoint, and described by sums over the tile's core.

Where masks overlap, the smaller one owns the pixel. What no mask owns, and what a mask lumps
together, is filled with superpixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import label

from alps_geo.descriptors import (
    CONTEXT_SCALES,
    TEXTURE_SCALES,
    context_images,
    texture_images,
)
from alps_geo.features import RegionSums, embedding_sums, moment_sums, pixel_counts, pixel_sums
from alps_geo.sam.frame import CHANNELS
from alps_geo.superpixels import SIDE, superpixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.descriptors import BandScale
    from alps_geo.grid import Tile
    from alps_geo.sam import TileMasks
    from alps_geo.scene import TilePixels

COARSE_AREA = 4 * SIDE**2
"""Masks of fewer pixels are never too coarse."""

COARSE_VARIANCE = 0.1
"""A mask is uneven if its superpixels differ by more than this share of the scene's variance."""


@dataclass(frozen=True)
class Fragments:
    """What one tile contributes to the segments of its scene.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel of the tile's window, 1..n; 0 for none.
    sums : RegionSums
        One row per fragment, over its pixels inside the tile's core.
    touching : ndarray of int32, shape (m, 2)
        Pairs of fragments that share a side of a pixel inside the core.
    valid_pixels : int
        Pixels with data inside the core.
    """

    labels: NDArray[np.int32]
    sums: RegionSums
    touching: NDArray[np.int32]
    valid_pixels: int


def cut_fragments(
    tile: Tile,
    pixels: TilePixels,
    masks: TileMasks,
    scale: BandScale,
    *,
    max_mask_area: float,
    fill: bool,
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
    scale : BandScale
        Level and spread of the scene's bands.
    max_mask_area : float
        Masks that cover a larger share of the window are dropped: the filtering gate of ALPS
        (arXiv 2406.10855).
    fill : bool
        Whether superpixels take the place of large uneven masks, and fill what is left, so that
        every valid pixel has a fragment.
    """
    standard = scale.standardise(pixels.bands, pixels.valid)
    kept = np.flatnonzero(masks.area <= max_mask_area * pixels.valid.size)
    owner = paint_masks(masks, kept, pixels.valid)
    filling = np.zeros_like(owner)
    if fill:
        origin = (tile.window.row_off, tile.window.col_off)
        cells = superpixels(standard, pixels.valid, origin)
        coarse = coarse_regions(owner, cells, standard)
        owner[coarse[owner]] = 0
        # A superpixel that masks cut apart is several fragments.
        pieces = label(np.where(owner == 0, cells, 0), background=0, connectivity=1)
        filling = pieces.astype(np.int32)
    # Masks that smaller ones cover whole leave no fragment.
    seen = np.unique(owner[owner > 0])
    renumber = np.zeros(len(masks) + 1, dtype=np.int32)
    renumber[seen] = np.arange(1, len(seen) + 1)
    labels = np.where(filling > 0, filling + len(seen), renumber[owner]).astype(np.int32)
    count = len(seen) + int(filling.max())
    sums = _core_sums(tile, pixels, standard, scale, masks, labels, count, seen - 1)
    touching = touching_pairs(labels[tile.core_slices])
    return Fragments(labels, sums, touching, int(pixels.valid[tile.core_slices].sum()))


def no_fragments(pixels: TilePixels) -> Fragments:
    """Return the fragments of a tile in which there is nothing to find."""
    bands = len(pixels.bands)
    widths = {
        "feature_sums": CHANNELS,
        "band_sums": bands,
        "square_sums": bands,
        "texture_sums": len(TEXTURE_SCALES),
        "context_sums": len(CONTEXT_SCALES) * bands,
        "moment_sums": 5,
        "score_sums": 2,
    }
    none = np.zeros(0, dtype=np.int64)
    sums = RegionSums(none, none, **{name: np.zeros((0, w)) for name, w in widths.items()})
    labels = np.zeros(pixels.valid.shape, dtype=np.int32)
    return Fragments(labels, sums, np.zeros((0, 2), dtype=np.int32), valid_pixels=0)


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
    regions: NDArray[np.int32], cells: NDArray[np.int32], standard: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Find regions that lump things together: large, and made of superpixels that differ.

    Parameters
    ----------
    regions : ndarray of int32, shape (H, W)
        Region of every pixel, from 1; 0 for none.
    cells : ndarray of int32, shape (H, W)
        Superpixel of every pixel, from 1; 0 for none.
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands: their variance over the scene is 1.

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
    uneven = variance > COARSE_VARIANCE * len(standard)
    return np.concatenate([[False], uneven & (area > COARSE_AREA)])


def touching_pairs(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """List the pairs of labels that share a side of a pixel.

    Parameters
    ----------
    labels : ndarray of int32, shape (H, W)
        0 for none.

    Returns
    -------
    ndarray of int32, shape (m, 2)
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
    return np.stack(np.divmod(np.unique(key), 2**32), axis=1).astype(np.int32)


def _core_sums(
    tile: Tile,
    pixels: TilePixels,
    standard: NDArray[np.float32],
    scale: BandScale,
    masks: TileMasks,
    labels: NDArray[np.int32],
    count: int,
    source: NDArray[np.integer],
) -> RegionSums:
    """Sum over the core's part of each fragment; the first ones come from the masks `source`."""
    core = np.zeros_like(labels)
    core[tile.core_slices] = labels[tile.core_slices]
    area = pixel_counts(core, count)
    mask_area = np.where(np.arange(count) < len(source), area, 0)
    scores = np.zeros((count, 2))
    scores[: len(source)] = np.stack(
        [masks.predicted_iou[source], masks.stability_score[source]], axis=1
    )
    surroundings = pixel_sums(core, count, context_images(standard, pixels.valid))
    repeats = len(CONTEXT_SCALES)
    return RegionSums(
        area=area,
        mask_area=mask_area,
        feature_sums=embedding_sums(core, count, masks.embedding, masks.frame.cell_size),
        band_sums=pixel_sums(core, count, pixels.bands),
        square_sums=pixel_sums(core, count, pixels.bands.astype(np.float64) ** 2),
        texture_sums=pixel_sums(core, count, texture_images(standard, pixels.valid)),
        context_sums=surroundings * np.tile(scale.std, repeats)
        + area[:, None] * np.tile(scale.mean, repeats),
        moment_sums=moment_sums(core, count, (tile.window.row_off, tile.window.col_off)),
        score_sums=scores * area[:, None],
    )
