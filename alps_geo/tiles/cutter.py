"""From the pixels of a tile to its fragments, with the models of a run loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import rasterio

from alps_geo.features.embeddings import Embeddings
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.masks.generator import TileImage, check_tile
from alps_geo.masks.machine import machine_of
from alps_geo.segments.fragments import FragmentRules, cut_fragments, no_fragments
from alps_geo.segments.prompts import innermost_points
from alps_geo.segments.superpixels import TileBands
from alps_geo.settings.points import Points
from alps_geo.tiles.contract import Outcome, TaskError
from alps_geo.tiles.views import Looker
from alps_geo.windows import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.features.images import BandScale
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.masks.generator import LoadedBackbone, MaskGenerator, MaskModel, Models
    from alps_geo.scene import Scene, TilePixels
    from alps_geo.segments.fragments import Fragments
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.contract import Worker
    from alps_geo.tiles.jobs import Task


class TiledScene(Protocol):
    """A scene, its tiles, and the level and spread of its bands."""

    @property
    def scene(self) -> Scene:
        """The scene."""
        ...

    @property
    def grid(self) -> TileGrid:
        """Its tiles."""
        ...

    @property
    def scale(self) -> BandScale:
        """Level and spread of its bands."""
        ...


@dataclass(frozen=True, eq=False)
class Cutter:
    """The models of a run, loaded, and the rules by which masks become fragments.

    Attributes
    ----------
    generator : MaskGenerator
        The unloaded generator.
    model : MaskModel
        The loaded generator.
    backbone : LoadedBackbone or None
        The second encoder, if the run has one.
    rules : FragmentRules
        The rules.
    prompts : Points
        Prompts of a tile.
    superpixel_size : int
        Side of a superpixel, in pixels.
    view_sizes : tuple of int
        Sizes of the views of parts of each tile, in pixels; empty for none.
    """

    generator: MaskGenerator
    model: MaskModel
    backbone: LoadedBackbone | None
    rules: FragmentRules
    prompts: Points
    superpixel_size: int
    view_sizes: tuple[int, ...] = ()

    @classmethod
    def load(cls, models: Models, settings: LabelSettings) -> Cutter:
        """Load the models.

        Raises
        ------
        ModelError
            If a model cannot be used, or memory does not suffice for it.
        """
        generator = models.generator
        cell_size = generator.cell_size if settings.is_published else None
        return cls(
            generator,
            generator.load(),
            None if models.backbone is None else models.backbone.load(),
            FragmentRules(settings.mask_area_gate, settings.fills, cell_size),
            Points.read(settings.points),
            settings.superpixel_size,
            settings.tile_sizes[1:],
        )

    def fragments(
        self, tiled: TiledScene, tile: Tile, pixels: TilePixels, encoded: Any = None
    ) -> Fragments:
        """Find the fragments of a tile, whose image may have been encoded already."""
        if not pixels.valid.any():
            return no_fragments(pixels.valid.shape, len(pixels.bands))
        image = tile_image(tiled.scene, tile, pixels)
        if encoded is None:
            (encoded,) = self.model.encode([image])
        bands = TileBands(pixels, tiled.scale, origin(tile.window), self.superpixel_size)
        masks = self.model.masks(image, encoded, self._points(bands))
        embedding = self.model.embedding(image, encoded)
        check_tile(self.generator, image, masks, embedding)
        if self.view_sizes:
            looker = Looker(self.generator, self.model, self.view_sizes)
            masks, embedding = looker.add_views(
                image, masks, embedding, partial(self._points, bands)
            )
        embeddings = replace(Embeddings.empty(), sam=embedding.astype(np.float16))
        if self.backbone is not None:
            embeddings = replace(embeddings, backbone=self.backbone.encode(pixels.image))
        return cut_fragments(tiled.grid, tile, bands, masks, embeddings, self.rules)

    def _points(
        self, bands: TileBands, rows: slice = slice(None), cols: slice = slice(None)
    ) -> NDArray[np.float64] | None:
        """Find the prompts of a part of a tile; None for those of the generator."""
        if self.prompts.per_side is not None:
            return None
        if not self.prompts.regions:
            return np.empty((0, 2))
        inside = bands.superpixels[rows, cols], bands.standard[:, rows, cols]
        return innermost_points(*inside, self.prompts.regions)


@dataclass(frozen=True, eq=False)
class CuttingWorker:
    """Base of workers whose models cut tiles: the parts of `Worker` that follow from the others.

    Attributes
    ----------
    cutter : Cutter
        The models, loaded.
    """

    cutter: Cutter

    def outcome(self, settings: LabelSettings, valid: NDArray[np.bool_]) -> Outcome:
        """Describe the work on pixels: only where some are valid did the models run."""
        if not valid.any():
            return Outcome(computed=False)
        return Outcome(computed=True, machine=machine_of(settings.device))

    @property
    def images_at_once(self) -> int:
        """Tasks to give to `encode` at once: one, or more where that is faster."""
        return self.cutter.model.images_at_once

    def __call__(self: Worker, task: Task) -> Outcome:
        """Read the pixels of a task, compute its result and store it."""
        start = perf_counter()
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
            try:
                result, outcome = self.compute(task, self.read(task))
            except TaskError as error:
                return Outcome(computed=False, reason=str(error))
        self.save(task, result)
        return replace(outcome, seconds=perf_counter() - start)

    def encoded(self, images: Sequence[TileImage | None]) -> list[Any]:
        """Encode images together; None stays None."""
        present = {index: image for index, image in enumerate(images) if image is not None}
        found = dict(zip(present, self.cutter.model.encode(list(present.values())), strict=True))
        return [found.get(index) for index in range(len(images))]


def tile_image(scene: Scene, tile: Tile, pixels: TilePixels) -> TileImage:
    """Return the picture of a tile as mask generators take it."""
    return TileImage(
        pixels.image, pixels.valid, tile.window, scene.path, scene.transform, scene.crs
    )
