"""Splits of chips into train, val and test, by blocks on the ground with a gap between them.

Chips next to each other look alike, so that a test on one says little if its neighbour was trained
on (Ploton et al. 2020, doi 10.1038/s41467-020-18321-y). Chips are therefore taken in blocks, and of
two chips that are near each other and in different splits, the one in the larger split is left out.
Many ways to choose blocks are tried, by a seed; the best of them comes near to the shares, leaves
out few chips, and has the classes in all splits as they are in the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.outputs.training_set.places import Places

    Ints = NDArray[np.int64]

LEFT_OUT = -1
"""Split of chips in the gap."""

_SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Sides of blocks that are tried, in chips."""

_SHUFFLES, _SWEEPS = 12, 6
# The gap costs the largest split chips, so that the others may take less than their shares.
_FILLS = (1.0, 0.9, 0.8, 0.65)

_LOSS_WEIGHT, _CLASSES_WEIGHT, _EMPTY_WEIGHT = 0.5, 0.3, 10.0


@dataclass(frozen=True)
class _Goal:
    """Wanted shares of the splits; those that have one, the largest first; classes of the chips."""

    shares: NDArray[np.float64]
    order: tuple[int, ...]
    content: csr_array


def assign_splits(places: Places, content: csr_array, shares: Sequence[float], seed: int) -> Ints:
    """Assign chips to splits.

    Parameters
    ----------
    places : Places
        Places of n chips.
    content : scipy.sparse.csr_array, shape (n, k)
        Pixels of each class in each chip.
    shares : sequence of float
        Share of the chips that each split is to have; they add up to 1.
    seed : int
        Decides between choices that are equally good.

    Returns
    -------
    ndarray of int64, shape (n,)
        Number of the split of each chip, `LEFT_OUT` for those in the gap.
    """
    wanted = np.asarray(shares, np.float64)
    ranked = sorted(np.flatnonzero(wanted > 0).tolist(), key=lambda split: -wanted[split])
    goal = _Goal(wanted, tuple(ranked), content)
    best = np.full(len(places), ranked[0], np.int64)
    if len(ranked) == 1 or not len(places):
        return best
    least = _cost(best, goal)
    for blocks, order in _tries(places, np.random.default_rng(seed)):
        for fill in _FILLS:
            found = _without_gap(_filled(blocks, order, goal, fill), places.near, goal)
            cost = _cost(found, goal)
            if cost < least:
                best, least = found, cost
    return best


def _tries(places: Places, rng: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
    """Yield blocks, one number for each chip, and an order of them, in many ways."""
    largest = np.ptp(places.centre, axis=0).max()
    for side in _SIDES:
        if side > 1 and side > largest:
            return
        blocks, middles = _blocks(places, side, rng.random(2))
        for _ in range(_SHUFFLES):
            yield blocks, rng.permutation(len(middles))
        for angle in rng.random(_SWEEPS) * 2 * np.pi:
            along = middles @ [np.cos(angle), np.sin(angle)]
            yield blocks, np.argsort(along, kind="stable")


def _blocks(
    places: Places, side: int, offset: NDArray[np.float64]
) -> tuple[Ints, NDArray[np.float64]]:
    """Return the number of the block of each chip, and the middle of each block."""
    cell = np.floor(places.centre / side + offset).astype(np.int64)
    keys = np.column_stack([places.plane, cell])
    _, blocks = np.unique(keys, axis=0, return_inverse=True)
    blocks = blocks.ravel()
    sums = [np.bincount(blocks, axis) for axis in places.centre.T]
    return blocks, np.stack(sums, axis=1) / np.bincount(blocks)[:, None]


def _filled(blocks: Ints, order: Ints, goal: _Goal, fill: float) -> Ints:
    """Assign blocks to splits: smaller splits take from the ends, the largest takes the rest.

    Parameters
    ----------
    blocks : ndarray of int64, shape (n,)
        Block of each chip.
    order : ndarray of int64
        The blocks in the order in which they are taken.
    goal : _Goal
        Wanted shares.
    fill : float
        Part of its share that a smaller split takes.
    """
    count = np.bincount(blocks, minlength=len(order))
    of_block = np.full(len(order), goal.order[0])
    left = order
    for split in goal.order[1:]:
        if not len(left):
            break
        taken = np.cumsum(count[left])
        number = int(np.abs(taken - goal.shares[split] * fill * len(blocks)).argmin()) + 1
        of_block[left[:number]] = split
        left = left[number:][::-1]
    return of_block[blocks]


def _without_gap(wanted: Ints, near: Ints, goal: _Goal) -> Ints:
    """Leave out chips that are near one of a smaller split."""
    found = wanted.copy()
    one, other = near.T
    differing = wanted[one] != wanted[other]
    pairs = np.concatenate([near[differing], near[differing][:, ::-1]])
    for rank, split in reversed([*enumerate(goal.order)]):
        larger = np.isin(found[pairs[:, 1]], goal.order[:rank])
        found[pairs[(found[pairs[:, 0]] == split) & larger, 1]] = LEFT_OUT
    return found


def _cost(found: Ints, goal: _Goal) -> float:
    """Weigh distances from the wanted shares and classes, the loss, and splits without chips."""
    counts = np.bincount(found[found >= 0], minlength=len(goal.shares))
    off = np.abs(counts / max(counts.sum(), 1) - goal.shares).sum()
    empty = int((counts[list(goal.order)] == 0).sum())
    lost = float((found < 0).mean())
    unlike = _CLASSES_WEIGHT * _unlikeness(found, goal)
    return float(off) + _LOSS_WEIGHT * lost + unlike + _EMPTY_WEIGHT * empty


def _unlikeness(found: Ints, goal: _Goal) -> float:
    """Return the mean share of a split's pixels that have another class than in the whole."""
    kept = np.flatnonzero(found >= 0)
    members = csr_array(
        (np.ones(len(kept)), (found[kept], kept)), shape=(len(goal.shares), len(found))
    )
    pixels = (members @ goal.content).toarray()[list(goal.order)]
    whole = goal.content.sum(axis=0)
    off = pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1) - whole / whole.sum()
    return float(np.abs(off).sum(axis=1).mean() / 2)
