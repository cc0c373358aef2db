"""Passes over the rows of tables, a range of rows at a time, here or in several processes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from alps_geo.clusters.threads import one_thread
from alps_geo.features import columns
from alps_geo.features.mapping import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from alps_geo.features.columns import Columns, RowSource, Table
    from alps_geo.features.mapping import Mapper

Item = TypeVar("Item")
Result = TypeVar("Result")


class RowRange(NamedTuple):
    """Rows of one table that are read in one piece, half-open."""

    table: int
    start: int
    stop: int


def row_ranges(tables: Sequence[Table]) -> list[RowRange]:
    """List the batches of all tables, one table after the other."""
    return [
        RowRange(index, start, stop)
        for index, table in enumerate(tables)
        for start, stop in columns.batch_rows(len(table))
    ]


def map_rows(
    work: Callable[[Columns], Result], tables: Sequence[Table], mapper: Mapper
) -> Generator[Result, None, None]:
    """Apply a function to the columns of each of `row_ranges`, in their order.

    Parameters
    ----------
    work : callable
        Pickles, as its results do.
    tables : sequence of Table
        The tables.
    mapper : Mapper
        See `map_sources`.
    """
    return map_sources(partial(_on_range, work), tables, row_ranges(tables), mapper)


def map_sources(
    work: Callable[[Sequence[RowSource], Item], Result],
    tables: Sequence[Table],
    items: Iterable[Item],
    mapper: Mapper,
) -> Generator[Result, None, None]:
    """Apply a function to the rows of tables and each of some items, in the order of the items.

    Every result is made in one thread, and so it has the same bits wherever that is.

    Parameters
    ----------
    work : callable
        Takes the rows of all tables and an item. It pickles, as items and results do.
    tables : sequence of Table
        The tables.
    items : iterable
        The items.
    mapper : Mapper
        Maps the work. Tables of few rows are worked on in this process, which is sooner done than
        to start others.
    """
    are_few = sum(map(len, tables)) <= columns.BATCH_ROWS
    prepare = partial(_prepared, work, [table.source for table in tables])
    return (HERE if are_few else mapper).map(prepare, items)


def _on_range(
    work: Callable[[Columns], Result], sources: Sequence[RowSource], rows: RowRange
) -> Result:
    return work(sources[rows.table].read(rows.start, rows.stop))


def _prepared(
    work: Callable[[Sequence[RowSource], Item], Result], sources: Sequence[RowSource]
) -> Callable[[Item], Result]:
    def do(item: Item) -> Result:
        with one_thread():
            return work(sources, item)

    return do
