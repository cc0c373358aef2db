"""Merging of segments that touch and are alike, by rounds of mutual best neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.segments.borders import Borders

_BATCH_PAIRS = 2**16
"""Pairs whose distances are measured at once."""

_LEVEL_BITS, _LOWEST_EXPONENT = 6, -16
"""Bits of a chance that hold the size, as an exponent of two, and the exponent that is 0 there."""

_SCATTER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd numbers whose multiples look random in their upper bits."""


def merge_alike(
    rows: NDArray[np.floating],
    size: NDArray[np.floating],
    borders: Borders,
    mergeable: NDArray[np.bool_],
    strength: float,
    fewest: int = 1,
) -> NDArray[np.int64]:
    """Find the segments that become one.

    In each round every segment looks for the neighbour that costs least to merge with, and pairs
    that choose each other become one. The cost is that of Ward (1963, doi
    10.1080/01621459.1963.10500845), the growth of the sum of squared distances to the mean, where
    segments count by their size; merging ends when every pair costs more than `strength`.
    Segments are compared with their neighbours alone, so the order of rows does not matter.

    Parameters
    ----------
    rows : ndarray of float, shape (n, P)
        Projected columns of the segments. Means of groups overwrite them, as for millions of
        segments there is no room for both.
    size : ndarray of float, shape (n,)
        Their areas, in a unit that gives `strength` its meaning.
    borders : Borders
        Their borders.
    mergeable : ndarray of bool, shape (n,)
        False for segments that stay as they are.
    strength : float
        The highest cost.
    fewest : int
        Merging ends also when only this many segments are left.

    Returns
    -------
    ndarray of int64, shape (n,)
        The group of each segment, from 0 in the order of their first rows.
    """
    size = size.copy()
    into, left = np.arange(len(rows)), len(rows)
    first, second = borders.pairs.T
    pairs = borders.pairs[mergeable[first] & mergeable[second]]
    found = _Pairs(pairs, _costs(rows, size, pairs))
    while len(found.pairs) and left > fewest:
        kept, gone = _mutual_best(*found, size, strength)[: left - fewest].T
        if not len(kept):
            break
        left -= len(kept)
        total = size[kept] + size[gone]
        moved = (size[gone] / total)[:, None] * (rows[gone] - rows[kept])
        rows[kept] += moved.astype(rows.dtype)
        size[kept] = total
        into[gone] = kept
        found = _after_merging(found, kept, gone, rows, size)
    return _groups(into)


class _Pairs(NamedTuple):
    """Pairs of segments that touch, shape (m, 2), and the cost of merging each, shape (m,).

    The lower row of a pair comes first; pairs are in ascending order, each once.
    """

    pairs: NDArray[np.int64]
    cost: NDArray[np.float64]


def _costs(
    rows: NDArray[np.floating], size: NDArray[np.floating], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Measure the cost of merging pairs (m, 2), shape (m,)."""
    first, second = size[pairs].T
    return np.asarray(first * second / (first + second) * squared_distances(rows, pairs))


def _after_merging(
    found: _Pairs,
    kept: NDArray[np.int64],
    gone: NDArray[np.int64],
    rows: NDArray[np.floating],
    size: NDArray[np.floating],
) -> _Pairs:
    """Rename the segments that have gone, and measure the pairs of merged ones again."""
    count = len(size)
    into, merged = np.arange(count), np.zeros(count, np.bool_)
    into[gone] = kept
    merged[kept] = merged[gone] = True
    first, second = found.pairs.T
    touched = merged[first] | merged[second]
    rest = found.pairs[~touched]
    first, second = into[found.pairs[touched]].T
    # One number for each pair sorts many times faster than two, and than numpy's hashes of them.
    key = np.sort((np.minimum(first, second) * count + np.maximum(first, second))[first != second])
    key = key[np.diff(key, prepend=-1) > 0]
    changed = np.stack(np.divmod(key, count), axis=1)
    at = np.searchsorted(rest[:, 0] * count + rest[:, 1], key)
    return _Pairs(
        np.insert(rest, at, changed, axis=0),
        np.insert(found.cost[~touched], at, _costs(rows, size, changed)),
    )


def _chances(pairs: NDArray[np.int64], size: NDArray[np.floating]) -> NDArray[np.uint64]:
    """Order pairs (m, 2) by their size in powers of two, and then as by chance, shape (m,)."""
    first, second = pairs.T
    chance: NDArray[np.uint64] = first.astype(np.uint64) * _SCATTER[0]
    chance ^= second.astype(np.uint64) * _SCATTER[1]
    level = np.frexp(size[first] + size[second])[1] - _LOWEST_EXPONENT
    level = np.clip(level, 0, 2**_LEVEL_BITS - 1).astype(np.uint64)
    chance >>= np.uint64(_LEVEL_BITS)
    chance |= level << np.uint64(64 - _LEVEL_BITS)
    return chance


def _groups(into: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the group of segments, some of which have become part of one before them."""
    while not np.array_equal(into, further := into[into]):
        into = further
    # A group is known by its first row, since the higher of two rows goes.
    return np.unique(into, return_inverse=True)[1].astype(np.int64)


def squared_distances(rows: NDArray[np.floating], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Measure the squared distances of pairs (m, 2) of rows (n, P), shape (m,)."""
    squared = np.empty(len(pairs))
    for start in range(0, len(pairs), _BATCH_PAIRS):
        first, second = pairs[start : start + _BATCH_PAIRS].T
        difference = rows[first].astype(np.float64) - rows[second]
        squared[start : start + len(first)] = (difference**2).sum(axis=1)
    return squared


def _mutual_best(
    pairs: NDArray[np.int64],
    cost: NDArray[np.float64],
    size: NDArray[np.floating],
    strength: float,
) -> NDArray[np.int64]:
    """Choose the pairs, of those that cost no more than `strength`, that are best for both.

    The cheapest come first. Of equal costs, as in areas of one value, that of the smaller segments
    is taken: the neighbours of a large one would have to wait for it, one a round. Of these one is
    taken as by chance, though always the same: an order by row would make a chain of which one pair
    alone is best for both.
    """
    cheap = cost <= strength
    pairs, cost = pairs[cheap], cost[cheap]
    order = np.lexsort((_chances(pairs, size), cost))
    best = np.full(int(pairs.max(initial=-1)) + 1, -1)
    # The best is written last, and so is the one that stays.
    best[pairs[order[::-1]].ravel()] = np.repeat(order[::-1], 2)
    pairs = pairs[order]
    mutual: NDArray[np.bool_] = (best[pairs[:, 0]] == order) & (best[pairs[:, 1]] == order)
    return pairs[mutual]
