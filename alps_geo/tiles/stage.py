"""The work on one tile: from its pixels to stored fragments."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import rasterio

from alps_geo.errors import SceneError
from alps_geo.features.embeddings import Embeddings
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.masks.generator import TileImage, check_tile
from alps_geo.scene import fill_invalid, read_tile
from alps_geo.segments.fragments import FragmentRules, cut_fragments, no_fragments
from alps_geo.tiles.jobs import find_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rasterio.windows import Window

    from alps_geo.events import Tally
    from alps_geo.grid import Tile
    from alps_geo.masks.generator import LoadedBackbone, MaskModel, Models
    from alps_geo.scene import Scene, TilePixels
    from alps_geo.segments.fragments import Fragments
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.jobs import Job, Task

Value = TypeVar("Value")


@dataclass(frozen=True)
class Outcome:
    """Outcome of the work on a tile.

    Attributes
    ----------
    computed : bool
        Whether the mask generator was run.
    reason : str or None
        Why the tile failed, if it did.
    """

    computed: bool
    reason: str | None = None


class TileError(Exception):
    """A tile that has failed; the message is the reason."""


@dataclass(frozen=True)
class TileStage:
    """Everything that the work on tiles takes, before models are loaded; it pickles.

    Attributes
    ----------
    jobs : sequence of Job
        The scenes.
    settings : LabelSettings
        The run's settings.
    models : Models
        The mask generator and the backbone.
    """

    jobs: Sequence[Job]
    settings: LabelSettings
    models: Models

    def load(self) -> TileWorker:
        """Load the models.

        Raises
        ------
        ModelError
            If a model cannot be used, or memory does not suffice for it.
        """
        backbone = self.models.backbone
        return TileWorker(
            self,
            self.models.generator.load(),
            None if backbone is None else backbone.load(),
        )

    def load_with_note(self, tally: Tally) -> TileWorker:
        """Load the models, and tell the user so."""
        tally.tell(f"load {self.models.generator.name}")
        worker = self.load()
        tally.tell("tiles")
        return worker


@dataclass(frozen=True, eq=False)
class TileWorker:
    """The tile stage with its models loaded; each process has its own.

    Attributes
    ----------
    stage : TileStage
        Scenes and settings.
    model : MaskModel
        The mask generator.
    backbone : LoadedBackbone or None
        The second encoder, if the run has one.
    """

    stage: TileStage
    model: MaskModel
    backbone: LoadedBackbone | None

    def __call__(self, task: Task) -> Outcome:
        """Read a tile, compute its fragments and store them."""
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
            try:
                fragments, outcome = self.compute(task, self.read(task))
            except TileError as error:
                return Outcome(computed=False, reason=str(error))
        self.save(task, fragments)
        return outcome

    def read(self, task: Task) -> TilePixels:
        """Read a tile's pixels.

        Raises
        ------
        TileError
            If they cannot be read, or memory does not suffice twice.
        """
        job, tile = find_tile(self.stage.jobs, task)
        return _twice(partial(read_filled, job.scene, tile.window))

    def encode(self, tiles: Sequence[tuple[Task, TilePixels]]) -> Sequence[Any]:
        """Encode the images of tiles together, each as `compute` would alone.

        Raises
        ------
        MemoryError
            If memory does not suffice for one of them.
        """
        images = [self._image(*find_tile(self.stage.jobs, task), pixels) for task, pixels in tiles]
        return self.model.encode(images)

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
        TileError
            If memory does not suffice twice.
        """
        job, tile = find_tile(self.stage.jobs, task)
        fragments = _twice(partial(self.fragments, job, tile, pixels, encoded))
        return fragments, Outcome(computed=bool(pixels.valid.any()))

    def save(self, task: Task, fragments: Fragments) -> None:
        """Store a tile's fragments."""
        job, tile = find_tile(self.stage.jobs, task)
        job.store.save(tile, fragments)

    def fragments(self, job: Job, tile: Tile, pixels: TilePixels, encoded: Any = None) -> Fragments:
        """Find the fragments of a tile, whose image may have been encoded already."""
        if not pixels.valid.any():
            return no_fragments(pixels.valid.shape, len(pixels.bands))
        image = self._image(job, tile, pixels)
        if encoded is None:
            (encoded,) = self.model.encode([image])
        masks = self.model.masks(image, encoded)
        embedding = self.model.embedding(image, encoded)
        check_tile(self.stage.models.generator, image, masks, embedding)
        embeddings = replace(Embeddings.empty(), sam=embedding.astype(np.float16))
        if self.backbone is not None:
            embeddings = replace(embeddings, backbone=self.backbone.encode(pixels.image))
        settings = self.stage.settings
        return cut_fragments(
            job.grid,
            tile,
            pixels,
            masks,
            embeddings,
            job.scale,
            FragmentRules(settings.mask_area_gate, fill=settings.fills),
        )

    @staticmethod
    def _image(job: Job, tile: Tile, pixels: TilePixels) -> TileImage:
        scene = job.scene
        return TileImage(
            pixels.image, pixels.valid, tile.window, scene.path, scene.transform, scene.crs
        )


def read_filled(scene: Scene, window: Window) -> TilePixels:
    """Read pixels, with an image in which no collar shows."""
    pixels = read_tile(scene, window)
    return replace(pixels, image=fill_invalid(pixels.image, pixels.valid))


def _twice(step: Callable[[], Value]) -> Value:
    """Take a step, and once more if memory does not suffice.

    Raises
    ------
    TileError
        If it does not suffice again, or if the scene cannot be read.
    """
    # Only after the handler is the failed attempt's memory free again.
    with suppress(MemoryError):
        return _once(step)
    try:
        return _once(step)
    except MemoryError as error:
        raise TileError(
            f"memory does not suffice ({error}): "
            "free some, or use fewer --workers or a smaller --tile-size"
        ) from error


def _once(step: Callable[[], Value]) -> Value:
    """Take a step; an unreadable scene is a failed tile."""
    try:
        return step()
    except SceneError as error:
        raise TileError(str(error)) from error
