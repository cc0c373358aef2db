"""Blending of the stored probabilities of tiles into those of a scene, one core after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window, intersect, intersection

from alps_geo.errors import SceneError
from alps_geo.files.storage import AT_ONCE
from alps_geo.segments.kept_tiles import KeptTiles, expect
from alps_geo.tiles.contract import TaskError
from alps_geo.windows import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from alps_geo.events import Tally
    from alps_geo.grid import Tile
    from alps_geo.training.predict_stage import PredictJob, PredictStage, PredictWorker

_BYTES_HELD = 512 * 2**20
"""Bytes of tiles that are held at once."""

_FEWEST_HELD = 12
"""Tiles that are held at least: those around a core, and the next column of them."""

_ROWS = 128
"""Rows of a core that are blended at once."""

_MOST = 255


class StoredProbabilities:
    """Loader of the stored probabilities of tiles.

    A tile that failed has none. A tile whose file has been damaged since is predicted and stored
    again.

    Parameters
    ----------
    stage : PredictStage
        The stage that has stored them.
    tally : Tally
        Told when the network is loaded again.
    """

    def __init__(self, stage: PredictStage, tally: Tally) -> None:
        self._stage, self._tally = stage, tally

    def of(self, job: PredictJob) -> Callable[[Tile], NDArray[np.uint8] | None]:
        """Return a loader of the tiles of a scene, which holds as many as memory allows.

        Where it holds three rows of them each is read once, else three times.
        """
        classes = len(self._stage.model.classes)
        window = job.grid[0, 0].window
        room = _BYTES_HELD // int(classes * window.height * window.width)
        fetch = job.store.load if job.store.files.is_remote else None
        room -= 0 if fetch is None else AT_ONCE
        held = min(max(_FEWEST_HELD, room), 3 * job.grid.shape[1] + _FEWEST_HELD)
        return KeptTiles(partial(self._load, job), held, fetch)

    @cached_property
    def _worker(self) -> PredictWorker:
        return self._stage.load_with_note(self._tally)

    def _load(self, job: PredictJob, tile: Tile) -> NDArray[np.uint8] | None:
        found = job.store.load(tile)
        if found is None and not job.store.has_failed(tile):
            task = (self._stage.jobs.index(job), tile.row, tile.col)
            worker = self._worker
            try:
                found, _ = worker.compute(task, worker.read(task))
            except TaskError as error:
                raise SceneError(str(error)) from error
            worker.save(task, found)
        return found


@dataclass(frozen=True)
class Blended:
    """Probabilities of the classes of a part of a scene.

    Attributes
    ----------
    window : Window
        The part.
    probabilities : ndarray of float32, shape (k, H, W)
        Their sum is about 1, or 0 where there are none.
    """

    window: Window
    probabilities: NDArray[np.float32]

    def classes(self, ids: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        """Return the id of the most probable class of each pixel, of its ids; 0 for none."""
        best: NDArray[np.unsignedinteger] = ids[self.probabilities.argmax(axis=0)]
        best[~self._any] = 0
        return best

    def percent(self) -> NDArray[np.uint8]:
        """Return the probability of the most probable class, 1 to 100; 0 for none."""
        best = np.rint(100 * self.probabilities.max(axis=0)).clip(1, 100)
        return np.where(self._any, best, 0).astype(np.uint8)

    @cached_property
    def _any(self) -> NDArray[np.bool_]:
        return np.asarray(self.probabilities.any(axis=0))


@dataclass(frozen=True, eq=False)
class _Seen:
    """A tile that sees a core: its window, probabilities, and the weights of its pixels."""

    window: Window
    probabilities: NDArray[np.uint8]
    weights: NDArray[np.float32]


def blended(
    job: PredictJob, load: Callable[[Tile], NDArray[np.uint8] | None], classes: int
) -> Iterator[Blended]:
    """Blend the probabilities of tiles, by weights that fall to 0 at the edges of their windows.

    Memory holds the tiles that `load` holds and some rows of one core, whatever the scene.

    Parameters
    ----------
    job : PredictJob
        The scene.
    load : callable
        Loads the probabilities of a tile; None for one that failed.
    classes : int
        Number of classes.

    Yields
    ------
    Blended
        Parts that cover each pixel once.
    """
    expect(load, (each for tile in job.grid for each in job.grid.around(tile)))
    for tile in job.grid:
        seen = [
            _Seen(each.window, found, job.grid.weights(each).astype(np.float32))
            for each in job.grid.around(tile)
            if (found := load(each)) is not None
        ]
        core = tile.core
        for start in range(0, int(core.height), _ROWS):
            rows = min(_ROWS, int(core.height) - start)
            part = Window(core.col_off, core.row_off + start, core.width, rows)
            yield Blended(part, _mean(part, seen, classes))


def _mean(part: Window, tiles: list[_Seen], classes: int) -> NDArray[np.float32]:
    """Average the tiles that see a part, by their weights; pixels without data weigh nothing."""
    shape = int(part.height), int(part.width)
    total, sums = np.zeros(shape, np.float32), np.zeros((classes, *shape), np.float32)
    for tile in tiles:
        if not intersect(part, tile.window):
            continue
        common = intersection(part, tile.window)
        here, there = within(common, part), within(common, tile.window)
        found = tile.probabilities[:, *there]
        weights = np.where(found.any(axis=0), tile.weights[there], np.float32(0))
        sums[:, *here] += found * weights
        total[here] += weights
    return np.asarray(sums / (np.maximum(total, np.float32(1e-12)) * _MOST))
