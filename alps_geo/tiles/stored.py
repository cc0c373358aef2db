"""Fragments of tiles as the tile stage has stored them."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, TypeVar

from alps_geo.segments.fragments import failed_fragments
from alps_geo.tiles.stage import read_filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from alps_geo.events import Tally
    from alps_geo.features.embeddings import Embeddings
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.segments.fragments import Fragments, Outlines
    from alps_geo.tiles.jobs import Job
    from alps_geo.tiles.stage import TileStage, TileWorker

Value = TypeVar("Value")


class StoredTiles:
    """Loaders of stored outlines and embeddings.

    A tile that failed has none. A tile with a file that has been damaged since is computed and
    stored again, so that further passes find it.

    Parameters
    ----------
    stage : TileStage
        The stage that has stored them.
    tally : Tally
        Told when models are loaded again.
    """

    def __init__(self, stage: TileStage, tally: Tally) -> None:
        self._stage = stage
        self._tally = tally

    def outlines(self, job: Job) -> Callable[[Tile], Outlines]:
        """Loader of a scene's outlines that keeps two rows of tiles."""

        def load(tile: Tile) -> Outlines:
            # Outlines of a tile without fragments are stored, and empty.
            stored = job.store.load_outlines(tile)
            return self._redo(job, tile) if stored is None else stored

        return keep_rows(job.grid, load)

    def embeddings(self, job: Job) -> Callable[[Tile], Embeddings]:
        """Loader of a scene's embeddings that keeps two rows of tiles."""

        def load(tile: Tile) -> Embeddings:
            stored = job.store.load_embeddings(tile)
            return self._redo(job, tile).embeddings if stored is None else stored

        return keep_rows(job.grid, load)

    @cached_property
    def _worker(self) -> TileWorker:
        return self._stage.load_with_note(self._tally)

    def _redo(self, job: Job, tile: Tile) -> Fragments:
        if job.store.has_failed(tile):
            return failed_fragments(tile, len(job.scene.band_names))
        fragments = self._worker.fragments(job, tile, read_filled(job.scene, tile.window))
        job.store.save(tile, fragments)
        return fragments


def keep_rows(grid: TileGrid, load: Callable[[Tile], Value]) -> Callable[[Tile], Value]:
    """Load each tile once as the grid is scanned with a look at the neighbours of each tile.

    Keeps every tile of the neighbourhood, which is 3 x 3, and so 2 * cols + 3 tiles. The last row
    and column are moved inwards; where tiles overlap by half, they reach one row or column further.
    A tile further back is not asked for again before the next scan, while the least recently used
    one may well be: so this is no LRU cache.

    Parameters
    ----------
    grid : TileGrid
        The tiles.
    load : callable
        Loads one.
    """
    rows, cols = grid.shape
    high = _extent((tile.row, other.row) for tile, other in _pairs(grid, rows, 1))
    wide = _extent((tile.col, other.col) for tile, other in _pairs(grid, 1, cols))
    reach = high * cols + wide
    kept: dict[int, Value] = {}

    def kept_load(tile: Tile) -> Value:
        index = grid.index(tile)
        if index not in kept:
            for far in [other for other in kept if abs(other - index) > reach]:
                del kept[far]
            kept[index] = load(tile)
        return kept[index]

    return kept_load


def _pairs(grid: TileGrid, rows: int, cols: int) -> Iterator[tuple[Tile, Tile]]:
    """Yield tiles of the first rows and columns, each with every tile that reaches its core."""
    for row, col in product(range(rows), range(cols)):
        for other in grid.around(grid[row, col]):
            yield grid[row, col], other


def _extent(pairs: Iterable[tuple[int, int]]) -> int:
    """Return how far positions lie before and after those next to them, added up; 2 as a rule."""
    steps = [other - position for position, other in pairs]
    return max(1, max(steps)) - min(-1, min(steps))
