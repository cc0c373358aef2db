"""Turns of the borders between segments, on the lattice of pixel corners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

# Quadrants around a lattice point are numbered 2 * east + south, so that ^2 is the neighbour across
# the vertical line, ^1 across the horizontal one. A turn's kind is the part that its segment holds
# there: 0-3 that quadrant alone (of its 4-connected piece), 4-7 all but quadrant kind - 4; 8-11,
# where the border runs straight past a third segment, the north, south, west or east half.
# Rings keep the segment on their left, seen on screen.
NORTH, SOUTH, WEST, EAST = 8, 9, 10, 11
# By kind: True if the ring leaves a turn eastwards, where a horizontal edge begins there;
# southwards, where a vertical edge begins there.
LEAVES_EAST = np.isin(np.arange(12), [2, 7, NORTH])
LEAVES_SOUTH = np.isin(np.arange(12), [3, 5, EAST])


@dataclass(frozen=True)
class Turns:
    """Vertices of rings: arrays (n,) of segment id, lattice row and column, and kind."""

    segment: Ints
    row: NDArray[np.int32]
    col: NDArray[np.int32]
    kind: NDArray[np.uint8]

    @classmethod
    def none(cls) -> Turns:
        """Return no turns."""
        return cls(
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
        )

    @classmethod
    def join(cls, *parts: Turns) -> Turns:
        """Concatenate turns."""
        return cls(
            np.concatenate([part.segment for part in parts]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.col for part in parts]),
            np.concatenate([part.kind for part in parts]),
        )

    def take(self, rows: Ints | Bools) -> Turns:
        """Select turns by their indices or by a mask."""
        return Turns(self.segment[rows], self.row[rows], self.col[rows], self.kind[rows])


def find_turns(rows: NDArray[np.integer], start: int) -> Turns:
    """Find the turns on the lattice rows between rows of pixels.

    Parameters
    ----------
    rows : array (n + 1, width)
        Rows of ids, 0 for no segment.
    start : int
        Number of the lattice row below the first of them.

    Returns
    -------
    Turns
        In no special order.
    """
    pixels = np.pad(rows, ((0, 0), (1, 1)))
    same_h = pixels[:, :-1] == pixels[:, 1:]
    same_v = pixels[:-1] == pixels[1:]
    straight_on = (same_h[:-1] & same_h[1:]) | (same_v[:, :-1] & same_v[:, 1:])
    row, col = np.nonzero(~straight_on)
    around = [pixels[row + (q & 1), col + (q >> 1)].astype(np.int64) for q in range(4)]

    def turns(here: Bools, quadrant: int, kind: int) -> Turns:
        at = np.flatnonzero(here & (around[quadrant] != 0))
        return Turns(
            around[quadrant][at],
            (row[at] + start).astype(np.int32),
            col[at].astype(np.int32),
            np.full(len(at), kind, np.uint8),
        )

    found = []
    for q in range(4):
        one, across_v, across_h, opposite = (around[q ^ flip] for flip in (0, 2, 1, 3))
        found.append(turns((one != across_v) & (one != across_h), q, q))
        three = (across_v == across_h) & (across_v == opposite) & (across_v != one)
        found.append(turns(three, q ^ 2, 4 + q))
    for kind, held, flip in ((NORTH, 0, 2), (SOUTH, 1, 2), (WEST, 0, 1), (EAST, 2, 1)):
        inside, beyond = around[held], around[held ^ (3 - flip)]
        next_to, diagonal = around[held ^ flip], around[held ^ 3]
        straight = (inside == next_to) & (inside != beyond) & (inside != diagonal)
        found.append(turns(straight & (beyond != diagonal), held, kind))
    return Turns.join(*found)
