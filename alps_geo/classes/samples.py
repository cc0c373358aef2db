"""Samples of classes on segments: votes, and the class that each sampled segment gets of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Votes:
    """Samples on the segments of one scene; a segment and a class may come in several rows.

    Attributes
    ----------
    segment : ndarray of int64, shape (m,)
        Ids of segments.
    name : ndarray of object, shape (m,)
        Names of classes.
    weight : ndarray of float64, shape (m,)
        Pixels of the sample on the segment; 1 for a point.
    """

    segment: NDArray[np.int64]
    name: NDArray[np.object_]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, str, float]]) -> Votes:
        """Make votes of rows of segment, class and weight."""
        segments, names, weights = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(
            np.array(segments, np.int64), np.array(names, object), np.array(weights, np.float64)
        )

    @classmethod
    def together(cls, parts: Sequence[Votes]) -> Votes:
        """Put votes of several files together."""
        none = cls.of([])
        listed = [none, *parts]
        return cls(
            np.concatenate([part.segment for part in listed]),
            np.concatenate([part.name for part in listed]),
            np.concatenate([part.weight for part in listed]),
        )


@dataclass(frozen=True)
class Dispute:
    """A segment whose samples disagree.

    Attributes
    ----------
    segment : int
        Its id.
    weights : mapping of str to float
        Weight of the samples of each class, the heaviest first.
    taken : str or None
        The class of the most; None if two have as much, and the segment is no sample.
    """

    segment: int
    weights: Mapping[str, float]
    taken: str | None

    def __str__(self) -> str:
        found = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        end = "taken by none" if self.taken is None else f"taken for {self.taken}"
        return f"segment {self.segment} ({found}): {end}"


@dataclass(frozen=True)
class Sampled:
    """Segments of one scene whose class is given by samples.

    Attributes
    ----------
    segment : ndarray of int64, shape (m,)
        Ids, ascending.
    name : ndarray of object, shape (m,)
        Name of the class of each.
    disputes : tuple of Dispute
        Segments whose samples disagree, resolved or not.
    """

    segment: NDArray[np.int64]
    name: NDArray[np.object_]
    disputes: tuple[Dispute, ...] = ()

    def __len__(self) -> int:
        return len(self.segment)


def resolve(votes: Votes) -> Sampled:
    """Give each sampled segment the class of most of its pixels in samples.

    >>> resolve(Votes.of([(7, "roof", 30.0), (7, "road", 2.0), (9, "road", 1.0)])).name.tolist()
    ['roof', 'road']
    """
    weights: dict[int, dict[str, float]] = {}
    for segment, name, weight in zip(
        votes.segment.tolist(), votes.name.tolist(), votes.weight.tolist(), strict=True
    ):
        of_segment = weights.setdefault(segment, {})
        of_segment[name] = of_segment.get(name, 0.0) + weight
    taken: dict[int, str] = {}
    disputes = []
    for segment, found in sorted(weights.items()):
        ranked = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
        tied = len(ranked) > 1 and ranked[0][1] == ranked[1][1]
        if not tied:
            taken[segment] = ranked[0][0]
        if len(ranked) > 1:
            disputes.append(Dispute(segment, dict(ranked), taken.get(segment)))
    return Sampled(
        np.array(list(taken), np.int64), np.array(list(taken.values()), object), tuple(disputes)
    )
