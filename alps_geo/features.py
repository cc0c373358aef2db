"""What describes a fragment: sums over its pixels of the encoder's embedding and of the bands.

Sums, not means, because sums of fragments add up exactly to the sum of their segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class RegionSums:
    """Sums over the pixels of n regions: fragments of a tile, or segments of a scene.

    Everything here adds up, so that joining regions is exact.

    Attributes
    ----------
    area : ndarray of int64, shape (n,)
        Pixels.
    feature_sums : ndarray of float64, shape (n, C)
        Sum of the features of the pixels.
    band_sums : ndarray of float64, shape (n, B)
        Sum of the values of every band.
    score_sums : ndarray of float64, shape (n, 2)
        Sum over the pixels of SAM's predicted IoU and stability score of their mask.
    """

    area: NDArray[np.int64]
    feature_sums: NDArray[np.float64]
    band_sums: NDArray[np.float64]
    score_sums: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.area)

    @property
    def features(self) -> NDArray[np.float64]:
        """Mean feature of each region, shape (n, C)."""
        return self._mean(self.feature_sums)

    @property
    def band_means(self) -> NDArray[np.float64]:
        """Mean of every band, shape (n, B)."""
        return self._mean(self.band_sums)

    @property
    def predicted_iou(self) -> NDArray[np.float64]:
        """SAM's own estimate of the IoU, a mean over the pixels, shape (n,)."""
        return self._mean(self.score_sums)[:, 0]

    @property
    def stability_score(self) -> NDArray[np.float64]:
        """SAM's stability score, a mean over the pixels, shape (n,)."""
        return self._mean(self.score_sums)[:, 1]

    def grouped(self, group: NDArray[np.integer], count: int) -> RegionSums:
        """Add up the rows of each group 1..count; rows of group 0 are left out."""
        rows = np.flatnonzero(group)
        join = sparse.csr_array(
            (np.ones(len(rows)), (group[rows] - 1, rows)), shape=(count, len(self))
        )
        return RegionSums(
            area=np.rint(join @ self.area).astype(np.int64),
            feature_sums=join @ self.feature_sums,
            band_sums=join @ self.band_sums,
            score_sums=join @ self.score_sums,
        )

    @staticmethod
    def concatenate(tables: Sequence[RegionSums]) -> RegionSums:
        """Put the rows of at least one table below each other."""
        return RegionSums(
            area=np.concatenate([table.area for table in tables]),
            feature_sums=np.concatenate([table.feature_sums for table in tables]),
            band_sums=np.concatenate([table.band_sums for table in tables]),
            score_sums=np.concatenate([table.score_sums for table in tables]),
        )

    def _mean(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        # A fragment whose pixels all lie outside its tile's core has area 0 and no mean.
        return sums / np.maximum(self.area, 1)[:, None]


def embedding_sums(
    fragments: NDArray[np.integer],
    count: int,
    embedding: NDArray[np.floating],
    cell_size: tuple[float, float],
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

    Returns
    -------
    ndarray of float64, shape (count, C)
        Divide by the fragment's pixel count for its feature.
    """
    channels, height, width = embedding.shape
    weights = _cell_weights(fragments, count, (height, width), cell_size)
    cells = embedding.reshape(channels, height * width).T.astype(np.float64)
    return np.asarray(weights @ cells)


def pixel_sums(
    fragments: NDArray[np.integer], count: int, bands: NDArray[np.number]
) -> NDArray[np.float64]:
    """Sum the bands over the pixels of each fragment.

    Parameters
    ----------
    fragments : ndarray of int, shape (H, W)
        Fragment of every pixel, 1..count; 0 for none.
    count : int
        Number of fragments.
    bands : ndarray of float, shape (B, H, W)
        Finite wherever `fragments` is not 0.

    Returns
    -------
    ndarray of float64, shape (count, B)
    """
    ids = fragments.ravel()
    sums = [np.bincount(ids, weights=band.ravel(), minlength=count + 1)[1:] for band in bands]
    return np.stack(sums, axis=1)


def pixel_counts(fragments: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Count the pixels of each fragment 1..count in an (H, W) array; shape (count,)."""
    return np.bincount(fragments.ravel(), minlength=count + 1)[1:].astype(np.int64)


def _cell_weights(
    fragments: NDArray[np.integer],
    count: int,
    shape: tuple[int, int],
    cell_size: tuple[float, float],
) -> sparse.csr_array:
    """Bilinear weight of every embedding cell for every fragment, shape (count, h * w)."""
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
            weight = row_weight[inside[0]] * col_weight[inside[1]]
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
