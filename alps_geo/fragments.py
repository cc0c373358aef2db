"""From the masks of one tile to fragments: disjoint, and described by weighted sums.

Where masks overlap, the smaller one owns the pixel. What no mask owns, and what a mask lumps
together, is filled with superpixels.
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
from alps_geo.features import RegionSums, embedding_sums, moment_sums, pixel_counts, pixel_sums
from alps_geo.sam.frame import CHANNELS
from alps_geo.superpixels import SIDE, superpixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.sam import TileMasks
    from alps_geo.scene import TilePixels

COARSE_AREA = 4 * SIDE**2
"""Masks of fewer pixels are never too coarse."""

COARSE_VARIANCE = 0.1
"""A mask is uneven if its superpixels differ by more than this share of the scene's variance."""


CUT, SEEN, OWNED = 1, 2, 3


@dataclass(frozen=True)
class Fragments:
    """What one tile contributes to the segments of its scene.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Fragment of every pixel of the tile's window, 1..n; 0 for none.
    sums : RegionSums
        One row per fragment, with the tile's weights: see `TileGrid.weights`.
    size : ndarray of int64, shape (n,)
        Pixels of each fragment in the window.
    rank : ndarray of uint8, shape (n,)
        `CUT` if the window may have cut the fragment off, `OWNED` if it is whole and its centroid
        lies in the tile's core, else `SEEN`.
    failed : bool
        Whether the tile could not be read or worked on: its core then stays without segments.
    """

    labels: NDArray[np.int32]
    sums: RegionSums
    size: NDArray[np.int64]
    rank: NDArray[np.uint8]
    failed: bool = False

    def __len__(self) -> int:
        return len(self.size)


def cut_fragments(
    grid: TileGrid, tile: Tile, pixels: TilePixels, masks: TileMasks, max_mask_area: float
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
        Whether superpixels take the place of large uneven masks, and fill what is left, so that
        every valid pixel has a fragment.
    """
    standard = scale.standardise(pixels.bands, pixels.valid)
    kept = np.flatnonzero(masks.area <= max_mask_area * pixels.valid.size)
    labels = paint_masks(masks, kept, pixels.valid)
    # Masks that smaller ones cover whole leave no fragment.
    seen = np.unique(labels[labels > 0])
    renumber = np.zeros(len(masks) + 1, dtype=np.int32)
    renumber[seen] = np.arange(1, len(seen) + 1)
    labels = renumber[labels]
    weights = grid.weights(tile)
    weight = pixel_sums(labels, len(seen), weights[None])
    scores = np.stack([masks.predicted_iou, masks.stability_score], axis=1)[seen - 1]
    size = pixel_counts(labels, len(seen))
    sums = RegionSums(
        weight=weight[:, 0],
        feature_sums=embedding_sums(
            labels, len(seen), masks.embedding, masks.frame.cell_size, weights
        ),
        score_sums=scores * weight,
    )
    return Fragments(labels, sums, size, _ranks(labels, size, tile))


def no_fragments(shape: tuple[int, int]) -> Fragments:
    """Return the fragments of a tile in which there is nothing to find."""
    sums = RegionSums(
        weight=np.zeros(0), feature_sums=np.zeros((0, CHANNELS)), score_sums=np.zeros((0, 2))
    )
    return Fragments(
        np.zeros(shape, dtype=np.int32),
        sums,
        size=np.zeros(0, dtype=np.int64),
        rank=np.zeros(0, dtype=np.uint8),
    )


def failed_fragments(tile: Tile) -> Fragments:
    """Return what is known of a tile that has failed."""
    return replace(no_fragments((tile.window.height, tile.window.width)), failed=True)


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
