"""Survey of chips before training: bands, statistics of their values, and counts of classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SceneError
from alps_geo.events import Event
from alps_geo.training.chips import ClassPositions, read_chip
from alps_geo.training.model import IGNORED, BandStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.training.chip_folder import ChipFile, ChipFolder
    from alps_geo.training.chips import ChipPixels

_LEAST_STD = 1e-6


@dataclass(frozen=True)
class Survey:
    """Bands, values and classes of the chips of one split.

    Attributes
    ----------
    bands : tuple of BandStatistics
        The bands, with the statistics of their valid values.
    dtype : str
        Data type of the values.
    chip_counts : ndarray of int64, shape (n, k)
        Pixels of each class in each chip.
    side : int
        Longest side of a chip, in pixels.
    """

    bands: tuple[BandStatistics, ...]
    dtype: str
    chip_counts: NDArray[np.int64]
    side: int

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pixels of each class, shape (k,)."""
        total: NDArray[np.int64] = self.chip_counts.sum(axis=0)
        return total

    @property
    def labelled(self) -> tuple[int, ...]:
        """Labelled pixels of each chip."""
        return tuple(self.chip_counts.sum(axis=1).tolist())


class _Sums:
    """Sums over the valid values of each band, exact enough for all data types."""

    def __init__(self, bands: int) -> None:
        self._count, self._mean, self._squares = 0, np.zeros(bands), np.zeros(bands)

    def add(self, pixels: ChipPixels) -> None:
        """Add a chip, by the parallel algorithm of Chan et al. 1979."""
        values = pixels.bands[:, pixels.valid].astype(np.float64)
        if not (count := values.shape[1]):
            return
        mean = values.mean(axis=1)
        squares = ((values - mean[:, None]) ** 2).sum(axis=1)
        total = self._count + count
        delta = mean - self._mean
        self._mean = self._mean + delta * count / total
        self._squares = self._squares + squares + delta**2 * self._count * count / total
        self._count = total

    def statistics(self, names: Sequence[str]) -> tuple[BandStatistics, ...]:
        """Return the statistics of all bands."""
        std = np.sqrt(self._squares / max(self._count, 1))
        std = np.where(std > _LEAST_STD, std, 1.0)
        pairs = zip(names, self._mean.tolist(), std.tolist(), strict=True)
        return tuple(BandStatistics(name, mean, scale) for name, mean, scale in pairs)


def survey_chips(
    folder: ChipFolder, chips: Sequence[ChipFile], listen: Callable[[Event], None]
) -> Survey:
    """Read all chips of a split once.

    Parameters
    ----------
    folder : ChipFolder
        Their folder.
    chips : sequence of ChipFile
        The chips, one at least.
    listen : callable
        Given an `Event` for each chip.

    Raises
    ------
    SceneError
        If a file cannot be read, a mask holds a value that is no class, or bands differ.
    """
    positions = ClassPositions(folder)
    counts = np.zeros((len(chips), len(folder.classes)), np.int64)
    first, sums, side = None, _Sums(0), 0
    for index, chip in enumerate(chips):
        pixels, labels = read_chip(chip, positions)
        if first is None:
            first, sums = pixels, _Sums(len(pixels.names))
        _check_alike(chip, pixels, chips[0], first)
        sums.add(pixels)
        has_class = labels != IGNORED
        counts[index] = np.bincount(labels[has_class], minlength=len(folder.classes))
        side = max(side, *pixels.shape)
        listen(Event("look", chip.split, len(chips), index + 1))
    if first is None:
        raise SceneError(f"{folder.root} holds no chips to look at")
    return Survey(sums.statistics(first.names), first.bands.dtype.name, counts, side)


def _check_alike(chip: ChipFile, pixels: ChipPixels, first: ChipFile, others: ChipPixels) -> None:
    """Raise SceneError if the bands of two chips differ."""
    found = len(pixels.names), pixels.bands.dtype.name
    expected = len(others.names), others.bands.dtype.name
    if found != expected:
        raise SceneError(
            f"{chip.image} has {found[0]} bands of {found[1]} and {first.image} {expected[0]} of "
            f"{expected[1]}; expected the same in all chips: write them alike"
        )


def stamp_of(folder: ChipFolder, chips: Sequence[ChipFile]) -> str:
    """Return the SHA-256 of the classes, and of names and sizes of all images and masks."""
    digest = hashlib.sha256(repr((folder.classes, sorted(folder.ignored))).encode())
    for chip in chips:
        sizes = [Path(path).stat().st_size for path in (chip.image, chip.mask)]
        digest.update(repr((chip.split, chip.name, sizes)).encode())
    return digest.hexdigest()
