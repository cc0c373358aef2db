"""Mean and scatter of rows, measured in parts and put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Number, mean and scatter of rows of C columns.

    Attributes
    ----------
    count : int
        Number of rows.
    mean : ndarray of float64, shape (C,)
        Mean of each column.
    scatter : ndarray of float64, shape (C, C)
        Sums over all rows of the products of two columns, each less its mean.
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[np.floating]) -> Moments:
        """Measure rows, shape (n, C).

        >>> Moments.of(np.array([[1.0], [3.0]])).scatter.tolist()
        [[2.0]]
        """
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    def joined(self, other: Moments) -> Moments:
        """Return the moments of these rows and others together.

        Differences of the means alone count, as Chan, Golub and LeVeque have it (1983, doi
        10.1080/00031305.1983.10483115): so a mean that is large next to the scatter does no harm.
        """
        count, apart = self.count + other.count, other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * (other.count / count),
            self.scatter
            + other.scatter
            + np.outer(apart, apart) * (self.count * (other.count / count)),
        )

    @property
    def scale(self) -> NDArray[np.float64]:
        """Standard deviation of each column; 1 where it is nothing but rounding."""
        variance = np.diagonal(self.scatter) / self.count
        # The bound of the rounding of a variance, as in scikit-learn's StandardScaler.
        eps = np.finfo(np.float64).eps
        rounding = self.count * eps * variance + (self.count * self.mean * eps) ** 2
        return np.where(variance <= rounding, 1.0, np.sqrt(variance))
