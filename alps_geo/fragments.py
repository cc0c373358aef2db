"""From the masks of one tile to fragments: disjoint, and described by sums over the tile's core.

Where masks overlap, the smaller one owns the pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features import RegionSums, embedding_sums, pixel_counts, pixel_sums
from alps_geo.sam.frame import CHANNELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.grid import Tile
    from alps_geo.sam import TileMasks
    from alps_geo.scene import TilePixels


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
