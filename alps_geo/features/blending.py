"""Embeddings of parts of a tile, blended with that of the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.embeddings import axis_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PartEmbedding:
    """The embedding of a part of a tile.

    Attributes
    ----------
    embedding : ndarray of float, shape (C, h, w)
        The encoder's output for the part.
    cell_size : (float, float)
        Height and width of its cells, in pixels.
    rows, cols : slice
        The part, in pixels of the tile.
    feathers : ((int, int), (int, int))
        Pixels over which its weight rises from 0 at each border: above and below, left and right;
        0 where it weighs as much at the border as inside.
    """

    embedding: NDArray[np.floating]
    cell_size: tuple[float, float]
    rows: slice
    cols: slice
    feathers: tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class EmbeddingMean:
    """Mean of the embeddings of parts of a tile, on the cells of the tile's embedding.

    Each part is interpolated bilinearly to pixels. A cell takes the mean over its pixels, and over
    the parts that hold them. The weight of a part falls to 0 at its borders inside the tile, so
    that the mean has no seam there.

    Attributes
    ----------
    total : ndarray of float64, shape (C, h, w)
        Weighted sums of the parts that were added.
    weight : ndarray of float64, shape (h, w)
        Their weights.
    cell_size : (float, float)
        Height and width of the tile's cells, in pixels.
    """

    total: NDArray[np.float64]
    weight: NDArray[np.float64]
    cell_size: tuple[float, float]

    @classmethod
    def of_none(cls, shape: tuple[int, ...], cell_size: tuple[float, float]) -> EmbeddingMean:
        """Begin the mean, for a tile whose embedding is of this shape (C, h, w)."""
        return cls(np.zeros(shape), np.zeros(shape[1:]), cell_size)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Cells that hold pixels of a part: (h, w)."""
        return np.asarray(self.weight > 0)

    def plus(self, part: PartEmbedding) -> EmbeddingMean:
        """Add a part."""
        rows, cols = (
            _moved(pixels, cells, size, target, feather)
            for pixels, cells, size, target, feather in zip(
                (part.rows, part.cols),
                part.embedding.shape[1:],
                part.cell_size,
                zip(self.weight.shape, self.cell_size, strict=True),
                part.feathers,
                strict=True,
            )
        )
        return replace(
            self,
            total=self.total + rows @ part.embedding.astype(np.float64) @ cols.T,
            weight=self.weight + np.outer(rows.sum(axis=1), cols.sum(axis=1)),
        )

    def values(self) -> NDArray[np.float64]:
        """Return the mean, (C, h, w); 0 in cells without a part."""
        return self.total / np.where(self.covered, self.weight, 1)


def _moved(
    pixels: slice,
    cells: int,
    size: float,
    target: tuple[int, float],
    feather: tuple[int, int],
) -> NDArray[np.float64]:
    """Weights along one axis that move a part's cells onto the tile's: (tile cells, cells)."""
    length = pixels.stop - pixels.start
    centres = np.arange(length) + 0.5
    count, whole = target
    onto = np.minimum(((centres + pixels.start) / whole).astype(np.int64), count - 1)
    inwards = (centres, centres[::-1])
    weight = np.ones(length)
    for distance, reach in zip(inwards, feather, strict=True):
        weight *= np.minimum(distance / reach, 1) if reach else 1
    moved = np.zeros((count, cells))
    for cell, share in axis_weights(length, cells, size):
        np.add.at(moved, (onto, cell), share * weight)
    return moved
