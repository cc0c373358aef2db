"""Regions of equal ids in a raster, found in strips of rows and joined across their borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class StripRegions:
    """Regions of a strip, whose pixels share sides, numbered from 1.

    Attributes
    ----------
    ids : ndarray of int64, shape (r,)
        Id of each.
    top, bottom : ndarray of int, shape (width,)
        Regions of the pixels in the first and in the last row; 0 for none.
    """

    ids: Ints
    top: NDArray[np.integer]
    bottom: NDArray[np.integer]


@dataclass(frozen=True)
class JoinedRegions:
    """Regions of a raster, numbered from 1 in the order in which its rows meet them.

    Attributes
    ----------
    ids : ndarray of int64, shape (n,)
        Id of each.
    of_region : ndarray of int64, shape (r + 1,)
        Number of each region of all strips in their order; that at 0 is 0.
    firsts : ndarray of int64, shape (t + 1,)
        Regions of the strips before each, and of all.
    """

    ids: Ints
    of_region: Ints
    firsts: Ints

    def __call__(self, strip: int, regions: NDArray[np.integer]) -> Ints:
        """Return regions of a strip, by its index, as regions of the raster; 0 stays 0."""
        found: Ints = self.of_region[np.where(regions > 0, regions + self.firsts[strip], 0)]
        return found


class StripJoiner:
    """Joins the regions of strips; memory follows the number of regions and the width."""

    def __init__(self) -> None:
        self._ids: list[Ints] = []
        self._firsts = [0]
        self._joins: list[Ints] = []
        self._above: NDArray[np.integer] | None = None

    def add(self, strip: StripRegions) -> None:
        """Add the next strip."""
        if self._above is not None:
            both = (self._above > 0) & (strip.top > 0)
            pairs = np.stack([self._above[both], strip.top[both]]).astype(np.int64) - 1
            alike = self._ids[-1][pairs[0]] == strip.ids[pairs[1]]
            touching = np.unique(pairs[:, alike], axis=1)
            self._joins.append(touching + np.array(self._firsts[-2:])[:, None])
        self._ids.append(strip.ids)
        self._firsts.append(self._firsts[-1] + len(strip.ids))
        self._above = strip.bottom

    def joined(self) -> JoinedRegions:
        """Return the regions of all strips that were added, one at least."""
        ids, count = np.concatenate(self._ids), self._firsts[-1]
        one, other = np.concatenate([np.empty((2, 0), np.int64), *self._joins], axis=1)
        graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
        group = connected_components(graph, directed=False)[1] if count else np.empty(0, np.int64)
        # In the order of the first region of each.
        _, first_of, group = np.unique(group, return_index=True, return_inverse=True)
        order = np.argsort(first_of)
        numbers = np.argsort(order)[group] + 1
        return JoinedRegions(
            ids[first_of[order]], np.append(0, numbers), np.array(self._firsts, np.int64)
        )
