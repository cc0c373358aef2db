"""The tile stage: from the pixels of each tile to its fragments, each tile once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import rasterio

from alps_geo import sam
from alps_geo.errors import SceneError
from alps_geo.features.images import band_scale
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.runs.failures import FailedTile
from alps_geo.runs.identity import fingerprint, scene_identity
from alps_geo.runs.tile_store import ARRAYS
from alps_geo.scene import fill_invalid, read_overview, read_tile
from alps_geo.segments.fragments import FragmentRules, cut_fragments, failed_fragments, no_fragments
from alps_geo.tiles.processes import Lost, in_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.events import Tally
    from alps_geo.features.embeddings import Embeddings
    from alps_geo.features.images import BandScale
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.runs.tile_store import TileStore
    from alps_geo.sam.model import Embedding
    from alps_geo.sam.weights import Weights
    from alps_geo.scene import Scene, TilePixels
    from alps_geo.segments.fragments import Fragments, Outlines
    from alps_geo.settings import LabelSettings

    Task = tuple[int, int, int]
    """Position of the scene in the run, and of the tile in its grid: row, col."""

Value = TypeVar("Value")

TILE_STAGE_VERSION = 9
"""Raised whenever the same inputs give a tile other fragments, so that stored ones are redone."""

SCALE_SIDE = 1024
"""Longest side, in pixels, of the look at a scene that tells level and spread of its bands."""


@dataclass(frozen=True)
class Job:
    """One scene of a run.

    Attributes
    ----------
    name : str
        The scene's folder in the run folder.
    scene : Scene
        The scene.
    grid : TileGrid
        Its tiles.
    store : TileStore
        Where their fragments lie.
    """

    name: str
    scene: Scene
    grid: TileGrid
    store: TileStore

    @cached_property
    def scale(self) -> BandScale:
        """Level and spread of the scene's bands."""
        return band_scale(read_overview(self.scene, SCALE_SIDE))


def tile_key(scene: Scene, grid: TileGrid, settings: LabelSettings, weights: Weights) -> str:
    """Identify all that the fragments of a scene's tiles depend on, but for the tile's place."""
    return fingerprint(
        {
            "version": TILE_STAGE_VERSION,
            "arrays": ARRAYS,
            "scene": scene_identity(scene),
            "grid": asdict(grid),
            "model": weights.sam,
            "backbone_weights": weights.backbone,
            **settings.tile_values(),
        }
    )


def label_tiles(
    jobs: Sequence[Job], settings: LabelSettings, tally: Tally, *, strict: bool
) -> list[FailedTile]:
    """Store the fragments of every tile that is not stored yet.

    Parameters
    ----------
    jobs : sequence of Job
        The scenes.
    settings : LabelSettings
        ``workers`` of them is the number of processes.
    tally : Tally
        Counts the tiles.
    strict : bool
        Whether to stop at the first tile that fails.

    Returns
    -------
    list of FailedTile
        Tiles that cannot be read, or that memory did not suffice for twice, by scene and place.

    Raises
    ------
    AlpsGeoError
        If the model or the run folder cannot be used, if no tile at all can be labelled, or, if
        `strict`, if one cannot.
    """
    failures: dict[Task, str] = {}
    with closing(_outcomes(jobs, settings, tally)) as outcomes:
        for task, outcome in outcomes:
            job, tile = _find(jobs, task)
            if outcome.reason is not None:
                failures[task] = outcome.reason
                job.store.fail(FailedTile.of(job.name, tile, outcome.reason), tile)
                if strict:
                    kept = "stopped there, as --strict says; tiles that are done are kept"
                    raise SceneError(f"{outcome.reason} ({kept})")
            tally.count(job.name, computed=outcome.computed)
    failed = [
        FailedTile.of(job.name, tile, failures[task])
        for task in sorted(failures)
        for job, tile in [_find(jobs, task)]
    ]
    if failed and len(failed) == sum(len(job.grid) for job in jobs):
        more = f" (and so with all {len(failed)} tiles)" if len(failed) > 1 else ""
        raise SceneError(f"{failed[0].reason}{more}")
    return failed


class StoredTiles:
    """The fragments of tiles, after the tile stage.

    A tile that failed has none. Should a file have been damaged since, its tile is worked on again.
    """

    def __init__(self, jobs: Sequence[Job], settings: LabelSettings, tally: Tally) -> None:
        self._work = _TileWork(jobs, settings, tally)

    def outlines(self, job: Job) -> Callable[[Tile], Outlines]:
        """Give a function that loads outlines of a scene, and keeps two rows of them."""

        def load(tile: Tile) -> Outlines:
            # Those of a tile without fragments are there, and empty.
            stored = job.store.load_outlines(tile)
            return self._redo(job, tile) if stored is None else stored

        return keep_rows(job.grid, load)

    def embeddings(self, job: Job) -> Callable[[Tile], Embeddings]:
        """Give a function that loads embeddings of a scene, and keeps two rows of them."""

        def load(tile: Tile) -> Embeddings:
            stored = job.store.load_embeddings(tile)
            return self._redo(job, tile).embeddings if stored is None else stored

        return keep_rows(job.grid, load)

    def _redo(self, job: Job, tile: Tile) -> Fragments:
        if job.store.has_failed(tile):
            return failed_fragments(tile, len(job.scene.band_names))
        return self._work.fragments(job, tile, _read_filled(job.scene, tile.window))


def keep_rows(grid: TileGrid, load: Callable[[Tile], Value]) -> Callable[[Tile], Value]:
    """Load each tile once whenever the grid is gone through in order, with a look at neighbours.

    Two rows of tiles and three more are held: from the tile up left of that at work to the one down
    right of it. Whatever lies further back is not asked for again before the next time through; the
    tile that was used least recently may well be, so that is not what goes.

    Parameters
    ----------
    grid : TileGrid
        The tiles.
    load : callable
        Loads one.
    """
    reach = 2 * grid.shape[1] + 2
    kept: dict[int, Value] = {}

    def kept_load(tile: Tile) -> Value:
        index = grid.index(tile)
        if index not in kept:
            for far in [other for other in kept if abs(other - index) > reach]:
                del kept[far]
            kept[index] = load(tile)
        return kept[index]

    return kept_load


@dataclass(frozen=True)
class _Outcome:
    """Outcome of the work on a tile.

    Attributes
    ----------
    computed : bool
        Whether it took a pass through SAM.
    reason : str or None
        Why it failed, if it did.
    """

    computed: bool
    reason: str | None = None


class _TileError(Exception):
    """A tile that has failed, for the reason that is the message."""


class _TileWork:
    """Worker on tiles; each process has its own, with its own model."""

    def __init__(self, jobs: Sequence[Job], settings: LabelSettings, tally: Tally | None) -> None:
        self._jobs = jobs
        self._settings = settings
        self._tally = tally

    def __call__(self, task: Task) -> _Outcome:
        """Do all the work on a tile."""
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
            try:
                fragments, outcome = self.compute(task, self.read(task))
            except _TileError as error:
                return _Outcome(computed=False, reason=str(error))
        self.save(task, fragments)
        return outcome

    def read(self, task: Task) -> TilePixels:
        """Read a tile's pixels."""
        job, tile = _find(self._jobs, task)
        return _twice(partial(_read_filled, job.scene, tile.window))

    def compute(
        self, task: Task, pixels: TilePixels, embedding: Embedding | None = None
    ) -> tuple[Fragments, _Outcome]:
        """Return a tile's fragments, and whether that took a pass through SAM."""
        job, tile = _find(self._jobs, task)
        fragments = _twice(partial(self.fragments, job, tile, pixels, embedding))
        return fragments, _Outcome(computed=bool(pixels.valid.any()))

    def save(self, task: Task, fragments: Fragments) -> None:
        """Store a tile's fragments."""
        job, tile = _find(self._jobs, task)
        job.store.save(tile, fragments)

    def fragments(
        self, job: Job, tile: Tile, pixels: TilePixels, embedding: Embedding | None = None
    ) -> Fragments:
        """Find the fragments of a tile, whose image may have been encoded already."""
        if not pixels.valid.any():
            return no_fragments(pixels.valid.shape, len(pixels.bands))
        with sam.memory_errors():
            masks = sam.generate_masks(
                self.model, pixels.image, self._settings.mask_settings, pixels.valid, embedding
            )
            if not self._settings.is_raw:
                placeless = sam.without_place(masks.embedding, self._place)
                masks = replace(masks, embedding=placeless)
            dense = None if self.dense is None else self.dense.encode(pixels.image)
        return cut_fragments(
            job.grid,
            tile,
            pixels,
            masks,
            job.scale,
            FragmentRules(self._settings.mask_area_gate, fill=self._settings.fills),
            backbone=dense,
        )

    @cached_property
    def model(self) -> sam.SamModel:
        """The model, loaded when it is first needed."""
        settings = self._settings
        if self._tally is not None:
            self._tally.tell(f"load {settings.model}")
        model = sam.load_model(
            settings.model, settings.checkpoint, settings.device, settings.precision
        )
        if self._tally is not None:
            self._tally.tell("tiles")
        return model

    @cached_property
    def dense(self) -> sam.DenseModel | None:
        """The other backbone, if one is wanted, loaded when it is first needed."""
        settings = self._settings
        if settings.backbone is None:
            return None
        return sam.load_dense(settings.backbone, settings.timm_checkpoint, settings.device)

    @cached_property
    def _place(self) -> NDArray[np.float64]:
        return sam.place_directions(self.model)


def _outcomes(
    jobs: Sequence[Job], settings: LabelSettings, tally: Tally
) -> Generator[tuple[Task, _Outcome], None, None]:
    """Do what is left to do; tiles that are stored come first."""
    left: list[Task] = []
    for index, job in enumerate(jobs):
        for tile in job.grid:
            if job.store.holds(tile):
                yield (index, tile.row, tile.col), _Outcome(computed=False)
            else:
                left.append((index, tile.row, tile.col))
    if not left:
        return
    tally.tell("tiles")
    if settings.workers == 1:
        yield from _overlapped(_TileWork(jobs, settings, tally), left)
        return
    prepare = partial(_begin_work, jobs, settings)
    with closing(in_processes(prepare, left, settings.workers)) as results:
        for task, result in results:
            yield task, _lost(result) if isinstance(result, Lost) else result


def _begin_work(jobs: Sequence[Job], settings: LabelSettings) -> Callable[[Task], _Outcome]:
    """Ready a process for its tasks."""
    work = _TileWork(jobs, settings, tally=None)
    # Loaded at once, so that a lack of memory for it shows before any tile is blamed.
    _ = work.model, work.dense
    return work


def _lost(lost: Lost) -> _Outcome:
    reason = (
        f"the process at work on it died twice ({lost.cause}), perhaps for lack of memory: "
        "use fewer --workers or a smaller --tile-size"
    )
    return _Outcome(computed=False, reason=reason)


def _overlapped(
    work: _TileWork, tasks: Sequence[Task]
) -> Generator[tuple[Task, _Outcome], None, None]:
    """Do tasks in this process, while the next tiles are read and the last one written.

    Tiles come in groups that are encoded together: of one but on a GPU.
    """
    size = work.model.images_at_once
    groups = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        coming = [reader.submit(work.read, task) for task in groups[0]]
        written: Future[tuple[Task, _Outcome]] | None = None
        for group, following in zip(groups, (*groups[1:], ()), strict=True):
            read, coming = coming, [reader.submit(work.read, task) for task in following]
            embeddings = _encode_together(work, read) if size > 1 else [None]
            for task, pixels, embedding in zip(group, read, embeddings, strict=True):
                try:
                    fragments, outcome = work.compute(task, pixels.result(), embedding)
                except _TileError as error:
                    yield task, _Outcome(computed=False, reason=str(error))
                    continue
                if written is not None:
                    yield written.result()
                written = writer.submit(_save, work, task, fragments, outcome)
        if written is not None:
            yield written.result()


def _encode_together(work: _TileWork, read: Sequence[Future[TilePixels]]) -> list[Embedding | None]:
    """Encode those of some tiles that could be read and have data; None for the others.

    None for all if memory doesn't suffice: then each is tried by itself.
    """
    images = {
        place: pixels.result().image
        for place, pixels in enumerate(read)
        if pixels.exception() is None and pixels.result().valid.any()
    }
    found = {}
    with suppress(MemoryError):
        found = dict(zip(images, work.model.encode_many(list(images.values())), strict=True))
    return [found.get(place) for place in range(len(read))]


def _save(
    work: _TileWork, task: Task, fragments: Fragments, outcome: _Outcome
) -> tuple[Task, _Outcome]:
    work.save(task, fragments)
    return task, outcome


def _read_filled(scene: Scene, window: Window) -> TilePixels:
    """Read pixels, with an image in which no collar shows."""
    pixels = read_tile(scene, window)
    return replace(pixels, image=fill_invalid(pixels.image, pixels.valid))


def _twice(step: Callable[[], Value]) -> Value:
    """Take a step, and once more if memory does not suffice.

    Raises
    ------
    _TileError
        If it does not suffice again, or if the scene cannot be read.
    """
    # Only after the handler is the failed attempt's memory free again.
    with suppress(MemoryError):
        return _once(step)
    try:
        return _once(step)
    except MemoryError as error:
        raise _TileError(
            f"memory does not suffice ({error}): "
            "free some, or use fewer --workers or a smaller --tile-size"
        ) from error


def _once(step: Callable[[], Value]) -> Value:
    """Take a step; make an unreadable scene our own error."""
    try:
        return step()
    except SceneError as error:
        raise _TileError(str(error)) from error


def _find(jobs: Sequence[Job], task: Task) -> tuple[Job, Tile]:
    index, row, col = task
    return jobs[index], jobs[index].grid[row, col]
