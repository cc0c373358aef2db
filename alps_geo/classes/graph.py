"""Graph of neighbouring segments, over which probabilities of classes are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from alps_geo.segments.borders import Borders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

SHARE = 0.7
"""Share of the neighbours in the probabilities of a segment."""

STEPS = 3
"""Averages taken one after the other: neighbours this far away have a say."""

LIKENESS = 2.0
"""Squared distance at which a border counts 1/e, in medians of those over all borders."""


@dataclass(frozen=True)
class SegmentGraph:
    """Neighbours of the segments of a scene.

    Attributes
    ----------
    weights : csr_array of float64, shape (n, n)
        Weights of the neighbours of each segment, which add up to 1; to 0 without any.
    """

    weights: sparse.csr_array

    @classmethod
    def of(cls, rows: NDArray[np.floating], borders: Borders) -> SegmentGraph:
        """Weight neighbours by the length of the common border and by their likeness.

        The likeness is exp(-d / 2m) of the squared distance d of the two, with the median m of d
        over all borders (Perona and Malik 1990, doi 10.1109/34.56205).

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
        graph = sparse.csr_array(
            (np.tile(weight, 2), (np.append(first, second), np.append(second, first))),
            shape=(len(rows), len(rows)),
        )
        total = np.asarray(graph.sum(axis=1)).ravel()
        inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
        return cls(sparse.csr_array(sparse.diags_array(inverse) @ graph))

    def averaged(self, probability: NDArray[np.floating]) -> NDArray[np.float64]:
        """Average the probabilities of each segment with those of its neighbours.

        Parameters
        ----------
        probability : ndarray of float, shape (n, k)
            Probability of each class for each segment.

        Returns
        -------
        ndarray of float64, shape (n, k)
            Segments without neighbours keep theirs.
        """
        share = SHARE * np.asarray(self.weights.sum(axis=1)).reshape(-1, 1)
        found = np.asarray(probability, np.float64)
        for _ in range(STEPS):
            found = (1 - share) * probability + SHARE * (self.weights @ found)
        return found


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
