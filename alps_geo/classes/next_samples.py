"""Segments to label next: uncertain, large, unlike each other and unlike the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

AREA_POWER, DISTANCE_POWER = 0.5, 0.5
"""Powers of the area, and of the distance to the nearest sample, in the merit of a segment."""

_LEAST_UNCERTAINTY = 1e-3


@dataclass(frozen=True)
class Candidates:
    """Segments that may be labelled next.

    Attributes
    ----------
    rows : ndarray of float64, shape (n, P)
        Their projected columns.
    area : ndarray of float64, shape (n,)
        Their area; those of 0 are never chosen.
    uncertainty : ndarray of float64, shape (n,)
        0 for a segment of a sure class, to 1.
    """

    rows: NDArray[np.float64]
    area: NDArray[np.float64]
    uncertainty: NDArray[np.float64]

    @classmethod
    def together(cls, parts: Sequence[Candidates]) -> Candidates:
        """Put the segments of several scenes together, of one at least."""
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.area for part in parts]),
            np.concatenate([part.uncertainty for part in parts]),
        )


def uncertainty_of(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 less the margin between the two most probable classes, shape (n,)."""
    if probability.shape[1] < 2:
        return np.ones(len(probability))
    highest = np.sort(probability, axis=1)[:, -2:]
    return np.asarray(1 - (highest[:, 1] - highest[:, 0]))


def choose_next(
    candidates: Candidates, sampled: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Choose the segments whose labels would teach a classifier most, the best first.

    One after the other is chosen that has the highest uncertainty x area^0.5 x distance^0.5: the
    distance is that of its columns to the nearest sample or chosen segment.

    Parameters
    ----------
    candidates : Candidates
        All segments.
    sampled : ndarray of int64, shape (m,)
        Those that are labelled already.
    count : int
        Number of segments to choose.

    Returns
    -------
    ndarray of int64
        Indexes of up to `count` segments.
    """
    merit = np.maximum(candidates.uncertainty, _LEAST_UNCERTAINTY)
    merit = merit * candidates.area**AREA_POWER
    merit[sampled] = 0
    nearest = np.full(len(merit), np.inf)
    for index in sampled.tolist():
        nearest = np.minimum(nearest, _distances(candidates.rows, index))
    chosen: list[int] = []
    while len(chosen) < count and merit.any():
        near = np.where(np.isfinite(nearest), nearest, 1.0) ** DISTANCE_POWER
        score = merit * near
        best = int(score.argmax()) if score.any() else int(merit.argmax())
        chosen.append(best)
        merit[best] = 0
        nearest = np.minimum(nearest, _distances(candidates.rows, best))
    return np.array(chosen, np.int64)


def _distances(rows: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return the distance of all rows to one of them."""
    return np.asarray(np.sqrt(((rows - rows[index]) ** 2).sum(axis=1)))
