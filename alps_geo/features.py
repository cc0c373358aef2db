"""What describes a fragment: weighted sums over its pixels of the encoder's embedding.

Sums and their weights, not means, because those of fragments add up exactly to those of their
segment.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class RegionSums:
    """Weighted sums over the pixels of n regions: fragments of a tile, or segments of a scene.

    Everything here adds up, so that joining regions is exact.

    Attributes
    ----------
    weight : ndarray of float64, shape (n,)
        Sum of the weights of the pixels.
    feature_sums : ndarray of float64, shape (n, C)
        Sum of the features of the pixels, times their weights.
    score_sums : ndarray of float64, shape (n, 2)
        SAM's predicted IoU and stability score of the mask, times the weight.
    """

    weight: NDArray[np.float64]
    feature_sums: NDArray[np.float64]
    score_sums: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def features(self) -> NDArray[np.float64]:
        """Mean feature of each region, shape (n, C)."""
        return self.feature_sums / self.weight[:, None]

    @property
    def predicted_iou(self) -> NDArray[np.float64]:
        """SAM's own estimate of the IoU, a mean over the pixels, shape (n,)."""
        return self.score_sums[:, 0] / self.weight

    @property
    def stability_score(self) -> NDArray[np.float64]:
        """SAM's stability score, a mean over the pixels, shape (n,)."""
        return self.score_sums[:, 1] / self.weight

    def grouped(self, group: NDArray[np.integer], count: int) -> RegionSums:
        """Add up the rows of each group 1..count; rows of group 0 are left out."""
        rows = np.flatnonzero(group)
        join = sparse.csr_array(
            (np.ones(len(rows)), (group[rows] - 1, rows)), shape=(count, len(self))
        )
        return RegionSums(
            weight=join @ self.weight,
            feature_sums=join @ self.feature_sums,
            score_sums=join @ self.score_sums,
        )

    @staticmethod
    def concatenate(tables: Sequence[RegionSums]) -> RegionSums:
        """Put the rows of at least one table below each other."""
        columns = [table.arrays() for table in tables]
        return RegionSums(
            weight=np.concatenate([table.weight for table in tables]),
            feature_sums=np.concatenate([table.feature_sums for table in tables]),
            score_sums=np.concatenate([table.score_sums for table in tables]),
        )


def embedding_sums(
    fragments: NDArray[np.integer],
    count: int,
    embedding: NDArray[np.floating],
    cell_size: tuple[float, float],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sum the embedding, interpolated bilinearly to pixels, over the pixels of each fragment.

    The pooling of ALPS (arXiv 2406.10855) enlarges the embedding and averages it under each mask.
    Interpolation is linear, so its transpose moves every fragment's pixels onto the embedding's
    cells instead, and one matrix product yields all fragments; nothing is ever enlarged.

    Parameters
    ----------
    fragments : ndarray of int, shape (H, W)
        Fragment of every pixel, 1..count; 0 for none.
    count : int
        Number of fragments.
    embedding : ndarray of float, shape (C, h, w)
        The encoder's output for the tile.
    cell_size : (float, float)
        Height and width of one cell of the embedding, in pixels of `fragments`; cell (0, 0)
        starts at pixel (0, 0).
    weights : ndarray of float64, shape (H, W)
        How much each pixel counts.

    Returns
    -------
    ndarray of float64, shape (count, C)
        Divide by the fragment's weight for its feature.
    """
    channels, height, width = embedding.shape
    moved = _cell_weights(fragments, count, (height, width), cell_size, weights)
    cells = embedding.reshape(channels, height * width).T.astype(np.float64)
    return np.asarray(moved @ cells)


def pixel_sums(
    regions: NDArray[np.integer], count: int, values: NDArray[np.number]
) -> NDArray[np.float64]:
    """Sum values over the pixels of each region.

    Parameters
    ----------
    regions : ndarray of int, shape (H, W)
        Region of every pixel, 1..count; 0 for none.
    count : int
        Number of regions.
    values : ndarray of number, shape (D, H, W)
        Finite wherever `regions` is not 0.

    Returns
    -------
    ndarray of float64, shape (count, D)
    """
    ids = regions.ravel()
    sums = [np.bincount(ids, weights=layer.ravel(), minlength=count + 1)[1:] for layer in values]
    return np.stack(sums, axis=1)


def pixel_counts(regions: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Count the pixels of each region 1..count in an (H, W) array; shape (count,)."""
    return np.bincount(regions.ravel(), minlength=count + 1)[1:].astype(np.int64)


def _cell_weights(
    fragments: NDArray[np.integer],
    count: int,
    shape: tuple[int, int],
    cell_size: tuple[float, float],
    weights: NDArray[np.float64],
) -> sparse.csr_array:
    """Weight of every embedding cell for every fragment, shape (count, h * w)."""
    height, width = shape
    rows = _axis_weights(fragments.shape[0], height, cell_size[0])
    cols = _axis_weights(fragments.shape[1], width, cell_size[1])
    inside = np.nonzero(fragments)
    owner = fragments[inside].astype(np.int64) - 1
    # A pixel lies between four cells: one sparse matrix for each, so that no array grows larger
    # than the tile.
    total = sparse.csr_array((count, height * width), dtype=np.float64)
    for row_cell, row_weight in rows:
        for col_cell, col_weight in cols:
            weight = row_weight[inside[0]] * col_weight[inside[1]] * weights[inside]
            cell = row_cell[inside[0]] * width + col_cell[inside[1]]
            total = (
                total
                + sparse.coo_array((weight, (owner, cell)), shape=(count, height * width)).tocsr()
            )
    return total


def _axis_weights(
    length: int, cells: int, cell_size: float
) -> tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...]:
    """Lower and upper cell of each pixel centre along one axis, each with its weight."""
    position = np.clip((np.arange(length) + 0.5) / cell_size - 0.5, 0, cells - 1)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, cells - 1)
    fraction = position - lower
    return (lower, 1 - fraction), (upper, fraction)
