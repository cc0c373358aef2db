"""A mask generator that takes next to no time, in place of SAM."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from time import sleep
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from alps_geo.masks.tile_masks import TileMasks
from alps_geo.sam.frame import CHANNELS, Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.masks.generator import TileImage

    Pixels = NDArray[np.uint8]

MASKS = 60
"""Upper limit of the masks of a tile; SAM finds 57 on the NAIP scene."""


@dataclass(frozen=True)
class BrightRegions:
    """Regions of like brightness as masks, mixed colours as an embedding of SAM's size."""

    name = "bright regions"
    channels = CHANNELS
    images_at_once = 1

    def cell_size(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Cell size of SAM's embedding."""
        return Frame(*shape).cell_size

    def sha256(self) -> str:
        """Digest of the name: there are no weights."""
        return sha256(self.name.encode()).hexdigest()

    def load(self) -> BrightRegions:
        """Nothing is loaded."""
        return self

    def encode(self, images: Sequence[TileImage]) -> list[Pixels]:
        """Pass the pixels on."""
        return [image.pixels for image in images]

    def masks(
        self,
        image: TileImage,
        encoded: Pixels,
        points: NDArray[np.float64] | None,  # noqa: ARG002 (it takes no prompts)
    ) -> TileMasks:
        """Find regions of like brightness, the same wherever a tile's window begins."""
        grey = ndimage.uniform_filter(encoded.mean(axis=2), 9)
        levels = (grey // 24).astype(np.int64) + 1
        levels[~image.valid] = 0
        regions = np.zeros(levels.shape, dtype=np.int32)
        count = 0
        for level in np.unique(levels[levels > 0]):
            found, more = ndimage.label(levels == level)
            regions[found > 0] = found[found > 0] + count
            count += more
        area = np.bincount(regions.ravel(), minlength=count + 1)[1:]
        chosen = np.argsort(-area, kind="stable")[:MASKS] + 1
        boxes = ndimage.find_objects(regions)
        bits = [np.packbits(regions[boxes[i - 1]] == i) for i in chosen]
        corners = [[r.start, c.start, r.stop, c.stop] for r, c in (boxes[i - 1] for i in chosen)]
        scores = np.full(len(chosen), 0.95, dtype=np.float32)
        return TileMasks.of((grey.shape[0], grey.shape[1]), corners, bits, scores, scores)

    def embedding(self, image: TileImage, encoded: Pixels) -> NDArray[np.float32]:
        """Mix the colours of each cell into as many channels as SAM has."""
        height, width = image.valid.shape
        rows, cols = Frame(height, width).grid_shape
        zoom = (rows / height, cols / width, 1)
        cells = ndimage.zoom(encoded.astype(np.float32) / 255, zoom, order=1)
        mixing = np.random.default_rng(0).normal(size=(CHANNELS, 3)).astype(np.float32)
        return np.ascontiguousarray(np.einsum("kc,hwc->khw", mixing, cells))


@dataclass(frozen=True)
class SlowRegions(BrightRegions):
    """Bright regions for which a tile takes a fixed time, as that of a GPU would, and no processor.

    Attributes
    ----------
    seconds : float
        The time.
    """

    seconds: float = 1.0

    def load(self) -> SlowRegions:
        """Nothing is loaded."""
        return self

    def masks(
        self, image: TileImage, encoded: Pixels, points: NDArray[np.float64] | None
    ) -> TileMasks:
        """Find the regions, and wait."""
        sleep(self.seconds)
        return super().masks(image, encoded, points)
