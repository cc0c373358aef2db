"""Means of an embedding over whole masks, pixels that smaller masks own included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.embeddings import embedding_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.features.embeddings import CellSize
    from alps_geo.masks.tile_masks import TileMasks


def whole_means(
    masks: TileMasks,
    chosen: NDArray[np.integer],
    embedding: NDArray[np.floating],
    cell_size: CellSize | None,
) -> NDArray[np.float64]:
    """Average the embedding over whole masks, which may overlap.

    Masks are laid into as few layers as they fit into without touching, and each layer is pooled
    at once.

    Parameters
    ----------
    masks : TileMasks
        The masks of one tile.
    chosen : ndarray of int
        Indices of those to describe.
    embedding : ndarray of float, shape (C, h, w)
        The tile's embedding.
    cell_size : CellSize, optional
        Size of its cells; None for no means.

    Returns
    -------
    ndarray of float64, shape (len(chosen), C)
        One row for each of the chosen masks; C is 0 without a size of cells.
    """
    if cell_size is None:
        return np.zeros((len(chosen), 0))
    layers: list[NDArray[np.int32]] = []
    for row, index in enumerate(chosen.tolist(), start=1):
        here, inside = masks.slices(index), masks.mask(index)
        free = (layer for layer in layers if not layer[here][inside].any())
        layer = next(free, None)
        if layer is None:
            layer = np.zeros(masks.shape, dtype=np.int32)
            layers.append(layer)
        layer[here][inside] = row
    sums = np.zeros((len(chosen), len(embedding)))
    size, weights = cell_size(masks.shape), np.ones(masks.shape)
    for layer in layers:
        sums += embedding_sums(layer, len(chosen), embedding, size, weights)
    return np.asarray(sums / masks.area[chosen, None], dtype=np.float64)
