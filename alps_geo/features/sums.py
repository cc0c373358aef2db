"""Named sums over the pixels of regions.

Sums and not means, because those of parts add up exactly to those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

BANDS = "bands"
"""Name of the sums of the bands, in their own units."""

SQUARES = "squares"
"""Name of the sums of the squares of the bands."""

MASKS = "masks"
"""Name of three sums over the pixels that masks own: 1, predicted IoU and stability score."""

WEIGHT = "weight"
"""Name of the sum of the pixels' weights in embeddings.

1 for each, but less where a tile that sees it has failed. See `alps_geo.grid.TileGrid.weights`.
"""


@dataclass(frozen=True)
class RegionSums:
    """Sums over the pixels of n regions.

    Everything here adds up, so that joining regions is exact.

    Attributes
    ----------
    area : ndarray of float64, shape (n,)
        Pixels.
    named : mapping of str to ndarray of float64, shape (n, D)
        Sums by name: `BANDS`, `SQUARES`, `MASKS`, and those that the feature groups ask for.
    """

    area: NDArray[np.float64]
    named: Mapping[str, NDArray[np.float64]]

    @classmethod
    def empty(cls, widths: Mapping[str, int]) -> RegionSums:
        """Return the sums of no regions, with so many columns for each name."""
        return cls(np.zeros(0), {name: np.zeros((0, width)) for name, width in widths.items()})

    def __len__(self) -> int:
        return len(self.area)

    def mean(self, name: str) -> NDArray[np.float64]:
        """Mean over the pixels of each region, shape (n, D)."""
        return self.named[name] / self.area[:, None]

    def embedding(self, name: str) -> NDArray[np.float64]:
        """Mean embedding of each region, shape (n, C)."""
        return self.named[name] / self.named[WEIGHT]

    @property
    def band_means(self) -> NDArray[np.float64]:
        """Mean of every band, shape (n, B)."""
        return self.mean(BANDS)

    @property
    def band_stds(self) -> NDArray[np.float64]:
        """Standard deviation of every band over the pixels of each region, shape (n, B)."""
        variance = self.mean(SQUARES) - self.band_means**2
        return np.asarray(np.sqrt(np.maximum(variance, 0)))

    @property
    def predicted_iou(self) -> NDArray[np.float64]:
        """Predicted IoU of masks, a mean over their pixels, shape (n,); NaN without any."""
        return self._mean_score(1)

    @property
    def stability_score(self) -> NDArray[np.float64]:
        """Stability score of masks, a mean over their pixels, shape (n,); NaN without any."""
        return self._mean_score(2)

    @property
    def is_filled(self) -> NDArray[np.bool_]:
        """True if most of a region belongs to no mask, shape (n,)."""
        return 2 * self.named[MASKS][:, 0] < self.area

    def grouped(self, group: NDArray[np.integer], count: int) -> RegionSums:
        """Add up the rows of each group 1..count; rows of group 0 are left out."""
        rows = np.flatnonzero(group)
        join = sparse.csr_array(
            (np.ones(len(rows)), (group[rows] - 1, rows)), shape=(count, len(self))
        )
        return self._each(lambda sums: join @ sums)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> RegionSums:
        """Return some rows, in the order given."""
        return self._each(lambda sums: sums[rows])

    @staticmethod
    def concatenate(tables: Sequence[RegionSums]) -> RegionSums:
        """Put the rows of at least one table below each other.

        A table without rows need not have the others' columns.
        """
        filled = [table for table in tables if len(table)] or tables[:1]
        return RegionSums(
            np.concatenate([table.area for table in filled]),
            {
                name: np.concatenate([table.named[name] for table in filled])
                for name in filled[0].named
            },
        )

    def _each(self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> RegionSums:
        named = {name: change(sums) for name, sums in self.named.items()}
        return replace(self, area=change(self.area), named=named)

    def _mean_score(self, column: int) -> NDArray[np.float64]:
        masks = self.named[MASKS]
        mean = np.full(len(self), np.nan)
        known = masks[:, 0] > 0
        mean[known] = masks[known, column] / masks[known, 0]
        return mean


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


def pixel_counts(regions: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Count the pixels of each region 1..count in an (H, W) array; shape (count,)."""
    return np.bincount(regions.ravel(), minlength=count + 1)[1:].astype(np.int64)
