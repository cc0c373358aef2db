"""Scenes of a run with their tiles, and the key under which tiles are stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from rasterio.windows import Window

from alps_geo.features.images import band_scale
from alps_geo.runs.failures import FailedTile
from alps_geo.runs.identity import fingerprint, scene_identity
from alps_geo.runs.tile_store import ARRAYS
from alps_geo.scene import read_overview, read_tile
from alps_geo.scene.raster import absolute_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from alps_geo.features.images import BandScale
    from alps_geo.files.storage import Storage
    from alps_geo.files.stored import StoredFiles
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.masks.generator import Weights
    from alps_geo.runs.tile_store import TileStore
    from alps_geo.scene import Scene
    from alps_geo.settings import LabelSettings

    Task = tuple[int, int, int]
    """Index of the scene in the run, and (row, col) of the tile in its grid."""

TILE_STAGE_VERSION = 12
"""Raised whenever tiles have other fragments or files, so that stored ones are redone."""

SCALE_SIDE = 1024
"""Longest side, in pixels, of the overview that level and spread of the bands are measured on."""


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
        Stored fragments of its tiles.
    """

    name: str
    scene: Scene
    grid: TileGrid
    store: TileStore

    def shipped(self) -> Job:
        """Return the scene with absolute paths, for processes that were started elsewhere."""
        return replace(self, scene=absolute_scene(self.scene), store=absolute_store(self.store))

    def check(self) -> None:
        """Check that the scene can be read; raise SceneError if not."""
        read_tile(self.scene, Window(0, 0, 1, 1))

    @cached_property
    def scale(self) -> BandScale:
        """Level and spread of the scene's bands."""
        return band_scale(read_overview(self.scene, SCALE_SIDE))


class _Store(Protocol):
    """Stored files of the tiles of one scene."""

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        ...

    @property
    def files(self) -> Storage:
        """Storage of the files."""
        ...

    def holds(self, tile: Tile) -> bool:
        """Return True if all that a tile needs is stored."""
        ...

    def held(self) -> Callable[[Tile], bool]:
        """Return a test of many tiles that is as `holds` was when this was called."""
        ...

    def fail(self, failed: FailedTile, tile: Tile) -> None:
        """Note why a tile failed."""
        ...

    def forget_failures(self, tiles: Iterable[Tile]) -> None:
        """Remove the notes of failures of tiles."""
        ...


class TiledScene(Protocol):
    """A scene of a stage whose tasks are tiles."""

    @property
    def name(self) -> str:
        """The scene's folder in the run folder."""
        ...

    @property
    def grid(self) -> TileGrid:
        """Its tiles."""
        ...

    @property
    def store(self) -> _Store:
        """Stored files of its tiles."""
        ...

    def shipped(self) -> Self:
        """Return the scene with absolute paths, for processes that were started elsewhere."""
        ...

    def check(self) -> None:
        """Check that the scene can be read; raise SceneError if not."""
        ...


AnyJob = TypeVar("AnyJob", bound=TiledScene)
AnyStore = TypeVar("AnyStore", bound="StoredFiles[Any]")

_MOST_CHECKED = 100
"""Scenes that other machines open before they begin; of more, the others show in their tiles."""


def absolute_scene(scene: Scene) -> Scene:
    """Return a scene with an absolute path, if it is a local file."""
    return replace(scene, path=absolute_path(scene.path))


def absolute_store(store: AnyStore) -> AnyStore:
    """Return stored files with an absolute path."""
    return replace(store, folder=store.folder.absolute())


@dataclass(frozen=True)
class TileTasks(Generic[AnyJob]):
    """Base of stages whose tasks are the tiles of scenes.

    Attributes
    ----------
    jobs : sequence of TiledScene
        The scenes.
    """

    jobs: Sequence[AnyJob]

    def tasks(self) -> Iterator[Task]:
        """Yield all tiles in their order."""
        for index, job in enumerate(self.jobs):
            for tile in job.grid:
                yield index, tile.row, tile.col

    def is_stored(self, task: Task) -> bool:
        """Return True if the result of a tile is stored."""
        job, tile = self.find(task)
        return job.store.holds(tile)

    def stored(self) -> Callable[[Task], bool]:
        """Return a test of many tiles that is as `is_stored` was when this was called."""
        held = [job.store.held() for job in self.jobs]
        return lambda task: held[task[0]](self.find(task)[1])

    def find(self, task: Task) -> tuple[AnyJob, Tile]:
        """Look up the scene and the tile of a task."""
        index, row, col = task
        return self.jobs[index], self.jobs[index].grid[row, col]

    @property
    def shared(self) -> Storage:
        """Storage of the tiles of the first scene, which all machines at work have to see."""
        return self.jobs[0].store.files

    def shipped(self) -> Self:
        """Return the stage with absolute paths, for processes that were started elsewhere."""
        return replace(self, jobs=[job.shipped() for job in self.jobs])

    def check(self) -> None:
        """Check that the first scenes can be read; raise SceneError if one cannot."""
        for job in self.jobs[:_MOST_CHECKED]:
            job.check()

    def scene_of(self, task: Task) -> str:
        """Return the name of the scene that a tile is of."""
        return self.jobs[task[0]].name

    def title_of(self, task: Task) -> str:
        """Return the place of a tile in the grid of its scene."""
        return f"tile at row {task[1]}, column {task[2]}"

    def failure(self, task: Task, reason: str) -> FailedTile:
        """Describe the failure of a tile."""
        job, tile = self.find(task)
        return FailedTile.of(job.name, tile, reason)

    def note_failure(self, task: Task, reason: str) -> None:
        """Note the failure of a tile in the run folder.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        job, tile = self.find(task)
        job.store.fail(FailedTile.of(job.name, tile, reason), tile)

    def forget_failures(self, tasks: Iterable[Task]) -> None:
        """Remove the notes of failures of tiles, as far as there are any."""
        for index, those in groupby(tasks, key=itemgetter(0)):
            job = self.jobs[index]
            job.store.forget_failures([self.find(task)[1] for task in those])


def tile_key(scene: Scene, grid: TileGrid, settings: LabelSettings, weights: Weights) -> str:
    """Fingerprint of all that decides the fragments of a scene's tiles but their position."""
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
