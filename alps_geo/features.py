"""What describes a fragment: weighted sums over its pixels, of the embedding and other images.

Sums and their weights, not means, because those of fragments add up exactly to those of their
segment.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ROUNDING = 1e-6
"""A cell that reaches beyond the pixels by this share of it is whole."""


@dataclass(frozen=True)
class RegionSums:
    """Weighted sums over the pixels of n regions: fragments of a tile, or segments of a scene.

    Everything here adds up, so that joining regions is exact.

    Attributes
    ----------
    weight : ndarray of float64, shape (n,)
        Sum of the weights of the pixels.
    mask_weight : ndarray of float64, shape (n,)
        Of the pixels that a mask of SAM owns; the others were filled.
    feature_sums : ndarray of float64, shape (n, C)
        Sum of the features of the pixels, times their weights.
    texture_sums : ndarray of float64, shape (n, T)
        Sum of the images of `alps_geo.descriptors.texture_images`, times their weights.
    context_sums : ndarray of float64, shape (n, S * B)
        Sum of the images of `alps_geo.descriptors.context_images`, in the bands' own units, times
        their weights; no column where context was not asked for.
    score_sums : ndarray of float64, shape (n, 2)
        SAM's predicted IoU and stability score of the mask, times the weight.
    dense_sums : ndarray of float64, shape (n, D)
        Sum of the features of another backbone, times the weights of the pixels; D is 0 without
        one.
    """

    weight: NDArray[np.float64]
    mask_weight: NDArray[np.float64]
    feature_sums: NDArray[np.float64]
    texture_sums: NDArray[np.float64]
    context_sums: NDArray[np.float64]
    score_sums: NDArray[np.float64]
    dense_sums: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def features(self) -> NDArray[np.float64]:
        """Mean feature of each region, shape (n, C)."""
        return self.mean_of(self.feature_sums)

    @property
    def predicted_iou(self) -> NDArray[np.float64]:
        """SAM's own estimate of the IoU, a mean over its pixels, shape (n,); NaN without SAM."""
        return self._mean_score(0)

    @property
    def stability_score(self) -> NDArray[np.float64]:
        """SAM's stability score, a mean over its pixels, shape (n,); NaN without SAM."""
        return self._mean_score(1)

    @property
    def is_filled(self) -> NDArray[np.bool_]:
        """Whether most of a region belongs to no mask of SAM, shape (n,)."""
        return 2 * self.mask_weight < self.weight

    def mean_of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide sums, shape (n, K), by the weight."""
        return sums / self.weight[:, None]

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return all sums by the names of the attributes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def grouped(self, group: NDArray[np.integer], count: int) -> RegionSums:
        """Add up the rows of each group 1..count; rows of group 0 are left out."""
        rows = np.flatnonzero(group)
        join = sparse.csr_array(
            (np.ones(len(rows)), (group[rows] - 1, rows)), shape=(count, len(self))
        )
        return RegionSums(**{name: join @ sums for name, sums in self.arrays().items()})

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> RegionSums:
        """Return some rows, in the order given."""
        return RegionSums(**{name: sums[rows] for name, sums in self.arrays().items()})

    @staticmethod
    def concatenate(tables: Sequence[RegionSums]) -> RegionSums:
        """Put the rows of at least one table below each other.

        A table without rows need not have the others' columns: a tile without data knows of none.
        """
        filled = [table for table in tables if len(table)] or tables[:1]
        return RegionSums(
            **{
                field.name: np.concatenate([getattr(table, field.name) for table in filled])
                for field in fields(RegionSums)
            }
        )

    def _mean_score(self, column: int) -> NDArray[np.float64]:
        mean = np.full(len(self), np.nan)
        known = self.mask_weight > 0
        mean[known] = self.score_sums[known, column] / self.mask_weight[known]
        return mean


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

    A cell that lies partly beyond the pixels describes the padding there too, which sets it apart
    from all others. Pixels on it take the embedding of the last whole cell before it.

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


def moment_sums(
    fragments: NDArray[np.integer], count: int, origin: tuple[int, int]
) -> NDArray[np.float64]:
    """Sum row, col, row², col² and row · col over the pixels of each fragment, shape (count, 5).

    `origin` is the scene's row and column of pixel (0, 0).
    """
    rows, cols = np.nonzero(fragments)
    owner = fragments[rows, cols]
    row, col = (rows + origin[0]).astype(np.float64), (cols + origin[1]).astype(np.float64)
    terms = (row, col, row * row, col * col, row * col)
    sums = [np.bincount(owner, weights=term, minlength=count + 1)[1:] for term in terms]
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
    whole = min(cells, max(1, int(length / cell_size + _ROUNDING)))
    position = np.clip((np.arange(length) + 0.5) / cell_size - 0.5, 0, whole - 1)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, whole - 1)
    fraction = position - lower
    return (lower, 1 - fraction), (upper, fraction)
