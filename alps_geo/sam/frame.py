"""Position of an image in SAM's square input: pure arithmetic, no torch."""

from __future__ import annotations

from dataclasses import dataclass

SIDE = 1024
"""Side of the square that every SAM encoder takes, in input pixels."""

CHANNELS = 256
"""Channels of the embedding, the same for every SAM."""

CELL = 16
"""Side of one embedding cell, in input pixels."""


@dataclass(frozen=True)
class Frame:
    """An image, resized to a longest side of 1024 and padded at the bottom and the right.

    Parameters
    ----------
    height, width : int
        Shape of the image, in pixels.
    """

    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the image, in pixels."""
        return self.height, self.width

    @property
    def input_shape(self) -> tuple[int, int]:
        """Shape of the resized image inside the square, in input pixels."""
        scale = SIDE / max(self.shape)
        # Rounds as segment_anything does; a sliver that would round to nothing keeps one pixel.
        return max(1, int(self.height * scale + 0.5)), max(1, int(self.width * scale + 0.5))

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per image pixel, (row, col); the two differ by rounding only."""
        rows, cols = self.input_shape
        return rows / self.height, cols / self.width

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of embedding cells that hold some of the image."""
        rows, cols = self.input_shape
        return -(-rows // CELL), -(-cols // CELL)

    @property
    def cell_size(self) -> tuple[float, float]:
        """Height and width of one embedding cell, in image pixels.

        Cell (i, j) covers the rows [i, i + 1) times the height and the columns [j, j + 1) times the
        width; the last row and column may reach beyond the image.
        """
        rows, cols = self.scale
        return CELL / rows, CELL / cols
