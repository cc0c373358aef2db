"""Maps of functions over items, here or in several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")


class Mapper(Protocol):
    """Applies functions to items: the part of an executor that work after the tiles needs."""

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Apply the function that `prepare` returns to items.

        Parameters
        ----------
        prepare : callable
            Called once wherever items are worked on. It pickles, and so do items and results.
        items : iterable
            Drawn only a bounded number ahead of the results.

        Yields
        ------
        Result
            That of each item, in the order of the items.

        Raises
        ------
        AlpsGeoError
            As the function raised it, or if no process can work on an item.
        """
        ...


class _Here:
    """Maps in this process."""

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        work = prepare()
        for item in items:
            yield work(item)


HERE: Mapper = _Here()
"""Maps in this process, one item after the other; nothing has to pickle."""
