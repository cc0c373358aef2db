"""What describes a region: sums over its pixels, of the embedding and other images.

Sums and not means, because those of parts add up exactly to those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from alps_geo.features.images import CONTEXT_SCALES, TEXTURE_SCALES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ROUNDING = 1e-6
"""A cell that reaches beyond the pixels by this share of it is whole."""


@dataclass(frozen=True)
class Embeddings:
    """What encoders say of one tile, in cells over its window; no cells where there are no data.

    Attributes
    ----------
    sam : ndarray of float16, shape (C, h, w)
        The mask generator's embedding, of its cell size. SAM's ends in a layer norm, far from the
        limits of half precision.
    dense : ndarray of float32, shape (D, h, w)
        Features of another backbone, in cells that fit the window; D is 0 without one.
    """

    sam: NDArray[np.float16]
    dense: NDArray[np.float32]

    @classmethod
    def empty(cls) -> Embeddings:
        """Return those of a tile without data."""
        return cls(np.zeros((0, 0, 0), np.float16), np.zeros((0, 0, 0), np.float32))


@dataclass(frozen=True)
class RegionSums:
    """Sums over the pixels of n regions.

    Everything here adds up, so that joining regions is exact. Features that were not asked for
    have no columns.

    Attributes
    ----------
    area : ndarray of float64, shape (n,)
        Pixels.
    mask_area : ndarray of float64, shape (n,)
        Of the pixels those that a mask of SAM owns; the others were filled.
    score_sums : ndarray of float64, shape (n, 2)
        SAM's predicted IoU and stability score of the masks that own the pixels.
    band_sums, square_sums : ndarray of float64, shape (n, B)
        The bands, and their squares.
    moment_sums : ndarray of float64, shape (n, 5)
        row, col, row², col² and row · col, in scene pixels.
    texture_sums : ndarray of float64, shape (n, T)
        The images of `alps_geo.features.images.texture_images`.
    context_sums : ndarray of float64, shape (n, S * B)
        The images of `alps_geo.features.images.context_images`, in the bands' own units.
    weight : ndarray of float64, shape (n,)
        The weights of the pixels in the sums that follow: 1 for each, but less where a tile that
        would have had its say has failed. See `TileGrid.weights`.
    feature_sums : ndarray of float64, shape (n, C)
        The features of the pixels, times their weights.
    dense_sums : ndarray of float64, shape (n, D)
        The features of another backbone, likewise.
    """

    area: NDArray[np.float64]
    mask_area: NDArray[np.float64]
    score_sums: NDArray[np.float64]
    band_sums: NDArray[np.float64]
    square_sums: NDArray[np.float64]
    moment_sums: NDArray[np.float64]
    texture_sums: NDArray[np.float64]
    context_sums: NDArray[np.float64]
    weight: NDArray[np.float64]
    feature_sums: NDArray[np.float64]
    dense_sums: NDArray[np.float64]

    @classmethod
    def empty(cls, bands: int, channels: int) -> RegionSums:
        """Return the sums of no regions, for so many bands and channels of an embedding."""
        return cls(
            area=np.zeros(0),
            mask_area=np.zeros(0),
            score_sums=np.zeros((0, 2)),
            band_sums=np.zeros((0, bands)),
            square_sums=np.zeros((0, bands)),
            moment_sums=np.zeros((0, 5)),
            texture_sums=np.zeros((0, len(TEXTURE_SCALES))),
            context_sums=np.zeros((0, len(CONTEXT_SCALES) * bands)),
            weight=np.zeros(0),
            feature_sums=np.zeros((0, channels)),
            dense_sums=np.zeros((0, 0)),
        )

    def __len__(self) -> int:
        return len(self.area)

    @property
    def features(self) -> NDArray[np.float64]:
        """Mean feature of each region, shape (n, C)."""
        return self.feature_sums / self.weight[:, None]

    @property
    def dense_features(self) -> NDArray[np.float64]:
        """Mean feature of another backbone, shape (n, D)."""
        return self.dense_sums / self.weight[:, None]

    @property
    def band_means(self) -> NDArray[np.float64]:
        """Mean of every band, shape (n, B)."""
        return self._mean(self.band_sums)

    @property
    def band_stds(self) -> NDArray[np.float64]:
        """Standard deviation of every band, shape (n, B)."""
        variance = self._mean(self.square_sums) - self.band_means**2
        return np.sqrt(np.maximum(variance, 0))

    @property
    def moments(self) -> NDArray[np.float64]:
        """Mean of row, col, row², col² and row · col, in scene pixels, shape (n, 5)."""
        return self._mean(self.moment_sums)

    @property
    def texture(self) -> NDArray[np.float64]:
        """Mean of the texture images, shape (n, T)."""
        return self._mean(self.texture_sums)

    @property
    def context(self) -> NDArray[np.float64]:
        """Mean of the context images, in the bands' own units, shape (n, S * B)."""
        return self._mean(self.context_sums)

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
        return 2 * self.mask_area < self.area

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

        A table without rows need not have the others' columns.
        """
        filled = [table for table in tables if len(table)] or tables[:1]
        return RegionSums(
            **{
                field.name: np.concatenate([getattr(table, field.name) for table in filled])
                for field in fields(RegionSums)
            }
        )

    def _mean(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums / self.area[:, None]

    def _mean_score(self, column: int) -> NDArray[np.float64]:
        mean = np.full(len(self), np.nan)
        known = self.mask_area > 0
        mean[known] = self.score_sums[known, column] / self.mask_area[known]
        return mean


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
        How much each pixel counts.
    within : tuple of slice, optional
        The rows and columns of the tile that `regions` covers, if not all.

    Returns
    -------
    ndarray of float64, shape (count, C)
        Divide by the region's weight for its feature.
    """
    channels, height, width = embedding.shape
    place = within or (slice(None), slice(None))
    moved = _cell_weights(regions, count, (height, width), cell_size, weights, place)
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
    sums = np.zeros((count, len(values)))
    for column, layer in enumerate(values):
        sums[:, column] = np.bincount(ids, weights=layer.ravel(), minlength=count + 1)[1:]
    return sums


def moment_sums(
    regions: NDArray[np.integer], count: int, origin: tuple[int, int]
) -> NDArray[np.float64]:
    """Sum row, col, row², col² and row · col over the pixels of each region, shape (count, 5).

    `origin` is the scene's row and column of pixel (0, 0).
    """
    rows, cols = np.nonzero(regions)
    owner = regions[rows, cols]
    row, col = (rows + origin[0]).astype(np.float64), (cols + origin[1]).astype(np.float64)
    terms = (row, col, row * row, col * col, row * col)
    sums = [np.bincount(owner, weights=term, minlength=count + 1)[1:] for term in terms]
    return np.stack(sums, axis=1)


def pixel_counts(regions: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Count the pixels of each region 1..count in an (H, W) array; shape (count,)."""
    return np.bincount(regions.ravel(), minlength=count + 1)[1:].astype(np.int64)


def _cell_weights(
    regions: NDArray[np.integer],
    count: int,
    shape: tuple[int, int],
    cell_size: tuple[float, float],
    weights: NDArray[np.float64],
    place: tuple[slice, slice],
) -> sparse.csr_array:
    """Weight of every embedding cell for every region, shape (count, h * w)."""
    height, width = shape
    rows, cols = (
        [(cell[part], weight[part]) for cell, weight in _axis_weights(length, cells, size)]
        for length, cells, size, part in zip(weights.shape, shape, cell_size, place, strict=True)
    )
    inside = np.nonzero(regions)
    owner = regions[inside].astype(np.int64) - 1
    weight_of_pixel = weights[place][inside]
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
