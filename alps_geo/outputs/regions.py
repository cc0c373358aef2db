"""Regions of a raster of classes: connected pixels of one class, numbered strip by strip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.outputs.strips import JoinedRegions, StripJoiner, StripRegions
from alps_geo.segments.regions import connected_pieces, first_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    RowReader = Callable[[int, int], NDArray[np.integer]]

STRIP = 128
"""Rows that are numbered and traced at once: of a noisy map they hold very many regions."""


@dataclass(frozen=True)
class Regions:
    """Regions of a raster, whose pixels share sides; row i is that of region i + 1.

    Attributes
    ----------
    pixels : ndarray of int64, shape (n,)
        Pixels of each.
    values : ndarray of float64, shape (n,)
        Mean of a second raster over them.
    joined : JoinedRegions
        Classes of the regions, and their numbers in strips.
    """

    pixels: NDArray[np.int64]
    values: NDArray[np.float64]
    joined: JoinedRegions

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class of each, shape (n,)."""
        return self.joined.ids

    def reader(self, read: RowReader) -> RowReader:
        """Return a reader of the region of each pixel, by whole strips.

        Parameters
        ----------
        read : callable
            Reads the rows [start, stop) of the raster of classes.
        """

        def read_regions(start: int, stop: int) -> NDArray[np.int64]:
            return self.joined(start // STRIP, connected_pieces(read(start, stop)))

        return read_regions


def find_regions(read: RowReader, values: RowReader, height: int) -> Regions:
    """Find the regions of a raster of classes; memory grows with their number.

    Parameters
    ----------
    read, values : callable
        Read the rows [start, stop) of the raster of classes, 0 for none, and of a second raster.
    height : int
        Rows of the rasters.

    Examples
    --------
    >>> raster = np.array([[1, 1, 2], [2, 1, 2]])
    >>> find_regions(lambda a, b: raster[a:b], lambda a, b: raster[a:b], 2).classes
    array([1, 2, 2])
    """
    joiner = StripJoiner()
    pixels: list[NDArray[np.int64]] = []
    sums: list[NDArray[np.float64]] = []
    for start in range(0, height, STRIP):
        stop = min(start + STRIP, height)
        classes = read(start, stop).astype(np.int64)
        pieces = connected_pieces(classes)
        of_piece = classes.ravel()[first_pixels(pieces)]
        joiner.add(StripRegions(of_piece, pieces[0], pieces[-1]))
        pixels.append(np.bincount(pieces.ravel())[1:])
        weights = values(start, stop).ravel().astype(np.float64)
        sums.append(np.bincount(pieces.ravel(), weights)[1:].astype(np.float64))
    joined = joiner.joined()

    def total(parts: list[NDArray[Any]]) -> NDArray[np.float64]:
        weights, size = np.concatenate(parts), len(joined.ids)
        return np.bincount(joined.of_region[1:] - 1, weights, minlength=size).astype(np.float64)

    of_each = total(pixels)
    return Regions(of_each.astype(np.int64), total(sums) / np.maximum(of_each, 1), joined)
