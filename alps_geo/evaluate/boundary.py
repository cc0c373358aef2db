"""Boundary F1: agreement of the borders of a map with those of the truth.

The BF score of G. Csurka, D. Larlus and F. Perronnin, "What is a good evaluation measure for
semantic segmentation?", BMVC 2013: for each class, precision is the share of the map's boundary
pixels that have a boundary pixel of the same class of the truth within a distance, recall the
share of the truth's that have one of the map's, and F1 their harmonic mean; the score is the mean
over classes.

A boundary pixel of a class belongs to it and has one of its four neighbours outside. Pixels
without truth are left out: they are neither boundary nor neighbour. So is the edge of the raster.

Counts of windows add up to those of the whole raster, since each window is read with `halo` pixels
around it and counts its own pixels only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Boundaries of so many classes are moved at once, one bit of a pixel for each.
_BITS = 64


def halo(tolerances: Sequence[int]) -> int:
    """Return the pixels that a window must be read with around it."""
    return max(tolerances) + 1


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary pixels of a window, of several, or of a raster.

    Attributes
    ----------
    truth, found : ndarray of int64, shape (c,)
        Boundary pixels of each class in the truth and in the map.
    truth_matched, found_matched : ndarray of int64, shape (t, c)
        Boundary pixels with one of the other raster within each tolerance.
    """

    truth: NDArray[np.int64]
    found: NDArray[np.int64]
    truth_matched: NDArray[np.int64]
    found_matched: NDArray[np.int64]

    @staticmethod
    def zero(tolerances: int, classes: int) -> BoundaryCounts:
        """Return counts of nothing."""
        none, matched = np.zeros(classes, np.int64), np.zeros((tolerances, classes), np.int64)
        return BoundaryCounts(none, none, matched, matched)

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.truth + other.truth,
            self.found + other.found,
            self.truth_matched + other.truth_matched,
            self.found_matched + other.found_matched,
        )

    def scores(self, tolerances: Sequence[int]) -> tuple[BoundaryScores, ...]:
        """Turn counts into scores, one for each tolerance."""
        return tuple(
            _score(tolerance, self, truth, found)
            for tolerance, truth, found in zip(
                tolerances, self.truth_matched, self.found_matched, strict=True
            )
        )


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary F1 at one tolerance.

    Attributes
    ----------
    tolerance : int
        Distance within which boundary pixels match, in pixels between pixel centres.
    precision, recall, f1 : ndarray of float64, shape (c,)
        Of each class of the truth; NaN where neither truth nor map has a boundary of the class.
    """

    tolerance: int
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    @property
    def mean_f1(self) -> float:
        """Mean over the classes that have a boundary; NaN if none has."""
        known = self.f1[~np.isnan(self.f1)]
        return float(known.mean()) if known.size else float("nan")


def count_boundaries(
    truth: NDArray[np.intp],
    found: NDArray[np.intp],
    valid: NDArray[np.bool_],
    inner: tuple[slice, slice],
    classes: int,
    tolerances: Sequence[int],
) -> BoundaryCounts:
    """Count the boundary pixels of one window.

    Parameters
    ----------
    truth, found : ndarray of int, shape (h, w)
        Class indices of truth and map, negative for none.
    valid : ndarray of bool, shape (h, w)
        True where there is truth.
    inner : tuple of slice
        The window's own pixels within the arrays; the rest is its halo.
    classes : int
        Number of classes, c.
    tolerances : sequence of int
        Distances in pixels.
    """
    parts = [
        _count_some(truth - first, found - first, valid, inner, count, tolerances)
        for first in range(0, classes, _BITS)
        for count in (min(_BITS, classes - first),)
    ]
    return BoundaryCounts(
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.found for part in parts]),
        np.concatenate([part.truth_matched for part in parts], axis=1),
        np.concatenate([part.found_matched for part in parts], axis=1),
    )


def _count_some(
    truth: NDArray[np.intp],
    found: NDArray[np.intp],
    valid: NDArray[np.bool_],
    inner: tuple[slice, slice],
    classes: int,
    tolerances: Sequence[int],
) -> BoundaryCounts:
    """Count for the classes 0 to `classes` - 1, at most `_BITS`."""
    truth_edges = _edges(truth, valid, classes)
    found_edges = _edges(found, valid, classes)
    return BoundaryCounts(
        _bit_counts(truth_edges[inner], classes),
        _bit_counts(found_edges[inner], classes),
        np.stack(
            [
                _bit_counts((truth_edges & _spread(found_edges, tolerance))[inner], classes)
                for tolerance in tolerances
            ]
        ),
        np.stack(
            [
                _bit_counts((found_edges & _spread(truth_edges, tolerance))[inner], classes)
                for tolerance in tolerances
            ]
        ),
    )


def _edges(
    classes: NDArray[np.intp], valid: NDArray[np.bool_], count: int
) -> NDArray[np.unsignedinteger]:
    """Return, as a bit per class, where its boundary pixels are."""
    edge = np.zeros(classes.shape, bool)
    for axis in (0, 1):
        here, there = _neighbours(classes, axis)
        valid_here, valid_there = _neighbours(valid, axis)
        differs = (here != there) & valid_here & valid_there
        edge_here, edge_there = _neighbours(edge, axis)
        edge_here |= differs
        edge_there |= differs
    edge &= (classes >= 0) & (classes < count)
    dtype = np.min_scalar_type(2**count - 1)
    shifts = np.where(edge, classes, 0).astype(dtype)
    bits: NDArray[np.unsignedinteger] = np.left_shift(edge.astype(dtype), shifts)
    return bits


def _neighbours(array: NDArray[np.generic], axis: int) -> tuple[NDArray, NDArray]:  # type: ignore[type-arg]
    """Return views of all pixels that have a next one along an axis, and of these next ones."""
    return (array[:-1], array[1:]) if axis == 0 else (array[:, :-1], array[:, 1:])


def _spread(bits: NDArray[np.unsignedinteger], radius: int) -> NDArray[np.unsignedinteger]:
    """Let every pixel have the bits of all pixels within a distance.

    A dilation of all classes at once, which takes a thirtieth of the time of one
    `scipy.ndimage.binary_dilation` for each.
    """
    height, width = bits.shape
    spread = np.zeros_like(bits)
    for down, right in _disk(radius):
        if abs(down) < height and abs(right) < width:
            spread[_shifted(down, height), _shifted(right, width)] |= bits[
                _shifted(-down, height), _shifted(-right, width)
            ]
    return spread


def _shifted(by: int, length: int) -> slice:
    return slice(max(by, 0), length + min(by, 0))


@cache
def _disk(radius: int) -> tuple[tuple[int, int], ...]:
    """Return all offsets (rows, cols) that are at most `radius` long."""
    reach = range(-radius, radius + 1)
    return tuple((rows, cols) for rows in reach for cols in reach if rows**2 + cols**2 <= radius**2)


def _bit_counts(bits: NDArray[np.unsignedinteger], classes: int) -> NDArray[np.int64]:
    dtype = bits.dtype.type
    return np.array(
        [np.count_nonzero(bits & dtype(1 << number)) for number in range(classes)], np.int64
    )


def _score(
    tolerance: int,
    counts: BoundaryCounts,
    truth_matched: NDArray[np.int64],
    found_matched: NDArray[np.int64],
) -> BoundaryScores:
    precision = _share(found_matched, counts.found)
    recall = _share(truth_matched, counts.truth)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    nowhere = (counts.truth == 0) & (counts.found == 0)
    return BoundaryScores(
        tolerance, *(np.where(nowhere, np.nan, values) for values in (precision, recall, f1))
    )


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return shares
