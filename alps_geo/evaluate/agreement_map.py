"""Maps of agreement: where labels are right, drawn window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAP_SIZE = 1024

NO_TRUTH, RIGHT, WRONG, UNLABELLED = range(4)
"""Codes of the pixels of a map."""


def agreement_codes(
    truth: NDArray[np.intp],
    found: NDArray[np.intp],
    valid: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return the code of each pixel, from its class in the truth and in the labels."""
    codes = np.where(truth == found, RIGHT, WRONG)
    codes = np.where(labelled, codes, UNLABELLED)
    return np.where(valid, codes, NO_TRUTH).astype(np.uint8)


class AgreementMap:
    """A decimated map, drawn window by window: each of its pixels shows the middle one of many.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (h, w)
        Codes, at `MAP_SIZE` pixels at most; no pixels where the map has none.
    """

    def __init__(self, height: int, width: int) -> None:
        step = max(height, width, MAP_SIZE) / MAP_SIZE
        self._rows = _middles(height, max(round(height / step), min(height, 1)))
        self._cols = _middles(width, max(round(width / step), min(width, 1)))
        self.pixels = np.full((len(self._rows), len(self._cols)), NO_TRUTH, np.uint8)

    def draw(self, top: int, left: int, codes: NDArray[np.uint8]) -> None:
        """Draw a window whose first pixel is (top, left)."""
        rows = slice(*np.searchsorted(self._rows, (top, top + codes.shape[0])))
        cols = slice(*np.searchsorted(self._cols, (left, left + codes.shape[1])))
        self.pixels[rows, cols] = codes[np.ix_(self._rows[rows] - top, self._cols[cols] - left)]


def _middles(length: int, count: int) -> NDArray[np.intp]:
    """Cut `length` pixels into `count` pieces and return the pixel in the middle of each."""
    return ((2 * np.arange(count) + 1) * length // max(2 * count, 1)).astype(np.intp)
