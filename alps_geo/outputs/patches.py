"""Patches: connected regions of one id, found in a raster of segments some rows at a time."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from alps_geo.features.mapping import HERE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper
    from alps_geo.outputs.polygons import RowReader

    Ints = NDArray[np.int64]

STRIP = 256
"""Rows that are read at once."""


@dataclass(frozen=True)
class Patches:
    """The n patches of a raster of segments; patch p is row p - 1 of the arrays.

    They are numbered in the order in which the rows of the raster meet them.

    Attributes
    ----------
    rows : callable
        Reads the rows [start, stop) of the raster of segments.
    of_segment : ndarray of int64, shape (s + 1,)
        Id of each segment: its cluster or class; that at 0 is 0.
    ids : ndarray of int64, shape (n,)
        Id of each patch.
    segments : ndarray of int64, shape (n,)
        Segments that have pixels in each.
    strips : ndarray of int64, shape (t,)
        First of the numbers that the regions of each strip have before they are joined.
    of_region : ndarray of int64
        Patch of each region of a strip.
    """

    rows: RowReader
    of_segment: Ints
    ids: Ints
    segments: Ints
    strips: Ints
    of_region: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> Ints:
        """Read the patches of a strip of rows that begins at a multiple of `STRIP`; 0 for none."""
        regions = _regions(self.of_segment[self.rows(start, stop)])
        patches: Ints = np.append(0, self.of_region[self.strips[start // STRIP] :])[regions]
        return patches


def find_patches(rows: RowReader, height: int, of_segment: Ints, mapper: Mapper = HERE) -> Patches:
    """Find the regions of equal ids whose pixels share edges.

    Memory follows the number of regions and the width of the raster.

    Parameters
    ----------
    rows : callable
        Reads the rows [start, stop) of a raster of segments.
    height : int
        Rows of the raster, one at least.
    of_segment : ndarray of int64, shape (s + 1,)
        Id of each segment; 0 for none, as at 0.
    mapper : Mapper
        Maps the work over strips; `rows` has to pickle if it maps in other processes.
    """
    search = _Search(rows, of_segment)
    strips = [(start, min(start + STRIP, height)) for start in range(0, height, STRIP)]
    with closing(mapper.map(search.prepared, strips)) as results:
        found = list(results)
    firsts = np.cumsum([0, *(len(strip.ids) for strip in found)])
    count = int(firsts[-1])
    one, other = _joins(found, firsts)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    group = connected_components(graph, directed=False)[1] if count else np.empty(0, np.int64)
    # In the order of the first region of each.
    _, first_of, group = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(first_of)
    of_region = np.argsort(order)[group] + 1
    ids = np.concatenate([strip.ids for strip in found])
    pairs = [
        np.stack([of_region[strip.region + first], strip.segment])
        for strip, first in zip(found, firsts[:-1], strict=True)
    ]
    met, _ = _pairs(*np.concatenate(pairs, axis=1))
    segments = np.bincount(met, minlength=len(order) + 1)[1:]
    return Patches(
        rows, of_segment, ids[first_of[order]], segments.astype(np.int64), firsts, of_region
    )


@dataclass(frozen=True)
class _Strip:
    """Regions of some rows, numbered from 0.

    Attributes
    ----------
    ids : ndarray of int64, shape (r,)
        Id of each region.
    top, bottom : ndarray of int64, shape (width,)
        Regions of the pixels in the first and in the last row; -1 for none.
    region, segment : ndarray of int64, shape (p,)
        Regions and segments that have pixels in common.
    """

    ids: Ints
    top: Ints
    bottom: Ints
    region: Ints
    segment: Ints


@dataclass(frozen=True)
class _Search:
    """The search for the regions of a strip; any process can be given it."""

    rows: RowReader
    of_segment: Ints

    def prepared(self) -> Callable[[tuple[int, int]], _Strip]:
        """Return the function that finds the regions of a strip of rows."""
        return self._found

    def _found(self, strip: tuple[int, int]) -> _Strip:
        segments = self.rows(*strip)
        ids = self.of_segment[segments]
        regions = _regions(ids)
        # Pairs are met where a run of pixels begins.
        flat, owner = segments.ravel(), regions.ravel()
        changes = (flat[1:] != flat[:-1]) | (owner[1:] != owner[:-1])
        begins = np.append(0, np.flatnonzero(changes) + 1)
        begins = begins[owner[begins] != 0]
        region, segment = _pairs(owner[begins], flat[begins].astype(np.int64))
        of_region = np.zeros(int(regions.max()) + 1, np.int64)
        of_region[owner[begins]] = ids.ravel()[begins]
        return _Strip(of_region[1:], regions[0] - 1, regions[-1] - 1, region - 1, segment)


def _joins(found: list[_Strip], firsts: Ints) -> Ints:
    """Pair the regions of strips that touch and have the same id, shape (2, m)."""
    joins = [np.empty((2, 0), np.int64)]
    for (above, below), first in zip(pairwise(found), pairwise(firsts), strict=False):
        both = (above.bottom >= 0) & (below.top >= 0)
        one, other = above.bottom[both], below.top[both]
        alike = above.ids[one] == below.ids[other]
        pairs = _pairs(one[alike], other[alike])
        joins.append(np.stack([pairs[0] + first[0], pairs[1] + first[1]]))
    return np.concatenate(joins, axis=1)


def _pairs(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """Return each pair of numbers once, in their order."""
    base = int(other.max(initial=0)) + 1
    found = np.unique(one * base + other)
    return found // base, found % base


def _regions(ids: Ints) -> Ints:
    """Return numbers of the regions of equal ids, from 1; 0 for those of 0."""
    regions: Ints = label(  # type: ignore[no-untyped-call]
        ids, connectivity=1, background=0
    )
    return regions
