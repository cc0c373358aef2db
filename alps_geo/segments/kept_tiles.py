"""Loader of tiles that keeps those that were asked for last, and fetches the next ahead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from alps_geo.files.storage import AT_ONCE
from alps_geo.segments.blocks import KEPT_TILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from alps_geo.grid import Tile, TileGrid

Value = TypeVar("Value")

_Position = tuple[int, int]

_AHEAD = AT_ONCE - 1
"""Tiles that are fetched ahead, next to the one that was asked for."""


class KeptTiles(Generic[Value]):
    """Loader that keeps the tiles that were asked for last.

    It goes to another process without them.

    Parameters
    ----------
    load : callable
        Loads a tile.
    count : int
        Tiles to keep. By default enough for a scan block by block, with a look at the neighbours
        of each tile, to load each tile about once for each block that it lies in or next to.
    fetch : callable, optional
        Fetches a tile from far away, in threads; None if it is absent, and `load` has to make it.
        Tiles that are expected are then fetched ahead, a few at the same time.
    """

    def __init__(
        self,
        load: Callable[[Tile], Value],
        count: int = KEPT_TILES,
        fetch: Callable[[Tile], Value | None] | None = None,
    ) -> None:
        self._load, self._count, self._fetch = load, count, fetch
        self._kept: dict[_Position, Value] = {}
        self._ahead: dict[_Position, Future[Value | None]] = {}
        self._expected: Iterator[Tile] = iter(())
        self._threads: ThreadPoolExecutor | None = None

    def __reduce__(self) -> tuple[type[KeptTiles[Value]], tuple[object, ...]]:
        """Leave the kept tiles behind."""
        return type(self), (self._load, self._count, self._fetch)

    def expect(self, tiles: Iterable[Tile]) -> None:
        """Note tiles that will be asked for next, in this order, if any tile is.

        Nothing is fetched before the first that is not kept is asked for.
        """
        while self._ahead:
            self._ahead.popitem()[1].cancel()
        self._expected = iter(tiles)

    def __call__(self, tile: Tile) -> Value:
        """Return a tile, kept, fetched ahead, or loaded now."""
        place = tile.row, tile.col
        if place in self._kept:
            value = self._kept.pop(place)
        else:
            if len(self._kept) >= self._count:
                del self._kept[next(iter(self._kept))]
            found = None if self._fetch is None else self._fetched(self._fetch, tile)
            value = self._load(tile) if found is None else found
        # The last that was asked for is the last to go.
        self._kept[place] = value
        return value

    def _fetched(self, fetch: Callable[[Tile], Value | None], tile: Tile) -> Value | None:
        """Fetch a tile, while those that are expected next are on their way."""
        place = tile.row, tile.col
        threads = self._threads = self._threads or ThreadPoolExecutor(AT_ONCE)
        if place in self._ahead:
            # Those before it were passed over.
            while (first := next(iter(self._ahead))) != place:
                self._ahead.pop(first).cancel()
        future = self._ahead.pop(place, None) or threads.submit(fetch, tile)
        while len(self._ahead) < _AHEAD and (following := next(self._expected, None)):
            key = following.row, following.col
            if key != place and key not in self._kept and key not in self._ahead:
                self._ahead[key] = threads.submit(fetch, following)
        return future.result()


def expect(load: Callable[[Tile], Value], tiles: Iterable[Tile]) -> None:
    """Tell a loader which tiles will be asked for next, in which order, if it wants to know."""
    if isinstance(load, KeptTiles):
        load.expect(tiles)


def with_those_after(grid: TileGrid, tiles: Iterable[Tile]) -> Iterator[Tile]:
    """Yield each of some tiles, and its neighbours to the right and below."""
    return (each for tile in tiles for each in (tile, *grid.after(tile)))
