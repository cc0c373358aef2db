"""Graph of like segments, next to each other or not, over which probabilities are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from alps_geo.clusters.threads import one_thread
from alps_geo.segments.borders import Borders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

SHARE = 0.6
"""Share of other segments in the probabilities of a segment."""

ALIKE = 8
"""Most similar segments of each, wherever they lie."""

ALIKE_SHARE = 0.5
"""Share of these in that of other segments; the rest is for neighbours."""

ALIKE_OF = 5000
"""Segments of a scene among which they are looked for, at most: time grows with this."""

STEPS = 3
"""Averages taken one after the other: neighbours this far away have a say."""

LIKENESS = 2.0
"""Squared distance at which a border counts 1/e, in medians of those over all borders."""


@dataclass(frozen=True)
class SegmentGraph:
    """Segments of a scene, each with its neighbours and with those that are most like it.

    Attributes
    ----------
    weights : csr_array of float64, shape (n, n)
        Weights of other segments for each segment, which add up to 1; to 0 without any.
    """

    weights: sparse.csr_array

    @classmethod
    def of(cls, rows: NDArray[np.floating], borders: Borders) -> SegmentGraph:
        """Weight neighbours and the most similar segments.

        Neighbours count by the length of the common border and by their likeness, exp(-d / 2m) of
        the squared distance d of the two, with the median m of d over all borders (Perona and Malik
        1990, doi 10.1109/34.56205). The most similar segments count alike.

        Parameters
        ----------
        rows : ndarray of float, shape (n, P)
            Projected columns of the segments, by id.
        borders : Borders
            Their borders.
        """
        first, second = borders.pairs.T
        squared = ((rows[first] - rows[second]) ** 2).sum(axis=1)
        scale = LIKENESS * float(np.median(squared)) if len(squared) else 0.0
        weight = borders.sides * np.exp(-squared / (scale or 1.0))
        both = (np.append(first, second), np.append(second, first))
        near = _weighted(sparse.csr_array((np.tile(weight, 2), both), shape=(len(rows), len(rows))))
        parts = (1 - ALIKE_SHARE) * near + ALIKE_SHARE * _weighted(_alike(rows))
        return cls(_weighted(parts))

    def averaged(self, probability: NDArray[np.floating]) -> NDArray[np.float64]:
        """Average the probabilities of each segment with those of its neighbours and its like.

        Parameters
        ----------
        probability : ndarray of float, shape (n, k)
            Probability of each class for each segment.

        Returns
        -------
        ndarray of float64, shape (n, k)
            A segment without others keeps its own.
        """
        share = SHARE * np.asarray(self.weights.sum(axis=1)).reshape(-1, 1)
        found = np.asarray(probability, np.float64)
        for _ in range(STEPS):
            found = (1 - share) * probability + SHARE * (self.weights @ found)
        return found


def _weighted(graph: sparse.csr_array) -> sparse.csr_array:
    """Scale the weights of each segment so that they add up to 1."""
    total = np.asarray(graph.sum(axis=1)).ravel()
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return sparse.csr_array(sparse.diags_array(inverse) @ graph)


def _alike(rows: NDArray[np.floating]) -> sparse.csr_array:
    """Find the segments that are most similar to each, of all or of evenly chosen ones."""
    size = len(rows)
    chosen = np.unique(np.linspace(0, size - 1, min(size, ALIKE_OF)).astype(np.int64))
    count = min(ALIKE, len(chosen) - 1)
    if count < 1:
        return sparse.csr_array((size, size))
    search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(rows[chosen])
    with one_thread():
        found = chosen[search.kneighbors(rows, return_distance=False)]
    # A segment is the most similar to itself, unless it is none of the chosen or has a twin.
    other = found != np.arange(size)[:, None]
    other &= np.cumsum(other, axis=1) <= count
    index = np.nonzero(other)[0], found[other]
    return sparse.csr_array((np.ones(len(index[0])), index), shape=(size, size))


def borders_of(strips: Iterable[NDArray[np.integer]]) -> Borders:
    """Measure the borders of the segments of a raster, strip by strip.

    Parameters
    ----------
    strips : iterable of ndarray of int, shape (rows, width)
        Ids of segments, from the first row to the last.
    """
    found = Borders.none()
    last: NDArray[np.integer] | None = None
    for strip in strips:
        parts = [found, Borders.between(strip)]
        if last is not None:
            parts.append(Borders.across(last, strip[:1]))
        found, last = Borders.together(parts), strip[-1:].copy()
    return found
