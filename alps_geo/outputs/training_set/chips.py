"""Chips: the windows that sources are cut into, and their content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from rasterio.windows import Window

from alps_geo.outputs.polygons import Polygons, polygonize
from alps_geo.outputs.training_set.source import source_key
from alps_geo.windows import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from alps_geo.outputs.training_set.source import ChipSource


@dataclass(frozen=True)
class Chip:
    """A chip of a training set, before its pixels are read.

    Attributes
    ----------
    source : int
        Position of its source.
    name : str
        Name of its files, unique in its split.
    window : rasterio.windows.Window
        Its pixels in the source.
    split : str
        Its split.
    """

    source: int
    name: str
    window: Window
    split: str


@dataclass(frozen=True)
class ChipImage:
    """Pixels of a chip as they are stored.

    Attributes
    ----------
    values : ndarray, shape (B, H, W)
        The bands.
    names : tuple of str
        Names of the bands.
    is_picture : bool
        True for red, green and blue in 8 bits, False for the source's own values.
    nodata : float or None
        Value that means no data.
    """

    values: NDArray[Any]
    names: tuple[str, ...]
    is_picture: bool
    nodata: float | None = None


@dataclass(frozen=True)
class LabelledChip:
    """A chip with its pixels and labels.

    Attributes
    ----------
    chip : Chip
        Its name, split and place.
    source : str
        Name of its source, unique in the set.
    image : ChipImage
        Its pixels.
    ids : ndarray of uint32, shape (H, W)
        Segment of each pixel, 0 for pixels without a class.
    numbers : ndarray of int32, shape (H, W)
        Number of the class of each pixel, `UNLABELLED` for none.
    transform : affine.Affine or None
        From (col, row) of the chip to coordinates, if the source is placed.
    crs : rasterio.crs.CRS or None
        CRS of the coordinates.
    """

    chip: Chip
    source: str
    image: ChipImage
    ids: NDArray[np.uint32]
    numbers: NDArray[np.int32]
    transform: Affine | None
    crs: CRS | None

    @property
    def name(self) -> str:
        """Name of its files."""
        return self.chip.name

    @property
    def split(self) -> str:
        """Its split."""
        return self.chip.split

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), in pixels."""
        return int(self.ids.shape[0]), int(self.ids.shape[1])

    @cached_property
    def objects(self) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
        """Ids of the segments in the chip, ascending, and the class of each."""
        ids, first = np.unique(self.ids, return_index=True)
        found = ids > 0
        return ids[found], self.numbers.ravel()[first][found]

    def object_id(self, segment: int) -> str:
        """Return the name of an object, the same in every chip that holds a part of it.

        >>> chip.object_id(12)  # doctest: +SKIP
        'scene:12'
        """
        return f"{self.source}:{segment}"

    @cached_property
    def polygons(self) -> Polygons:
        """Regions of the segments as multipolygons, in (col, row) of the chip's pixel corners."""
        found = [*polygonize(self._rows, self.shape, Affine.identity(), strip=self.shape[0])]
        return found[0] if found else Polygons.none()

    def _rows(self, start: int, stop: int) -> NDArray[np.uint32]:
        return self.ids[start:stop]


def chip_windows(shape: tuple[int, int], side: int, step: int) -> list[Window]:
    """Cut a raster into chips that cover it, row by row.

    All chips have the same size; those at the lower and right edges are moved inwards. A side that
    is no longer than a chip is not cut.

    >>> [window.col_off for window in chip_windows((64, 150), 64, 64)]
    [0, 64, 86]

    Parameters
    ----------
    shape : tuple of int
        (height, width) of the raster, in pixels.
    side : int
        Side of a chip.
    step : int
        Pixels from one chip to the next.
    """
    height, width = min(side, shape[0]), min(side, shape[1])
    return [
        Window(col, row, width, height)
        for row in _starts(shape[0], height, step)
        for col in _starts(shape[1], width, step)
    ]


def _starts(length: int, side: int, step: int) -> list[int]:
    last = length - side
    return [*range(0, last, step), last]


def chip_name(source: ChipSource, window: Window) -> str:
    """Name a chip after its source and first pixel; a whole source by its name alone."""
    if (window.height, window.width) == source.shape:
        return source.name
    row, col = origin(window)
    return f"{source.name}_r{row:05d}_c{col:05d}"


def unique_names(names: Sequence[tuple[str, str]]) -> list[str]:
    """Make names unique in their splits on any disk, by a number after those that were there.

    >>> unique_names([("train", "a"), ("val", "a"), ("train", "A")])
    ['a', 'a', 'A-2']

    Parameters
    ----------
    names : sequence of (split, name)
    """
    taken: set[tuple[str, str]] = set()
    unique = []
    for split, name in names:
        candidate, number = name, 1
        while (split, candidate.casefold()) in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add((split, candidate.casefold()))
        unique.append(candidate)
    return unique


def read_chip(
    source: ChipSource, chip: Chip, number_of_id: NDArray[np.int32], bands: Sequence[int] | None
) -> LabelledChip:
    """Read the pixels and labels of a chip.

    Parameters
    ----------
    source : ChipSource
        Its source.
    chip : Chip
        The chip.
    number_of_id : ndarray of int32, shape (n + 1,)
        Class of each segment id of the source.
    bands : sequence of int or None
        Positions of bands whose own values are stored; None for a picture.

    Raises
    ------
    SceneError, RunError
        If pixels or labels cannot be read.
    """
    ids = source.segment_ids(chip.window)
    numbers = number_of_id[ids]
    row, col = origin(chip.window)
    placed = source.transform
    return LabelledChip(
        chip,
        source_key(source),
        _read_image(source, chip.window, bands),
        np.where(numbers < 0, np.uint32(0), ids),
        numbers,
        None if placed is None else placed @ Affine.translation(col, row),
        source.crs,
    )


def _read_image(source: ChipSource, window: Window, bands: Sequence[int] | None) -> ChipImage:
    if bands is None:
        values = np.moveaxis(source.picture(window), -1, 0)
        return ChipImage(values, ("red", "green", "blue"), is_picture=True)
    names = tuple(source.band_names[band] for band in bands)
    return ChipImage(source.native(window, bands), names, False, source.nodata)
