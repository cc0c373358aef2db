"""Patches: connected regions of one id, found in a raster of segments some rows at a time."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.mapping import HERE
from alps_geo.outputs.strips import StripJoiner, StripRegions
from alps_geo.segments.regions import connected_pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper
    from alps_geo.outputs.polygons import RowReader
    from alps_geo.outputs.strips import JoinedRegions

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
    segments : ndarray of int64, shape (n,)
        Segments that have pixels in each patch.
    joined : JoinedRegions
        Ids of the patches, and their numbers in strips.
    """

    rows: RowReader
    of_segment: Ints
    segments: Ints
    joined: JoinedRegions

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def ids(self) -> Ints:
        """Id of each patch, shape (n,)."""
        return self.joined.ids

    def read(self, start: int, stop: int) -> Ints:
        """Read the patches of a strip of rows that begins at a multiple of `STRIP`; 0 for none."""
        return self.joined(
            start // STRIP, connected_pieces(self.of_segment[self.rows(start, stop)])
        )


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
    joiner, met = StripJoiner(), []
    with closing(mapper.map(search.prepared, strips)) as results:
        for found in results:
            joiner.add(found.regions)
            met.append((found.region, found.segment))
    joined = joiner.joined()
    pairs = [
        np.stack([joined(strip, region), segment]) for strip, (region, segment) in enumerate(met)
    ]
    patch, _ = _pairs(*np.concatenate(pairs, axis=1))
    segments = np.bincount(patch, minlength=len(joined.ids) + 1)[1:]
    return Patches(rows, of_segment, segments.astype(np.int64), joined)


@dataclass(frozen=True)
class _Strip:
    """Regions of some rows.

    Attributes
    ----------
    regions : StripRegions
        The regions.
    region, segment : ndarray of int64, shape (p,)
        Regions and segments that have pixels in common.
    """

    regions: StripRegions
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
        regions = connected_pieces(ids)
        # Pairs are met where a run of pixels begins.
        flat, owner = segments.ravel(), regions.ravel()
        changes = (flat[1:] != flat[:-1]) | (owner[1:] != owner[:-1])
        begins = np.append(0, np.flatnonzero(changes) + 1)
        begins = begins[owner[begins] != 0]
        region, segment = _pairs(owner[begins], flat[begins].astype(np.int64))
        of_region = np.zeros(int(regions.max()) + 1, np.int64)
        of_region[owner[begins]] = ids.ravel()[begins]
        return _Strip(StripRegions(of_region[1:], regions[0], regions[-1]), region, segment)


def _pairs(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """Return each pair of numbers once, in their order."""
    base = int(other.max(initial=0)) + 1
    found = np.unique(one * base + other)
    return found // base, found % base
