"""The work on one image of a folder: from its pixels to described segments.

An image is a scene of its own whose bands are stretched and scaled as those of all images of its
kind. It is read once and kept in memory with all of its tiles, of which most images have one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window

from alps_geo.features.columns import ColumnSchema
from alps_geo.features.kinds import kind_of
from alps_geo.features.sums import RegionSums
from alps_geo.grid import TileGrid
from alps_geo.runs.failures import FailedImage
from alps_geo.scene import TilePixels, fill_invalid, read_tile
from alps_geo.segments.core_sums import Source
from alps_geo.segments.images import ImageSegments
from alps_geo.segments.painting import MemoryPainting, painted_blocks
from alps_geo.segments.pooling import sum_segments
from alps_geo.segments.stitch import stitch
from alps_geo.segments.table import Attributes
from alps_geo.tiles.contract import Outcome, check_weights, load_with_note, retry_once
from alps_geo.tiles.cutter import Cutter, CuttingWorker, tile_image
from alps_geo.tiles.jobs import absolute_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from alps_geo.events import Tally
    from alps_geo.features.images import BandScale
    from alps_geo.files.storage import Storage
    from alps_geo.grid import Tile
    from alps_geo.masks.generator import Models, TileImage, Weights
    from alps_geo.scene import Scene
    from alps_geo.scene.folder import FolderImage, ImageReading
    from alps_geo.segments.fragments import Fragments
    from alps_geo.segments.images import ImageStore
    from alps_geo.segments.stitch import Stitched
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.contract import Outcome
    from alps_geo.tiles.jobs import Task


@dataclass(frozen=True)
class ImageKind:
    """Images of the same bands and units, and the decisions that they share.

    Attributes
    ----------
    reading : ImageReading
        The way in which they are read.
    scale : BandScale
        Level and spread of the bands over all images.
    """

    reading: ImageReading
    scale: BandScale

    @property
    def name(self) -> str:
        """Name of the kind; see `alps_geo.features.kinds`."""
        return kind_of(self.reading.unit, self.reading.band_names)


@dataclass(frozen=True)
class ImageJob:
    """The images of one split and kind.

    Attributes
    ----------
    name : str
        Name of the split in the run folder.
    images : tuple of FolderImage
        The images.
    kind : ImageKind
        Their kind.
    store : ImageStore
        Stored segments.
    """

    name: str
    images: tuple[FolderImage, ...]
    kind: ImageKind
    store: ImageStore

    def shipped(self) -> ImageJob:
        """Return the images with absolute paths, for processes that were started elsewhere."""
        images = tuple(
            replace(image, path=str(Path(image.path).absolute())) for image in self.images
        )
        return replace(self, images=images, store=absolute_store(self.store))


@dataclass(frozen=True)
class TiledImage:
    """An image that has been opened, with its tiles and pixels."""

    scene: Scene
    grid: TileGrid
    scale: BandScale
    pixels: TilePixels

    def part(self, window: Window) -> TilePixels:
        """Return the pixels of a window."""
        rows, cols = window.toslices()
        pixels = self.pixels
        return TilePixels(
            pixels.image[rows, cols], pixels.bands[:, rows, cols], pixels.valid[rows, cols]
        )

    def tile_pixels(self, tile: Tile) -> TilePixels:
        """Return the pixels of a tile, with invalid pixels of the image filled."""
        part = self.part(tile.window)
        return TilePixels(fill_invalid(part.image, part.valid), part.bands, part.valid)


@dataclass(frozen=True)
class ImageStage:
    """Images, settings and unloaded models of a stage; can be pickled.

    Attributes
    ----------
    jobs : sequence of ImageJob
        The images.
    settings : LabelSettings
        The run's settings.
    models : Models
        The mask generator and the backbone.
    weights : Weights or None
        Digests of their weights, to be found on another machine; None if they are known to be.
    """

    jobs: Sequence[ImageJob]
    settings: LabelSettings
    models: Models
    weights: Weights | None = None

    @property
    def shared(self) -> Storage:
        """Storage of the segments of the first split, which all machines at work have to see."""
        return self.jobs[0].store.files

    def shipped(self) -> ImageStage:
        """Return the stage with absolute paths and digests, for processes started elsewhere."""
        jobs = [job.shipped() for job in self.jobs]
        return replace(self, jobs=jobs, weights=self.models.weights())

    def check(self) -> None:
        """Check that an image of each split can be opened, and that the weights are the same.

        Raises
        ------
        SceneError
            If an image cannot be opened.
        ModelError
            If weights are absent or differ.
        """
        for job in self.jobs:
            job.kind.reading.open(job.images[0].path)
        check_weights(self.models, self.weights)

    def tasks(self) -> Iterator[Task]:
        """Yield all images in their order."""
        for index, job in enumerate(self.jobs):
            for position in range(len(job.images)):
                yield index, 0, position

    def is_stored(self, task: Task) -> bool:
        """Return True if the segments of an image are stored."""
        return self.jobs[task[0]].store.holds(self.image(task))

    def stored(self) -> Callable[[Task], bool]:
        """Return a test of many images that is as `is_stored` was when this was called."""
        held = [job.store.held() for job in self.jobs]
        return lambda task: held[task[0]](self.image(task))

    def index(self, name: str) -> int:
        """Return the index of the images of a name."""
        return [job.name for job in self.jobs].index(name)

    def scene_of(self, task: Task) -> str:
        """Return the name of the split that an image is of."""
        return self.jobs[task[0]].name

    def title_of(self, task: Task) -> str:
        """Return the name of an image."""
        return self.image(task).name

    def image(self, task: Task) -> FolderImage:
        """Look up the image of a task."""
        return self.jobs[task[0]].images[task[2]]

    def failure(self, task: Task, reason: str) -> FailedImage:
        """Describe the failure of an image."""
        image = self.image(task)
        return FailedImage(image.title, image.path, reason)

    def note_failure(self, task: Task, reason: str) -> None:
        """Note the failure of an image in the run folder.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        self.jobs[task[0]].store.fail(self.failure(task, reason), self.image(task))

    def forget_failures(self, tasks: Iterable[Task]) -> None:
        """Remove the notes of failures of images, as far as there are any."""
        for index, those in groupby(tasks, key=itemgetter(0)):
            self.jobs[index].store.forget_failures([self.image(task) for task in those])

    def load(self) -> ImageWorker:
        """Load the models.

        Raises
        ------
        ModelError
            If a model cannot be used, or memory does not suffice for it.
        """
        return ImageWorker(Cutter.load(self.models, self.settings), self)

    def load_with_note(self, tally: Tally) -> ImageWorker:
        """Load the models, and tell the user so."""
        return load_with_note(self.load, self.models.generator.name, tally)

    def schema(self, kind: ImageKind) -> ColumnSchema:
        """Return the columns of the segments of images of a kind."""
        channels = {"sam": self.models.generator.channels}
        bands, unit = kind.reading.band_names, kind.reading.unit
        return ColumnSchema(bands, unit, self.settings.feature_names, channels)


@dataclass(frozen=True, eq=False)
class ImageWorker(CuttingWorker):
    """The image stage with its models loaded; each process has its own.

    Attributes
    ----------
    stage : ImageStage
        Images and settings.
    """

    stage: ImageStage

    def read(self, task: Task) -> TiledImage:
        """Open an image and read its pixels.

        Raises
        ------
        TaskError
            If they cannot be read, or memory does not suffice twice.
        """
        kind, image = self.stage.jobs[task[0]].kind, self.stage.image(task)
        return retry_once(partial(open_image, image, kind, self.stage.settings))

    def encode(self, tiles: Sequence[tuple[Task, TiledImage]]) -> Sequence[Any]:
        """Encode images together, each as `compute` would alone.

        None stands for an image of several tiles or without data.

        Raises
        ------
        MemoryError
            If memory does not suffice for one of them.
        """
        images: list[TileImage | None] = []
        for _, tiled in tiles:
            tile, *others = tiled.grid
            together = not others and tiled.pixels.valid.any()
            pixels = tiled.tile_pixels(tile) if together else None
            images.append(None if pixels is None else tile_image(tiled.scene, tile, pixels))
        return self.encoded(images)

    def compute(
        self, task: Task, pixels: TiledImage, encoded: Any = None
    ) -> tuple[ImageSegments, Outcome]:
        """Find and describe the segments of an image.

        Raises
        ------
        TaskError
            If memory does not suffice twice.
        """
        kind = self.stage.jobs[task[0]].kind
        segments = retry_once(partial(self._segments, pixels, kind, encoded))
        return segments, self.outcome(self.stage.settings, pixels.pixels.valid)

    def save(self, task: Task, result: ImageSegments) -> None:
        """Store the segments of an image."""
        self.stage.jobs[task[0]].store.save(self.stage.image(task), result)

    def _segments(self, tiled: TiledImage, kind: ImageKind, encoded: Any) -> ImageSegments:
        fragments: Mapping[tuple[int, int], Fragments] = {
            (tile.row, tile.col): self.cutter.fragments(
                tiled, tile, tiled.tile_pixels(tile), encoded
            )
            for tile in tiled.grid
        }
        settings, painting = self.stage.settings, MemoryPainting()
        segments = stitch(
            tiled.grid,
            lambda tile: fragments[tile.row, tile.col],
            painting,
            min_area=settings.min_area,
            superpixel_size=settings.fill_size,
        )
        source = Source(
            lambda tile: fragments[tile.row, tile.col].embeddings,
            tiled.part,
            tiled.scale,
            tiled.grid,
            self.cutter.generator.cell_size,
        )
        ids = np.zeros(tiled.scene.shape, dtype=np.uint32)
        for window, block in painted_blocks(painting, tiled.grid):
            ids[window.toslices()] = block
        return _described(ids, segments, source, self.stage.schema(kind), tiled.grid)


def _described(
    ids: np.ndarray[Any, np.dtype[np.uint32]],
    segments: Stitched,
    source: Source,
    schema: ColumnSchema,
    grid: TileGrid,
) -> ImageSegments:
    """Describe segments, in the order of their ids."""
    found = list(sum_segments(grid, segments, source, schema))
    none = schema.no_segments()
    sums = RegionSums.concatenate([none, *(each.sums for each in found)])
    order = np.argsort(
        np.fromiter(chain.from_iterable(each.ids for each in found), np.int64), kind="stable"
    )
    sums = sums.take(order)
    return ImageSegments(
        ids,
        segments.area,
        Attributes.of(sums),
        segments.valid_pixels,
        columns=schema.columns(sums),
    )


def open_image(image: FolderImage, kind: ImageKind, settings: LabelSettings) -> TiledImage:
    """Open an image as those of its kind are, and read it.

    Raises
    ------
    SceneError
        If it cannot be read, or is of another kind.
    """
    scene = kind.reading.open(image.path)
    pixels = read_tile(scene, Window(0, 0, scene.width, scene.height))
    grid = TileGrid(scene.height, scene.width, settings.tile_sizes[0], settings.tile_overlap)
    return TiledImage(scene, grid, kind.scale, pixels)
