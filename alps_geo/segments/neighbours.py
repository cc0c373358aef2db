"""Neighbours of segments, and the shares that they have in the columns of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from alps_geo.segments.merging import squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.segments.borders import Borders

_NO_WEIGHT = 1e-12
"""Weights of neighbours that add up to less leave a segment to itself."""


def neighbour_shares(
    rows: NDArray[np.floating], size: NDArray[np.floating], borders: Borders, share: float
) -> sparse.csr_array:
    """Share each segment between itself and its neighbours: a step of anisotropic diffusion.

    Neighbours count by the length of the common border, times exp(-d / m) for the squared distance
    d of the two and the median m of d over all borders (Perona and Malik 1990, doi
    10.1109/34.56205). A segment that is larger than a superpixel is less in need of them: their
    share falls with the square root of its area.

    Parameters
    ----------
    rows : ndarray of float, shape (n, P)
        Projected columns of the segments.
    size : ndarray of float, shape (n,)
        Their areas, in superpixels of full size.
    borders : Borders
        Their borders.
    share : float
        Share of all neighbours of a superpixel, 0 to 1.

    Returns
    -------
    csr_array of float64, shape (n, n)
        Row i holds the shares of all segments in segment i: they add up to 1.
    """
    count = len(rows)
    squared = squared_distances(rows, borders.pairs)
    scale = np.median(squared) if len(squared) else 0.0
    weight = borders.sides * np.exp(-squared / (scale or 1.0))
    # Made in one go, the diagonal included: of millions of segments there is no room for several.
    first, second = borders.pairs.astype(np.int32).T
    own = np.arange(count, dtype=np.int32)
    shares = sparse.csr_array(
        (
            np.concatenate([weight, weight, np.zeros(count)]),
            (np.concatenate([first, second, own]), np.concatenate([second, first, own])),
        ),
        shape=(count, count),
    )
    total = np.asarray(shares.sum(axis=1)).ravel()
    theirs = np.where(total > _NO_WEIGHT, share / np.sqrt(np.maximum(size, 1)), 0.0)
    shares.data *= np.repeat(theirs / np.maximum(total, _NO_WEIGHT), np.diff(shares.indptr))
    shares.setdiag(1 - theirs)
    return shares
