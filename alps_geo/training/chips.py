"""Pixels of chips: their bands as stored, their valid pixels, and the class of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import ColorInterp

from alps_geo.errors import SceneError
from alps_geo.scene.raster import Layers, opened, read_layers
from alps_geo.training.model import IGNORED
from alps_geo.windows import whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.training.chip_folder import ChipFile, ChipFolder
    from alps_geo.training.model import BandStatistics


@dataclass(frozen=True)
class ChipPixels:
    """The bands of a chip.

    Attributes
    ----------
    bands : ndarray, shape (B, H, W)
        Stored values.
    valid : ndarray of bool, shape (H, W)
        True where all bands have data.
    names : tuple of str
        Names of the bands: their descriptions, or else their numbers from 1.
    """

    bands: NDArray[Any]
    valid: NDArray[np.bool_]
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), in pixels."""
        return int(self.valid.shape[0]), int(self.valid.shape[1])

    def normalised(self, statistics: Sequence[BandStatistics]) -> NDArray[np.float32]:
        """Return the bands (B, H, W) as the network takes them: 0 where there is no data."""
        mean = np.array([each.mean for each in statistics], np.float32)[:, None, None]
        std = np.array([each.std for each in statistics], np.float32)[:, None, None]
        values: NDArray[np.float32] = (self.bands.astype(np.float32) - mean) / std
        return np.where(self.valid, values, np.float32(0))


def read_pixels(path: str) -> ChipPixels:
    """Read a chip: any number of bands, any data type, colours of a palette as three bands.

    Raises
    ------
    SceneError
        If it cannot be read, or holds complex numbers.
    """
    with opened(path) as dataset:
        layers = _layers(dataset)
        if np.issubdtype(np.dtype(dataset.dtypes[0]), np.complexfloating):
            raise SceneError(f"{path} holds complex numbers, expected real ones: give amplitudes")
        pixels = read_layers(dataset, path, layers, whole(dataset.height, dataset.width))
        valid = (pixels.masks != 0).all(axis=0) & (pixels.alpha != 0).all(axis=0)
        if np.issubdtype(pixels.bands.dtype, np.floating):
            valid &= np.isfinite(pixels.bands).all(axis=0)
        named = [dataset.descriptions[index - 1] or str(index) for index in layers.bands]
    names = ("red", "green", "blue") if layers.palette is not None else tuple(named)
    return ChipPixels(pixels.bands, valid, names)


def _layers(dataset: DatasetReader) -> Layers:
    """Choose bands of data, bands of transparency and the palette of a chip."""
    kinds = dataset.colorinterp
    alpha = tuple(i for i in dataset.indexes if kinds[i - 1] == ColorInterp.alpha)
    bands = tuple(i for i in dataset.indexes if i not in alpha)
    if kinds[0] == ColorInterp.palette and len(bands) == 1:
        colors = dataset.colormap(1)
        table = tuple(colors.get(value, (0, 0, 0, 0)) for value in range(256))
        return Layers(bands, alpha, bands, table)
    return Layers(bands, alpha, bands)


def read_values(path: str) -> NDArray[Any]:
    """Read the values (H, W) of a mask; those of a palette, not its colours.

    Raises
    ------
    SceneError
        If it cannot be read, has several bands, or holds no whole numbers.
    """
    with opened(path) as dataset:
        if dataset.count != 1 or not np.issubdtype(np.dtype(dataset.dtypes[0]), np.integer):
            raise SceneError(
                f"{path} has {dataset.count} bands of {dataset.dtypes[0]}, expected a mask: one "
                "band of whole numbers, the value of each pixel's class"
            )
        found: NDArray[Any] = dataset.read(1)
    return found


class ClassPositions:
    """Positions of the classes of values in masks; `IGNORED` for values that are no class.

    Parameters
    ----------
    folder : ChipFolder
        Classes and ignored values.
    """

    def __init__(self, folder: ChipFolder) -> None:
        self._values = np.array([each.value for each in folder.classes], np.int64)
        self._ignored = np.array(sorted(folder.ignored), np.int64)
        self._count = len(folder.classes)

    def read(self, chip: ChipFile) -> NDArray[np.uint8]:
        """Read the mask of a chip as positions.

        Raises
        ------
        SceneError
            If it cannot be read, or holds a value beyond the classes.
        """
        values = read_values(chip.mask).astype(np.int64)
        found = np.searchsorted(self._values, values).clip(max=self._count - 1)
        is_class = self._values[found] == values
        wrong = ~is_class & ~np.isin(values, self._ignored)
        if wrong.any():
            raise SceneError(
                f"{chip.mask} holds the value {values[wrong].flat[0]}, which is no class; expected "
                f"{self._values[0]} to {self._values[-1]} for the {self._count} classes, and "
                f"{', '.join(map(str, self._ignored))} for none: name all classes, or mend the mask"
            )
        return np.where(is_class, found, IGNORED).astype(np.uint8)


def read_chip(chip: ChipFile, positions: ClassPositions) -> tuple[ChipPixels, NDArray[np.uint8]]:
    """Read the pixels of a chip, and the position of the class of each; none without data.

    Raises
    ------
    SceneError
        If a file cannot be read, or image and mask differ in size.
    """
    pixels, labels = read_pixels(chip.image), positions.read(chip)
    if pixels.shape != labels.shape:
        raise SceneError(
            f"{chip.mask} has {labels.shape[0]} x {labels.shape[1]} pixels and {chip.image} "
            f"{pixels.shape[0]} x {pixels.shape[1]}, expected the same: mend one of them"
        )
    return pixels, np.where(pixels.valid, labels, np.uint8(IGNORED))
