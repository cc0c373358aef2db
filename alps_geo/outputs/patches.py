"""Patches: connected regions of one id, found in a raster of segments some rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from alps_geo.outputs.cog import row_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    Ints = NDArray[np.int64]

STRIP = 256
"""Rows that are read at once."""


@dataclass(frozen=True)
class Patches:
    """The n patches of a raster of segments; patch p is row p - 1 of the arrays.

    They are numbered in the order in which the rows of the raster meet them.

    Attributes
    ----------
    raster : rasterio.io.DatasetReader
        The segments, open.
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

    raster: DatasetReader
    of_segment: Ints
    ids: Ints
    segments: Ints
    strips: Ints
    of_region: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> Ints:
        """Read the patches of a strip of rows that begins at a multiple of `STRIP`; 0 for none."""
        regions = _regions(self.of_segment[row_reader(self.raster)(start, stop)])
        patches: Ints = np.append(0, self.of_region[self.strips[start // STRIP] :])[regions]
        return patches


def find_patches(raster: DatasetReader, of_segment: Ints) -> Patches:
    """Find the regions of equal ids whose pixels share edges.

    Memory follows the number of regions and the width of the raster.

    Parameters
    ----------
    raster : rasterio.io.DatasetReader
        Segment ids, open.
    of_segment : ndarray of int64, shape (s + 1,)
        Id of each segment; 0 for none, as at 0.
    """
    found = list(_strips(raster, of_segment))
    firsts = np.cumsum([0, *(len(strip.ids) for strip in found)])
    count = int(firsts[-1])
    joins = [
        np.stack([strip.above + (first - before), strip.below + first])
        for strip, before, first in zip(found, _sizes_before(found), firsts[:-1], strict=True)
    ]
    one, other = np.concatenate(joins, axis=1) if joins else np.empty((2, 0), np.int64)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    group = connected_components(graph, directed=False)[1] if count else np.empty(0, np.int64)
    # In the order of the first region of each.
    _, first_of, group = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(first_of)
    of_region = np.argsort(order)[group] + 1
    ids = np.concatenate([np.empty(0, np.int64), *(strip.ids for strip in found)])
    pairs = [
        np.stack([of_region[strip.region + first], strip.segment])
        for strip, first in zip(found, firsts[:-1], strict=True)
    ]
    met, _ = _pairs(*np.concatenate([np.empty((2, 0), np.int64), *pairs], axis=1))
    segments = np.bincount(met, minlength=len(order) + 1)[1:]
    return Patches(
        raster, of_segment, ids[first_of[order]], segments.astype(np.int64), firsts, of_region
    )


@dataclass(frozen=True)
class _Strip:
    """Regions of some rows, numbered from 0.

    Attributes
    ----------
    ids : ndarray of int64, shape (r,)
        Id of each region.
    above, below : ndarray of int64, shape (j,)
        Regions of the strip before, and of this one, that touch and have the same id.
    region, segment : ndarray of int64, shape (p,)
        Regions and segments that have pixels in common.
    """

    ids: Ints
    above: Ints
    below: Ints
    region: Ints
    segment: Ints


def _strips(raster: DatasetReader, of_segment: Ints) -> Iterator[_Strip]:
    read, none = row_reader(raster), np.zeros(raster.width, np.int64)
    last_ids, last_regions = none, none
    for start in range(0, raster.height, STRIP):
        segments = read(start, min(start + STRIP, raster.height))
        ids = of_segment[segments]
        regions = _regions(ids)
        touch = (ids[0] == last_ids) & (ids[0] != 0)
        above, below = _pairs(last_regions[touch], regions[0][touch])
        # Pairs are met where a run of pixels begins.
        flat, owner = segments.ravel(), regions.ravel()
        changes = (flat[1:] != flat[:-1]) | (owner[1:] != owner[:-1])
        begins = np.append(0, np.flatnonzero(changes) + 1)
        begins = begins[owner[begins] != 0]
        region, segment = _pairs(owner[begins], flat[begins].astype(np.int64))
        of_region = np.zeros(int(regions.max()) + 1, np.int64)
        of_region[owner[begins]] = ids.ravel()[begins]
        yield _Strip(of_region[1:], above - 1, below - 1, region - 1, segment)
        last_ids, last_regions = ids[-1], regions[-1]


def _sizes_before(strips: list[_Strip]) -> list[int]:
    """Return the number of regions of the strip before each."""
    return [0, *(len(strip.ids) for strip in strips[:-1])]


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
