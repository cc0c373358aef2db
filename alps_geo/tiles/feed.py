"""Items that wait for a worker, and results that wait for their turn."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


class Feed(Generic[Item]):
    """Items that no worker has: those to be given again, and those that never were.

    Parameters
    ----------
    items : iterable
        The items; taken from it as they are needed.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._again: deque[tuple[int, Item]] = deque()
        self._fresh = enumerate(items)
        self._following = next(self._fresh, None)

    def __bool__(self) -> bool:
        return bool(self._again) or self._following is not None

    def take(self, before: int | None = None) -> tuple[int, Item] | None:
        """Return an item with its index; None if there is none.

        Parameters
        ----------
        before : int, optional
            Limit of the index.
        """
        if self._again:
            return self._again.popleft()
        if self._following is None or (before is not None and self._following[0] >= before):
            return None
        taken, self._following = self._following, next(self._fresh, None)
        return taken

    def put_back(self, items: Iterable[tuple[int, Item]]) -> None:
        """Take back items with their indices, to be given again before all others."""
        self._again.extend(sorted(items, key=lambda item: item[0]))


class InOrder(Generic[Result]):
    """Results that come in any order, and are handed on in that of their indices."""

    def __init__(self) -> None:
        self._held: dict[int, Result] = {}
        self.following = 0

    def add(self, index: int, result: Result) -> Iterator[Result]:
        """Add a result, and yield all whose turn has come."""
        self._held[index] = result
        while self.following in self._held:
            yield self._held.pop(self.following)
            self.following += 1
