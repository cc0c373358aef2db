"""From the pixels of a tile to its fragments, with the models of a run loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from alps_geo.features.embeddings import Embeddings
from alps_geo.masks.generator import TileImage, check_tile
from alps_geo.segments.fragments import FragmentRules, cut_fragments, no_fragments

if TYPE_CHECKING:
    from alps_geo.features.images import BandScale
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.masks.generator import LoadedBackbone, MaskGenerator, MaskModel, Models
    from alps_geo.scene import Scene, TilePixels
    from alps_geo.segments.fragments import Fragments
    from alps_geo.settings import LabelSettings


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
    """

    generator: MaskGenerator
    model: MaskModel
    backbone: LoadedBackbone | None
    rules: FragmentRules

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
        masks = self.model.masks(image, encoded)
        embedding = self.model.embedding(image, encoded)
        check_tile(self.generator, image, masks, embedding)
        embeddings = replace(Embeddings.empty(), sam=embedding.astype(np.float16))
        if self.backbone is not None:
            embeddings = replace(embeddings, backbone=self.backbone.encode(pixels.image))
        return cut_fragments(tiled.grid, tile, pixels, masks, embeddings, tiled.scale, self.rules)


def tile_image(scene: Scene, tile: Tile, pixels: TilePixels) -> TileImage:
    """Return the picture of a tile as mask generators take it."""
    return TileImage(
        pixels.image, pixels.valid, tile.window, scene.path, scene.transform, scene.crs
    )
