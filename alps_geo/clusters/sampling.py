"""Projected rows of many tables: a sample of them, chosen ones, and all in shuffled batches."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from alps_geo.clusters.passes import RowRange, map_rows, map_sources, row_ranges
from alps_geo.features.mapping import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.projection import Projection
    from alps_geo.features.columns import RowSource, Table
    from alps_geo.features.mapping import Mapper

_RUN_ROWS = 256
"""Rows that a shuffled batch takes in one piece."""


class _Picked(NamedTuple):
    """Some rows of a range, by their indexes within it, shape (n,)."""

    rows: RowRange
    within: NDArray[np.int64]


def sample_rows(
    projection: Projection,
    tables: Sequence[Table],
    size: int,
    rng: np.random.Generator,
    mapper: Mapper = HERE,
) -> NDArray[np.float64]:
    """Draw up to `size` of the projected rows of all tables, in their order; shape (n, P)."""
    total = sum(len(table) for table in tables)
    picked = np.sort(rng.choice(total, size, replace=False)) if total > size else np.arange(total)
    return picked_rows(projection, tables, picked, mapper)


def picked_rows(
    projection: Projection,
    tables: Sequence[Table],
    picked: NDArray[np.int64],
    mapper: Mapper = HERE,
) -> NDArray[np.float64]:
    """Project some rows, by their ascending indexes in all tables one after the other."""
    items, begin = [], 0
    for rows in row_ranges(tables):
        end = begin + rows.stop - rows.start
        items.append(_Picked(rows, picked[slice(*np.searchsorted(picked, [begin, end]))] - begin))
        begin = end
    return np.concatenate(
        [*map_sources(partial(_project_picked, projection), tables, items, mapper)]
    )


def shuffled_batches(
    projection: Projection,
    tables: Sequence[Table],
    size: int,
    rng: np.random.Generator,
    mapper: Mapper = HERE,
) -> Iterator[NDArray[np.float64]]:
    """Yield the projected rows of all tables once, in batches of `size` or a little more.

    Each batch is made of many short runs of rows from anywhere, which a disk reads well. The last
    batch takes the rest, so that none is small.
    """
    chosen = _shuffled_runs(tables, size, rng)
    return map_sources(partial(_project_runs, projection), tables, chosen, mapper)


def _shuffled_runs(
    tables: Sequence[Table], size: int, rng: np.random.Generator
) -> Iterator[list[RowRange]]:
    """Yield the runs of rows of each shuffled batch."""
    runs = [
        RowRange(index, start, min(start + _RUN_ROWS, len(table)))
        for index, table in enumerate(tables)
        for start in range(0, len(table), _RUN_ROWS)
    ]
    left = sum(len(table) for table in tables)
    batch: list[RowRange] = []
    rows = 0
    for position in rng.permutation(len(runs)):
        run = runs[position]
        batch.append(run)
        rows += run.stop - run.start
        left -= run.stop - run.start
        if (rows >= size and left >= size) or not left:
            yield batch
            batch, rows = [], 0


def ordered_batches(
    projection: Projection, tables: Sequence[Table], size: int, mapper: Mapper = HERE
) -> Iterator[NDArray[np.float64]]:
    """Yield the projected rows of all tables once, in their order, in batches of `size`.

    The last batch takes the rest, and may be small.
    """
    waiting: list[NDArray[np.float64]] = []
    count = 0
    for projected in map_rows(projection.project, tables, mapper):
        rows = projected
        while count + len(rows) >= size:
            yield np.concatenate([*waiting, rows[: size - count]])
            rows, waiting, count = rows[size - count :], [], 0
        waiting.append(rows)
        count += len(rows)
    if count:
        yield np.concatenate(waiting)


def _project_picked(
    projection: Projection, sources: Sequence[RowSource], picked: _Picked
) -> NDArray[np.float64]:
    columns = sources[picked.rows.table].read(picked.rows.start, picked.rows.stop)
    return projection.project(replace(columns, values=columns.values[picked.within]))


def _project_runs(
    projection: Projection, sources: Sequence[RowSource], runs: Sequence[RowRange]
) -> NDArray[np.float64]:
    """Project all runs of a table at once, for they are too short to be quick one by one."""
    projected = []
    for index in sorted({run.table for run in runs}):
        parts = [sources[index].read(run.start, run.stop) for run in runs if run.table == index]
        values = np.concatenate([part.values for part in parts])
        projected.append(projection.project(replace(parts[0], values=values)))
    return np.concatenate(projected)
