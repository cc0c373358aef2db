"""Looks of clusters: their mean colour in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Part = tuple[NDArray[np.integer], NDArray[np.uint8], NDArray[np.number]]
    """Cluster, shape (n,), colour, shape (n, 3), and area, shape (n,), of pixels or segments."""


def mean_looks(ids: NDArray[np.int64], parts: Iterable[Part]) -> NDArray[np.float64]:
    """Return the mean red, green and blue of each cluster, shape (k, 3).

    Parameters
    ----------
    ids : ndarray of int64, shape (k,)
        Ids of the clusters, ascending.
    parts : iterable of (cluster, color, area)
        The pixels or segments of each scene.

    Returns
    -------
    ndarray of float64, shape (k, 3)
        0 to 255; NaN for a cluster without area.
    """
    length = int(ids[-1]) + 1
    sums, total = np.zeros((3, length)), np.zeros(length)
    for cluster, color, area in parts:
        total += np.bincount(cluster, area, length)
        for band in range(3):
            sums[band] += np.bincount(cluster, color[:, band] * area.astype(np.float64), length)
    looks = np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)
    return looks[:, ids].T
