"""Run lengths of segments, as COCO stores masks: column by column, in characters."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RunLengths:
    """Regions of the segments of a chip.

    Attributes
    ----------
    ids : ndarray of int64, shape (n,)
        The segments, ascending.
    counts : tuple of str
        Compressed run lengths of each, as pycocotools reads them.
    area : ndarray of int64, shape (n,)
        Pixels of each.
    boxes : ndarray of int64, shape (n, 4)
        First column, first row, width and height of each.
    """

    ids: Ints
    counts: tuple[str, ...]
    area: Ints
    boxes: Ints


def run_lengths(ids: NDArray[np.uint32]) -> RunLengths:
    """Encode the region of every segment id but 0.

    >>> run_lengths(np.array([[0, 7], [7, 7]], np.uint32)).counts
    ('13',)

    Parameters
    ----------
    ids : ndarray of uint32, shape (H, W)
        Segment of each pixel.
    """
    flat = ids.ravel(order="F").astype(np.int64)
    start = np.flatnonzero(np.diff(flat, prepend=-1))
    stop = np.append(start[1:], len(flat))
    owner = flat[start]
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] > 0]
    start, stop, owner = start[order], stop[order], owner[order]
    found, first, rank = np.unique(owner, return_index=True, return_inverse=True)
    lengths, of = _alternating(start, stop, first, rank.ravel(), len(flat))
    boxes = _boxes(ids, found)
    area = np.bincount(rank.ravel(), stop - start, len(found)).astype(np.int64)
    return RunLengths(found, _characters(lengths, of, len(found)), area, boxes)


def _alternating(start: Ints, stop: Ints, first: Ints, rank: Ints, size: int) -> tuple[Ints, Ints]:
    """Return lengths of gaps and runs in turn, a last gap included, and the segment of each."""
    before = np.append(0, stop[:-1])[: len(start)]
    before[first] = 0
    pairs = np.stack([start - before, stop - start], axis=1).ravel()
    last = np.append(first[1:], len(start)) - 1
    rest = size - stop[last] if len(first) else np.empty(0, np.int64)
    # A gap after the last run is listed only if there is one.
    open_end = rest > 0
    at = 2 * (last + 1)
    lengths = np.insert(pairs, at[open_end], rest[open_end])
    of = np.insert(np.repeat(rank, 2), at[open_end], np.flatnonzero(open_end))
    return lengths, of


def _characters(lengths: Ints, of: Ints, count: int) -> tuple[str, ...]:
    """Write numbers, 5 bits a character; after the third, differences to the value two before."""
    begin = np.searchsorted(of, np.arange(count + 1))
    position = np.arange(len(lengths)) - begin[of]
    values = lengths.copy()
    later = np.flatnonzero(position > 2)
    values[later] -= lengths[later - 2]
    digits, used = [], np.zeros(len(values), np.int64)
    rest, going = values, np.ones(len(values), np.bool_)
    while going.any():
        digit = rest & 31
        rest = rest >> 5
        used += going
        # The sign is the fifth bit of the last character.
        going = going & np.where(digit & 16, rest != -1, rest != 0)
        digits.append((digit | np.where(going, 32, 0)) + 48)
    table = np.stack(digits, axis=1) if digits else np.empty((0, 0), np.int64)
    written = table[np.arange(table.shape[1]) < used[:, None]].astype(np.uint8).tobytes()
    ends = np.append(0, np.cumsum(used))[begin]
    text = written.decode("ascii")
    return tuple(text[one:other] for one, other in pairwise(ends.tolist()))


def _boxes(ids: NDArray[np.uint32], found: Ints) -> Ints:
    rows, cols = np.nonzero(ids)
    rank = np.searchsorted(found, ids[rows, cols])
    low = np.full((len(found), 2), max(ids.shape))
    high = np.zeros((len(found), 2), np.int64)
    for axis, at in enumerate((cols, rows)):
        np.minimum.at(low[:, axis], rank, at)
        np.maximum.at(high[:, axis], rank, at + 1)
    return np.concatenate([low, high - low], axis=1)
