"""Regions of a raster of classes: connected pixels of one class, numbered strip by strip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
    classes : ndarray of int64, shape (n,)
        Class of each.
    pixels : ndarray of int64, shape (n,)
        Its pixels.
    values : ndarray of float64, shape (n,)
        Mean of a second raster over them.
    of_piece : ndarray of int, shape (p + 1,)
        Region of each piece of a strip; 0 for none.
    first : tuple of int
        Pieces before each strip.
    """

    classes: NDArray[np.int64]
    pixels: NDArray[np.int64]
    values: NDArray[np.float64]
    of_piece: NDArray[np.int64]
    first: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.classes)

    def reader(self, read: RowReader) -> RowReader:
        """Return a reader of the region of each pixel, by whole strips.

        Parameters
        ----------
        read : callable
            Reads the rows [start, stop) of the raster of classes.
        """

        def read_regions(start: int, stop: int) -> NDArray[np.int64]:
            pieces = connected_pieces(read(start, stop))
            first = self.first[start // STRIP]
            found: NDArray[np.int64] = self.of_piece[np.where(pieces > 0, pieces + first, 0)]
            return found

        return read_regions


@dataclass(frozen=True)
class _Strip:
    """Pieces of a strip: class, pixels and sum of values of each, and those that go on above."""

    classes: NDArray[np.int64]
    pixels: NDArray[np.int64]
    sums: NDArray[np.float64]
    pairs: NDArray[np.int64]


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
    strips: list[_Strip] = []
    first: list[int] = []
    count, above = 0, (np.zeros(1, np.int64), np.zeros(1, np.int64))
    for start in range(0, height, STRIP):
        stop = min(start + STRIP, height)
        classes = read(start, stop).astype(np.int64)
        pieces = connected_pieces(classes)
        numbers = np.where(pieces > 0, pieces + np.int64(count), 0)
        meet = (above[0] > 0) & (above[0] == classes[0])
        pairs = np.stack(np.broadcast_arrays(above[1], numbers[0]), axis=1)[meet]
        pixels = np.bincount(pieces.ravel())[1:]
        weights = values(start, stop).ravel().astype(np.float64)
        sums = np.bincount(pieces.ravel(), weights)[1:].astype(np.float64)
        of_piece = classes.ravel()[first_pixels(pieces)]
        strips.append(_Strip(of_piece, pixels, sums, np.unique(pairs, axis=0)))
        first.append(count)
        count += len(pixels)
        above = classes[-1], numbers[-1]
    return _joined(strips, tuple(first), count)


def _joined(strips: list[_Strip], first: tuple[int, ...], count: int) -> Regions:
    """Join the pieces of strips into regions."""
    pairs = np.concatenate([strip.pairs for strip in strips])
    graph = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(count + 1, count + 1))
    # Number 0 is joined with none, and the first: its component is 0.
    found, of_piece = connected_components(graph, directed=False)
    region = of_piece[1:]
    classes = np.zeros(found, np.int64)
    classes[region] = np.concatenate([strip.classes for strip in strips])
    pixels = np.bincount(
        region, weights=np.concatenate([strip.pixels for strip in strips]), minlength=found
    )[1:]
    sums = np.bincount(
        region, weights=np.concatenate([strip.sums for strip in strips]), minlength=found
    )[1:]
    means = sums / np.maximum(pixels, 1)
    return Regions(classes[1:], pixels.astype(np.int64), means, of_piece.astype(np.int64), first)
