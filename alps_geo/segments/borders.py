"""Borders between segments: who touches whom, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_IDS = 2**32
"""More ids than there can be: a pair of them makes one number, which sorts faster than two."""


@dataclass(frozen=True)
class Borders:
    """Borders between segments, or other numbered regions.

    Attributes
    ----------
    pairs : ndarray of int64, shape (m, 2)
        Rows of two segments that share a side of a pixel, from 0: each pair once, the lower row
        first, in ascending order.
    sides : ndarray of int64, shape (m,)
        Sides of pixels that they share.
    """

    pairs: NDArray[np.int64]
    sides: NDArray[np.int64]

    @classmethod
    def none(cls) -> Borders:
        """Return no borders."""
        return cls(np.empty((0, 2), np.int64), np.empty(0, np.int64))

    @classmethod
    def between(cls, labels: NDArray[np.integer]) -> Borders:
        """Measure the borders in an image of labels 1..n, shape (H, W); 0 is none.

        >>> Borders.between(np.array([[1, 2], [1, 3]])).pairs.tolist()
        [[0, 1], [0, 2], [1, 2]]
        """
        return cls.together(
            [cls.across(labels[:, :-1], labels[:, 1:]), cls.across(labels[:-1], labels[1:])]
        )

    @classmethod
    def across(cls, first: NDArray[np.integer], second: NDArray[np.integer]) -> Borders:
        """Measure the borders between pixels of one shape that lie side by side."""
        differ = (first != second) & (first > 0) & (second > 0)
        pairs = np.stack([first[differ], second[differ]], axis=1).astype(np.int64) - 1
        return _summed(pairs, np.ones(len(pairs), np.int64))

    @classmethod
    def together(cls, parts: Sequence[Borders]) -> Borders:
        """Add up borders of at least one part of a scene."""
        return _summed(
            np.concatenate([part.pairs for part in parts]),
            np.concatenate([part.sides for part in parts]),
        )

    def renamed(self, row: NDArray[np.integer]) -> Borders:
        """Return the borders of the segments that these have become part of.

        Parameters
        ----------
        row : ndarray of int, shape (n,)
            The new row of each; -1 for none.
        """
        pairs = row[self.pairs].astype(np.int64).reshape(-1, 2)
        kept = (pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])
        return _summed(pairs[kept], self.sides[kept])


def _summed(pairs: NDArray[np.int64], sides: NDArray[np.int64]) -> Borders:
    """Add up the sides of each pair, whatever its order."""
    key = pairs.min(axis=1) * _IDS + pairs.max(axis=1)
    found, index = np.unique(key, return_inverse=True)
    total = np.zeros(len(found), np.int64)
    np.add.at(total, index, sides)
    return Borders(np.stack(np.divmod(found, _IDS), axis=1), total)
