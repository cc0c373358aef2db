"""Embeddings of tiles, and their sums over regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

CellSize = Callable[[tuple[int, int]], tuple[float, float]]
"""Height and width of an embedding's cell, in pixels, for the height and width of a tile."""

_ROUNDING = 1e-6
"""A cell that reaches beyond the pixels by this share of it is whole."""


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of one tile, in cells over its window; without cells where there are no data.

    Attributes
    ----------
    sam : ndarray of float16, shape (C, h, w)
        The mask generator's embedding, of its cell size. SAM's ends in a layer norm, far from the
        limits of half precision.
    backbone : ndarray of float32, shape (D, h, w)
        Embedding of a backbone of timm, in cells that fit the window; D is 0 without one.
    """

    sam: NDArray[np.float16]
    backbone: NDArray[np.float32]

    @classmethod
    def empty(cls) -> Embeddings:
        """Return those of a tile without data."""
        return cls(np.zeros((0, 0, 0), np.float16), np.zeros((0, 0, 0), np.float32))


def embedding_sums(
    regions: NDArray[np.integer],
    count: int,
    embedding: NDArray[np.floating],
    cell_size: tuple[float, float],
    weights: NDArray[np.float64],
    within: tuple[slice, slice] | None = None,
) -> NDArray[np.float64]:
    """Sum the embedding, interpolated bilinearly to pixels, over the pixels of each region.

    The pooling of ALPS (arXiv 2406.10855) enlarges the embedding and averages it under each mask.
    Interpolation is linear, so its transpose moves every region's pixels onto the embedding's
    cells instead, and one matrix product yields all regions; nothing is ever enlarged.

    A cell that lies partly beyond the pixels describes the padding there too, which sets it apart
    from all others. Pixels on it take the embedding of the last whole cell before it.

    Parameters
    ----------
    regions : ndarray of int, shape (H, W)
        Region of every pixel of the tile, or of a part of it, 1..count; 0 for none.
    count : int
        Number of regions.
    embedding : ndarray of float, shape (C, h, w)
        The encoder's output for the tile.
    cell_size : (float, float)
        Height and width of one cell of the embedding, in pixels of the tile; cell (0, 0) starts at
        pixel (0, 0).
    weights : ndarray of float64, shape of the tile
        Weight of each pixel.
    within : tuple of slice, optional
        The rows and columns of the tile that `regions` covers, if not all.

    Returns
    -------
    ndarray of float64, shape (count, C)
        Divide by the region's weight for its feature.
    """
    channels, height, width = embedding.shape
    part = within or (slice(None), slice(None))
    moved = _cell_weights(regions, count, (height, width), cell_size, weights, part)
    cells = embedding.reshape(channels, height * width).T.astype(np.float64)
    return np.asarray(moved @ cells)


def _cell_weights(
    regions: NDArray[np.integer],
    count: int,
    shape: tuple[int, int],
    cell_size: tuple[float, float],
    weights: NDArray[np.float64],
    within: tuple[slice, slice],
) -> sparse.csr_array:
    """Weight of every embedding cell for every region, shape (count, h * w)."""
    height, width = shape
    rows, cols = (
        [(cell[part], weight[part]) for cell, weight in axis_weights(length, cells, size)]
        for length, cells, size, part in zip(weights.shape, shape, cell_size, within, strict=True)
    )
    inside = np.nonzero(regions)
    owner = regions[inside].astype(np.int64) - 1
    weight_of_pixel = weights[within][inside]
    # A pixel lies between four cells: one sparse matrix for each, so that no array grows larger
    # than the tile.
    total = sparse.csr_array((count, height * width), dtype=np.float64)
    for row_cell, row_weight in rows:
        for col_cell, col_weight in cols:
            weight = row_weight[inside[0]] * col_weight[inside[1]] * weight_of_pixel
            cell = row_cell[inside[0]] * width + col_cell[inside[1]]
            total = (
                total
                + sparse.coo_array((weight, (owner, cell)), shape=(count, height * width)).tocsr()
            )
    return total


def axis_weights(
    length: int, cells: int, cell_size: float
) -> tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...]:
    """Lower and upper cell of each pixel centre along one axis, each with its weight."""
    whole = min(cells, max(1, int(length / cell_size + _ROUNDING)))
    position = np.clip((np.arange(length) + 0.5) / cell_size - 0.5, 0, whole - 1)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, whole - 1)
    fraction = position - lower
    return (lower, 1 - fraction), (upper, fraction)
