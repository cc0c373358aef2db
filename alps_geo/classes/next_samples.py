"""Segments to label next: uncertain, large, unlike each other and unlike the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

AREA_POWER, DISTANCE_POWER, BALANCE_POWER = 0.5, 1.0, 0.5
"""Powers in the merit of a segment: of its area, of its distance to the nearest sample, and of the
number of samples of its class, which lower it."""

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
    guess : ndarray of int64, shape (n,)
        Index of the class of each; 0 for all before there are classes.
    """

    rows: NDArray[np.float64]
    area: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    guess: NDArray[np.int64]

    @classmethod
    def together(cls, parts: Sequence[Candidates]) -> Candidates:
        """Put the segments of several scenes together, of one at least."""
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.area for part in parts]),
            np.concatenate([part.uncertainty for part in parts]),
            np.concatenate([part.guess for part in parts]),
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

    One after the other is chosen that has the highest uncertainty x area^0.5 x distance / n^0.5:
    the distance is that of its columns to the nearest sample or chosen segment, n counts those of
    its class.

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
    length = int(candidates.guess.max(initial=0)) + 1
    counts = np.bincount(candidates.guess[sampled], minlength=length).astype(np.float64)
    chosen: list[int] = []
    while len(chosen) < count and merit.any():
        near = np.where(np.isfinite(nearest), nearest, 1.0) ** DISTANCE_POWER
        score = merit * near / (1 + counts[candidates.guess]) ** BALANCE_POWER
        best = int(score.argmax()) if score.any() else int(merit.argmax())
        chosen.append(best)
        counts[candidates.guess[best]] += 1
        merit[best] = 0
        nearest = np.minimum(nearest, _distances(candidates.rows, best))
    return np.array(chosen, np.int64)


def _distances(rows: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return the distance of all rows to one of them."""
    return np.asarray(np.sqrt(((rows - rows[index]) ** 2).sum(axis=1)))
