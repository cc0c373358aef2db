"""Superpixels: small even patches of a tile, from all of its bands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from skimage import segmentation

from alps_geo.features.images import CLIP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.features.images import BandScale
    from alps_geo.scene import TilePixels

COLOR_WEIGHT = 1.0
"""Difference in standard deviations, over the bands a root mean square, that counts as much as the
distance from one seed to the next."""

_ITERATIONS = 5

_PERIOD = 8
"""Superpixels after which the zigzag of the lattice begins again."""


def cut_superpixels(
    standard: NDArray[np.float32],
    valid: NDArray[np.bool_],
    origin: tuple[int, int],
    size: int,
) -> NDArray[np.int32]:
    """Cut a tile into superpixels by SLIC (Achanta et al. 2012, doi 10.1109/TPAMI.2012.120).

    Seeds lie on a lattice of scene pixels, so that overlapping tiles cut the pixels that they share
    alike, except near their edges.

    Parameters
    ----------
    standard : ndarray of float32, shape (B, H, W)
        Standardised bands, within `CLIP` of 0.
    valid : ndarray of bool, shape (H, W)
    origin : (int, int)
        Scene row and column of pixel (0, 0).
    size : int
        Pixels from one seed to the next: a superpixel has about this squared.

    Returns
    -------
    ndarray of int32, shape (H, W)
        Superpixel of every pixel, from 1; 0 where invalid. Every valid pixel has one.
    """
    # Invalid pixels are given a colour that no valid one has, so that few superpixels straddle.
    image = np.moveaxis(np.where(valid, standard, np.float32(-2 * CLIP)), 0, -1)
    lattice = _Lattice.over(origin, valid.shape, size)
    rows, cols = lattice.pixels()
    bent = image[rows.clip(0, valid.shape[0] - 1), cols.clip(0, valid.shape[1] - 1)]
    count = bent.shape[2]
    # slic stretches its input to 0..1 first: undone here, so that colour counts alike everywhere.
    spread = float(bent.max() - bent.min()) or 1.0
    # By its package, which loads it now: a worker without superpixels is 13 MiB smaller.
    labels = segmentation.slic(
        bent,
        n_segments=bent.shape[0] // size * (bent.shape[1] // size),
        compactness=COLOR_WEIGHT * np.sqrt(count) / spread,
        max_num_iter=_ITERATIONS,
        convert2lab=False,
        start_label=1,
        channel_axis=-1,
    )
    cut: NDArray[np.int32] = labels[lattice.points(valid.shape)].astype(np.int32)
    cut[~valid] = 0
    return cut


@dataclass(frozen=True, eq=False)
class TileBands:
    """Bands of a tile on the scale of the scene, and the superpixels that are cut from them.

    Attributes
    ----------
    pixels : TilePixels
        The pixels of the tile's window.
    scale : BandScale
        Level and spread of the scene's bands.
    origin : (int, int)
        Scene row and column of pixel (0, 0).
    size : int
        Side of a superpixel, in pixels.
    """

    pixels: TilePixels
    scale: BandScale
    origin: tuple[int, int]
    size: int

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where the scene has data, shape (H, W)."""
        return self.pixels.valid

    @cached_property
    def standard(self) -> NDArray[np.float32]:
        """Standardised bands, shape (B, H, W); see `BandScale.standardise`."""
        return self.scale.standardise(self.pixels.bands, self.valid)

    @cached_property
    def superpixels(self) -> NDArray[np.int32]:
        """Superpixel of every pixel, shape (H, W); see `cut_superpixels`."""
        return cut_superpixels(self.standard, self.valid, self.origin, self.size)


@dataclass(frozen=True)
class _Lattice:
    """A lattice of seeds whose lines zigzag over the scene.

    In even areas superpixels are the squares of the lattice. Straight lines would
    show in the labels, most of all where they meet the straight borders of tiles. So columns are
    shifted by row, then rows by column, by whole pixels: one to one, and the same in every tile.

    Attributes
    ----------
    origin : (int, int)
        Row and column of the scene at pixel (0, 0) of the tile.
    start, shape : (int, int)
        First row and column of the lattice, in multiples of `size`, and its extent, in pixels.
    size : int
        Pixels from one seed to the next.
    """

    origin: tuple[int, int]
    start: tuple[int, int]
    shape: tuple[int, int]
    size: int

    @classmethod
    def over(cls, origin: tuple[int, int], shape: tuple[int, int], size: int) -> _Lattice:
        """Lay the lattice over a tile."""
        # The zigzag goes from size // 2 before to the rest of the size after.
        start = tuple((first - size // 2) // size * size for first in origin)
        stop = tuple(
            -(-(first + length + size - size // 2) // size) * size
            for first, length in zip(origin, shape, strict=True)
        )
        return cls(origin, (start[0], start[1]), (stop[0] - start[0], stop[1] - start[1]), size)

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of the tile at each point of the lattice, also beyond the tile's edges."""
        rows, cols = (np.arange(n) + first for n, first in zip(self.shape, self.start, strict=True))
        row = rows[:, None] - self._zigzag(cols)[None]
        col = cols[None] - self._zigzag(row)
        return row - self.origin[0], col - self.origin[1]

    def points(self, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of the lattice at each pixel of the tile."""
        rows, cols = (np.arange(n) + first for n, first in zip(shape, self.origin, strict=True))
        col = cols[None] + self._zigzag(rows)[:, None]
        row = rows[:, None] + self._zigzag(col)
        return row - self.start[0], col - self.start[1]

    def _zigzag(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Shift of the lattice, in whole pixels: up and down by its size in each period."""
        period = _PERIOD * self.size
        along = position % period
        return np.minimum(along, period - along) * 2 // _PERIOD - self.size // 2
