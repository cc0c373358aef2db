"""Description of the segments of a scene: summed, compared with their neighbours, and stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from alps_geo.features.mapping import HERE
from alps_geo.features.sums import BANDS, MASKS, SQUARES, RegionSums
from alps_geo.segments.merging import merge_alike
from alps_geo.segments.neighbours import neighbour_shares
from alps_geo.segments.stitch import Segments
from alps_geo.segments.table import Attributes, mix_tables, open_table, write_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.features.columns import ColumnSchema, Table
    from alps_geo.features.mapping import Mapper
    from alps_geo.segments.pooling import SegmentRows
    from alps_geo.segments.stitch import Stitched
    from alps_geo.segments.table import SegmentTable


_UNIT = 16**2
"""Pixels that count as one segment in the cost of merging, whatever the size of superpixels."""

_REACH = 16 * 2**0.5
"""Distance that columns spread over neighbours, in pixels: the side of a superpixel times the
square root of the steps, as in any diffusion."""


def steps_of(superpixel_size: int) -> int:
    """Choose the steps in which columns spread as far for superpixels of any size.

    >>> steps_of(8), steps_of(11), steps_of(16), steps_of(32)
    (8, 4, 2, 1)
    """
    return max(1, round((_REACH / superpixel_size) ** 2))


@dataclass(frozen=True)
class NeighbourRules:
    """Rules for segments that touch.

    Attributes
    ----------
    strength : float, optional
        Highest cost of merging two superpixels, see `alps_geo.segments.merging`, in units of
        16 x 16 pixels; None to merge none.
    share : float
        Share of the neighbours in the columns of a superpixel, see `alps_geo.segments.neighbours`.
    superpixel_size : int
        Side of a superpixel of full size, in pixels.
    """

    strength: float | None = None
    share: float = 0.0
    superpixel_size: int = 16

    @property
    def compare(self) -> bool:
        """True if segments are compared with their neighbours."""
        return self.strength is not None or self.share > 0


def describe_segments(
    segments: Stitched,
    described: Iterable[SegmentRows],
    schema: ColumnSchema,
    rules: NeighbourRules,
    folder: Path,
    project: Callable[[Table, Mapper], NDArray[np.float32]],
    mapper: Mapper = HERE,
) -> SegmentTable:
    """Write the table of the segments of a scene, merged and described by the rules.

    Segments are compared within the scene, so those of a scene are the same whatever scenes it is
    labelled with. Masks stay whole and are merged with nothing. Memory follows the number of
    segments: their projected columns and borders are held.

    Parameters
    ----------
    segments : Stitched
        The segments. Their painting gets the ids of the merged ones.
    described : iterable of SegmentRows
        All of them, in any order: see `alps_geo.segments.pooling.segment_rows`.
    schema : ColumnSchema
        The columns.
    rules : NeighbourRules
        Rules for segments that touch.
    folder : pathlib.Path
        Folder of the table.
    project : callable
        Projects the columns of all rows into the space in which segments are compared.
    mapper : Mapper
        Maps the work on ranges of rows.

    Returns
    -------
    SegmentTable
        Ids of merged segments run from 1 without gaps, in the order
        in which the grid first meets them.

    Raises
    ------
    RunError
        If the folder cannot be written, or the painting cannot be read.
    """
    if not rules.compare or len(segments) < 2:
        write_tables(folder, segments, segments.rows, described, schema)
        return open_table(folder)
    kept = _Kept(len(segments), len(schema.band_names))
    write_tables(folder, segments, segments.rows, kept.keeping(described), schema)
    table = open_table(folder)
    is_filled = kept.sums.is_filled
    # No name for the rows: nothing keeps them here once neighbours have their share.
    group, shares = _compared(
        project(table, mapper)[np.argsort(table.rows)], segments, is_filled, rules
    )
    merged = kept.sums.grouped(group + 1, int(group.max()) + 1)
    whole = Segments(merged.area.astype(np.int64), segments.valid_pixels)
    mix_tables(table, shares, whole, Attributes.of(merged), mapper)
    segments.painting.join(np.append(0, group + 1).astype(np.uint32))
    return open_table(folder)


class _Kept:
    """The sums that attributes are made of, of all segments by id."""

    def __init__(self, count: int, bands: int) -> None:
        widths = {BANDS: bands, SQUARES: bands, MASKS: 3}
        named = {name: np.zeros((count, width)) for name, width in widths.items()}
        self.sums = RegionSums(np.zeros(count), named)

    def keeping(self, batches: Iterable[SegmentRows]) -> Iterator[SegmentRows]:
        """Keep the sums of each batch, and hand it on."""
        for batch in batches:
            at = batch.ids.astype(np.int64) - 1
            self.sums.area[at] = batch.sums.area
            for name, values in self.sums.named.items():
                values[at] = batch.sums.named[name]
            yield batch


def _compared(
    rows: NDArray[np.float32],
    segments: Stitched,
    is_filled: NDArray[np.bool_],
    rules: NeighbourRules,
) -> tuple[NDArray[np.int64], list[sparse.csr_array]]:
    """Find the group of each segment, and factors of the shares of all segments in each group.

    Neighbours have their share first: it takes chance from the columns, so that merging finds more
    that is alike.
    """
    size = segments.area / rules.superpixel_size**2
    spread: list[sparse.csr_array] = []
    if rules.share > 0:
        step = neighbour_shares(rows, size, segments.borders, rules.share)
        spread = [step] * steps_of(rules.superpixel_size)
    for step in spread:
        _share_out(step, rows)
    group = np.arange(len(rows))
    if rules.strength is not None:
        area = segments.area / _UNIT
        group = merge_alike(rows, area, segments.borders, is_filled, rules.strength)
    return group, [_mean_shares(group, segments.area), *spread]


def _share_out(step: sparse.csr_array, rows: NDArray[np.float32]) -> None:
    """Share rows (n, P) out by the shares of a step (n, n), in place and a column at a time."""
    for column in range(rows.shape[1]):
        rows[:, column] = step @ rows[:, column]


def _mean_shares(group: NDArray[np.int64], area: NDArray[np.int64]) -> sparse.csr_array:
    """Shares of segments in the group of each, by area."""
    whole = np.bincount(group, weights=area)
    index = (group, np.arange(len(group)))
    return sparse.csr_array((area / whole[group], index), shape=(len(whole), len(group)))
