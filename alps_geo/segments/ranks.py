"""Ranks of fragments: how well a tile knows each of them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Rank(IntEnum):
    """Rank of a fragment in its tile; of fragments of several tiles the highest owns a pixel."""

    FILLED = 0
    """Superpixel whose centroid lies in another core, or a mask that is disowned."""

    FILLED_OWNED = 1
    """Superpixel whose centroid lies in the tile's core."""

    CUT = 2
    """Mask that the window may cut off."""

    SEEN = 3
    """Whole mask whose centroid lies in another core."""

    OWNED = 4
    """Whole mask whose centroid lies in the tile's core."""


class Edge(IntEnum):
    """Edges of a window."""

    TOP = 0
    BOTTOM = 1
    LEFT = 2
    RIGHT = 3


def is_owned(rank: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return True for masks that their tile owns."""
    return np.asarray(rank == Rank.OWNED)


def is_unclaimed(rank: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return True for fragments that no tile claims; small rests of them lie where tiles meet."""
    return np.asarray(rank == Rank.FILLED)
