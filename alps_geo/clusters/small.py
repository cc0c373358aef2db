"""Small clusters: found first, and put together into the clusters of a map.

k-means divides the crowd: where most of a scene is forest, most of its clusters are kinds of
forest, and roofs or roads get none. So many small clusters are found first, and then clusters of
these, in which a small cluster of many segments counts little more than one of few.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 4096
"""Small clusters, at most, unless clusters themselves are more."""

_POWER = 0.25
"""A small cluster counts by this power of its number of segments."""


def small_number(clusters: int, rows: int, times: int) -> int:
    """Choose the number of small clusters: two segments for each, on average, and enough clusters.

    >>> small_number(24, 100_000, 40), small_number(24, 100, 40), small_number(24, 30, 40)
    (960, 50, 24)
    """
    return max(clusters, min(times * clusters, rows // 2, _MOST))


def put_together(
    centers: NDArray[np.float64], rows: NDArray[np.integer], clusters: int, seed: int
) -> NDArray[np.int64] | None:
    """Find clusters of small clusters, by weighted k-means over their centres.

    Parameters
    ----------
    centers : ndarray of float64, shape (n, P)
        Centres of the small clusters.
    rows : ndarray of int, shape (n,)
        Segments in each.
    clusters : int
        Number of clusters.
    seed : int
        Seed of the initialisation.

    Returns
    -------
    ndarray of int64, shape (n,), or None
        The cluster of each small cluster, from 0; None if they are too much alike for so many.
    """
    filled = rows > 0
    if filled.sum() < clusters:
        return None
    kmeans = KMeans(clusters, n_init=20, random_state=seed)
    with warnings.catch_warnings():
        # Fewer different centres than clusters: None tells.
        warnings.simplefilter("ignore", ConvergenceWarning)
        kmeans.fit(centers[filled], sample_weight=rows[filled] ** _POWER)
    group = np.asarray(kmeans.predict(centers), dtype=np.int64)
    return group if len(np.unique(group)) == clusters else None
