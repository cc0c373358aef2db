"""The work on one tile: from its pixels to stored fragments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from alps_geo.scene import fill_invalid, read_tile
from alps_geo.tiles.contract import load_with_note, retry_once
from alps_geo.tiles.cutter import Cutter, CuttingWorker, tile_image
from alps_geo.tiles.jobs import Job, TileTasks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from rasterio.windows import Window

    from alps_geo.events import Tally
    from alps_geo.grid import Tile
    from alps_geo.masks.generator import Models, TileImage
    from alps_geo.scene import Scene, TilePixels
    from alps_geo.segments.fragments import Fragments
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.contract import Outcome
    from alps_geo.tiles.jobs import Task


@dataclass(frozen=True)
class TileStage(TileTasks[Job]):
    """Tiles, settings and unloaded models of a stage; can be pickled.

    Attributes
    ----------
    jobs : sequence of Job
        The scenes.
    settings : LabelSettings
        The run's settings.
    models : Models
        The mask generator and the backbone.
    """

    settings: LabelSettings
    models: Models

    def load(self) -> TileWorker:
        """Load the models.

        Raises
        ------
        ModelError
            If a model cannot be used, or memory does not suffice for it.
        """
        return TileWorker(Cutter.load(self.models, self.settings), self)

    def load_with_note(self, tally: Tally) -> TileWorker:
        """Load the models, and tell the user so."""
        return load_with_note(self.load, self.models.generator.name, tally)


@dataclass(frozen=True, eq=False)
class TileWorker(CuttingWorker):
    """The tile stage with its models loaded; each process has its own.

    Attributes
    ----------
    stage : TileStage
        Scenes and settings.
    """

    stage: TileStage

    def read(self, task: Task) -> TilePixels:
        """Read a tile's pixels.

        Raises
        ------
        TaskError
            If they cannot be read, or memory does not suffice twice.
        """
        job, tile = self.stage.find(task)
        return retry_once(partial(read_filled, job.scene, tile.window))

    def encode(self, tiles: Sequence[tuple[Task, TilePixels]]) -> Sequence[Any]:
        """Encode the images of tiles together, each as `compute` would alone.

        None stands for a tile without data.

        Raises
        ------
        MemoryError
            If memory does not suffice for one of them.
        """
        images: list[TileImage | None] = []
        for task, pixels in tiles:
            job, tile = self.stage.find(task)
            has_data = pixels.valid.any()
            images.append(tile_image(job.scene, tile, pixels) if has_data else None)
        return self.encoded(images)

    def compute(
        self, task: Task, pixels: TilePixels, encoded: Any = None
    ) -> tuple[Fragments, Outcome]:
        """Find a tile's fragments.

        Parameters
        ----------
        task : Task
            The tile.
        pixels : TilePixels
            From `read`.
        encoded : optional
            From `encode`, if the image has been encoded already.

        Raises
        ------
        TaskError
            If memory does not suffice twice.
        """
        job, tile = self.stage.find(task)
        fragments = retry_once(partial(self.fragments, job, tile, pixels, encoded))
        return fragments, self.outcome(self.stage.settings, pixels.valid)

    def save(self, task: Task, fragments: Fragments) -> None:
        """Store a tile's fragments."""
        job, tile = self.stage.find(task)
        job.store.save(tile, fragments)

    def fragments(self, job: Job, tile: Tile, pixels: TilePixels, encoded: Any = None) -> Fragments:
        """Find the fragments of a tile, whose image may have been encoded already."""
        return self.cutter.fragments(job, tile, pixels, encoded)


def read_filled(scene: Scene, window: Window) -> TilePixels:
    """Read pixels, with invalid pixels of the image filled."""
    pixels = read_tile(scene, window)
    return replace(pixels, image=fill_invalid(pixels.image, pixels.valid))
