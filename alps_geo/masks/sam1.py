"""SAM 1 as a mask generator: mobile_sam, vit_b, vit_l and vit_h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.masks.tile_masks import TileMasks
from alps_geo.sam.frame import CHANNELS, Frame
from alps_geo.sam.generate import generate_masks
from alps_geo.sam.memory import NO_ROOM, memory_errors
from alps_geo.sam.model import load_model
from alps_geo.sam.positional import positional_directions, without_directions
from alps_geo.sam.weights import checkpoint_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.masks.generator import GeneratorOptions, TileImage
    from alps_geo.sam.model import Embedding, SamModel
    from alps_geo.sam.packed import PackedMasks
    from alps_geo.sam.settings import MaskSettings


@dataclass(frozen=True)
class SamGenerator:
    """Masks from a grid of points, or from given ones, and the image encoder's embedding.

    Attributes
    ----------
    options : GeneratorOptions
        Model, checkpoint, device, precision, points and thresholds.
    """

    options: GeneratorOptions

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.options.model

    @property
    def channels(self) -> int:
        """Channels of the embedding."""
        return CHANNELS

    def cell_size(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Height and width of one embedding cell, in pixels of a tile of this shape."""
        return Frame(*shape).cell_size

    def sha256(self) -> str:
        """Digest of the weights file."""
        return checkpoint_sha256(self.options.model, self.options.checkpoint)

    @memory_errors(NO_ROOM)
    def load(self) -> LoadedSam:
        """Load the model, and find the directions in which its embedding follows the position."""
        options = self.options
        model = load_model(options.model, options.checkpoint, options.device, options.precision)
        directions = None if options.positional else positional_directions(model)
        return LoadedSam(model, options.masks, directions)


@dataclass(frozen=True, eq=False)
class LoadedSam:
    """A loaded SAM.

    Attributes
    ----------
    model : SamModel
        Encoder and decoder on their device.
    settings : MaskSettings
        Points and thresholds.
    directions : (k, C) float64 or None
        Orthonormal directions to take out of embeddings; None for none.
    """

    model: SamModel
    settings: MaskSettings
    directions: NDArray[np.float64] | None

    @property
    def images_at_once(self) -> int:
        """Images to encode together: one, more on a GPU."""
        return self.model.images_at_once

    @memory_errors()
    def encode(self, images: Sequence[TileImage]) -> list[Embedding]:
        """Encode images to (1, 256, 64, 64) float32 each, padding included."""
        return self.model.encode_many([image.pixels for image in images])

    @memory_errors()
    def masks(
        self, image: TileImage, encoded: Embedding, points: NDArray[np.float64] | None
    ) -> TileMasks:
        """Find the masks of an encoded image, best predicted IoU first."""
        shape = image.valid.shape
        found = generate_masks(
            self.model, encoded, (shape[0], shape[1]), self.settings, image.valid, points
        )
        return tile_masks(found, (shape[0], shape[1]))

    @memory_errors()
    def embedding(self, image: TileImage, encoded: Embedding) -> NDArray[np.float32]:
        """Embedding of an encoded image without its padding: (256, h, w) float32."""
        height, width = image.valid.shape
        rows, cols = Frame(height, width).grid_shape
        cells = np.ascontiguousarray(encoded[0, :, :rows, :cols].float().cpu().numpy())
        return cells if self.directions is None else without_directions(cells, self.directions)


def tile_masks(masks: PackedMasks, shape: tuple[int, int]) -> TileMasks:
    """Collect SAM's masks of a tile of this shape."""
    return TileMasks.of(shape, masks.bbox, masks.bits, masks.predicted_iou, masks.stability_score)
