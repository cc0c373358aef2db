"""A mask generator of the tests' own: every tile falls into four quarters."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.masks.tile_masks import TileMasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.masks.generator import GeneratorOptions, TileImage

CELLS = 4
"""Rows and columns of embedding cells over a tile."""


@dataclass(frozen=True)
class QuarterTiles:
    """Quarters of a tile as masks, mean colours as its embedding; it has no weights to load."""

    edition: str = "first"
    images_at_once: int = 1

    name = "quarters"
    channels = 3

    @classmethod
    def from_options(cls, options: GeneratorOptions) -> QuarterTiles:
        """Make a generator for the registry."""
        return cls(edition=options.model)

    def cell_size(self, shape: tuple[int, int]) -> tuple[float, float]:
        """A quarter of the tile's height and width."""
        return shape[0] / CELLS, shape[1] / CELLS

    def sha256(self) -> str:
        """Digest of the edition."""
        return sha256(self.edition.encode()).hexdigest()

    def load(self) -> QuarterTiles:
        """Nothing is loaded."""
        return self

    def encode(self, images: Sequence[TileImage]) -> list[NDArray[np.float32]]:
        """Average the colours of each cell."""
        return [mean_colours(image.pixels) for image in images]

    def masks(self, image: TileImage, encoded: Any, points: Any) -> TileMasks:
        """Divide the tile into quarters."""
        height, width = image.valid.shape
        rows, cols = (0, height // 2, height), (0, width // 2, width)
        boxes = [(rows[i], cols[j], rows[i + 1], cols[j + 1]) for i in (0, 1) for j in (0, 1)]
        bits = [np.packbits(np.ones((b - t, r - x), np.bool_)) for t, x, b, r in boxes]
        return TileMasks.of((height, width), boxes, bits, [0.9] * 4, [0.8] * 4)

    def embedding(self, image: TileImage, encoded: Any) -> NDArray[np.float32]:
        """Colours of the cells."""
        colours: NDArray[np.float32] = encoded
        return colours


@dataclass(frozen=True)
class PromptedSquares(QuarterTiles):
    """A small square around each prompt as a mask."""

    def masks(self, image: TileImage, encoded: Any, points: Any) -> TileMasks:
        """Draw the squares."""
        height, width = image.valid.shape
        corners = np.array(points, dtype=np.int64).reshape(-1, 2)
        assert image.valid[*corners.T].all()
        boxes = [(r - 1, c - 1, r + 2, c + 2) for r, c in corners.tolist()]
        bits = [np.packbits(np.ones((3, 3), np.bool_))] * len(boxes)
        scores = np.linspace(0.9, 0.8, len(boxes))
        return TileMasks.of((height, width), boxes, bits, scores, scores)


@dataclass(frozen=True)
class OnlyElsewhere(QuarterTiles):
    """Quarters that refuse to be loaded in the process that made them.

    A worker imports this module for it, and no torch.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Mark the copy."""
        return {"edition": "copy", "images_at_once": 1}

    def load(self) -> QuarterTiles:
        """Load in another process alone."""
        assert self.edition == "copy"
        return self


def mean_colours(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average the colours of each cell of an image."""
    rows, cols = (np.linspace(0, side, CELLS + 1).astype(int) for side in pixels.shape[:2])
    means = [
        [pixels[a:b, c:d].mean(axis=(0, 1)) for c, d in itertools.pairwise(cols)]
        for a, b in itertools.pairwise(rows)
    ]
    colours: NDArray[np.float32] = (np.array(means) / 255).transpose(2, 0, 1).astype(np.float32)
    return colours
