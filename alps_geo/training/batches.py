"""Batches of chips: their order, and loaders that hold them ready for a network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from alps_geo.training.augmentation import padded
from alps_geo.training.chips import ClassPositions, read_chip
from alps_geo.training.model import IGNORED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from alps_geo.training.augmentation import Augmentation
    from alps_geo.training.chip_folder import ChipFile, ChipFolder
    from alps_geo.training.model import BandStatistics

_WHOLE = 1.0

BYTES_HELD = 256 * 2**20
"""Bytes of chips that a reader holds, so that the files of a few chips are read once."""


def seed_of(*parts: int) -> int:
    """Return a seed that numbers decide, far from those of other numbers.

    >>> seed_of(0, 1) == seed_of(1, 0)
    False
    """
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "big")


@dataclass(frozen=True)
class ChipReader:
    """Reads chips as tensors.

    Attributes
    ----------
    folder : ChipFolder
        Folder of the chips.
    statistics : tuple of BandStatistics
        Scale of the bands.
    kept : float
        Share of the labelled pixels that keep their labels.
    seed : int
        Decides them.
    room : int
        Bytes of chips to hold.
    """

    folder: ChipFolder
    statistics: tuple[BandStatistics, ...]
    kept: float = _WHOLE
    seed: int = 0
    room: int = BYTES_HELD
    _held: dict[ChipFile, tuple[Tensor, Tensor]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def read(self, chip: ChipFile) -> tuple[Tensor, Tensor]:
        """Read normalised bands (B, H, W) and labels (H, W) of uint8, which are not to be changed.

        Raises
        ------
        SceneError
            If a file cannot be read.
        """
        if (found := self._held.get(chip)) is None:
            found = self._read(chip)
            if (1 + len(self._held)) * sum(each.nbytes for each in found) <= self.room:
                self._held[chip] = found
        return found

    def _read(self, chip: ChipFile) -> tuple[Tensor, Tensor]:
        pixels, labels = read_chip(chip, ClassPositions(self.folder))
        if self.kept < _WHOLE:
            labels = self._thinned(chip, labels)
        return torch.from_numpy(pixels.normalised(self.statistics)), torch.from_numpy(labels)

    def _thinned(self, chip: ChipFile, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Keep the labels of some pixels; those of a smaller share are among those of a larger."""
        title = int.from_bytes(chip.title.encode()[-64:], "big")
        draws = np.random.default_rng(seed_of(self.seed, title)).random(labels.shape)
        return np.where(draws < self.kept, labels, np.uint8(IGNORED))


class _Samples(Dataset[tuple["Tensor", "Tensor"]]):
    """Chips by number, changed at random; those of one epoch."""

    def __init__(
        self,
        reader: ChipReader,
        chips: Sequence[ChipFile],
        augmentation: Augmentation,
        seeds: Sequence[int],
    ) -> None:
        self._reader, self._chips = reader, chips
        self._augmentation, self._seeds = augmentation, seeds

    def __len__(self) -> int:
        return len(self._seeds)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        image, labels = self._reader.read(self._chips[position])
        return self._augmentation(image, labels, self._seeds[position])


@dataclass(frozen=True)
class TrainingBatches:
    """Batches of the chips that are trained on.

    Attributes
    ----------
    reader : ChipReader
        Reads chips.
    chips : tuple of ChipFile
        The chips.
    augmentation : Augmentation
        Their changes.
    size : int
        Chips of a batch, of all processes together.
    seed, workers : int
        Seed, and processes that read chips.
    share : (int, int)
        Number of this process, and number of processes.
    epoch_steps : int, optional
        Batches of an epoch; by default those that take each chip once.
    """

    reader: ChipReader
    chips: tuple[ChipFile, ...]
    augmentation: Augmentation
    size: int
    seed: int
    workers: int
    share: tuple[int, int] = (0, 1)
    epoch_steps: int | None = None

    @property
    def steps(self) -> int:
        """Batches of an epoch; the last takes chips that the epoch has had, so that it is full."""
        return self.epoch_steps or -(-len(self.chips) // self.size)

    def order(self, epoch: int) -> list[int]:
        """Return the numbers of the chips of an epoch, one after the other, batches being full."""
        draw = np.random.default_rng(seed_of(self.seed, epoch))
        count = self.steps * self.size
        rounds = [draw.permutation(len(self.chips)) for _ in range(-(-count // len(self.chips)))]
        found: list[int] = np.concatenate(rounds)[:count].tolist()
        return found

    def of(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch for this process, from the step `first` on.

        Raises
        ------
        SceneError
            If a file cannot be read.
        """
        number, processes = self.share
        order = self.order(epoch)[first * self.size :]
        seeds = [
            seed_of(self.seed, epoch, first * self.size + index) for index in range(len(order))
        ]
        mine = slice(number, None, processes)
        samples = _Samples(
            self.reader, [self.chips[i] for i in order[mine]], self.augmentation, seeds[mine]
        )
        return iter(
            DataLoader(samples, batch_size=self.size // processes, num_workers=self.workers)
        )


class _Whole(Dataset[tuple["Tensor", "Tensor"]]):
    """Whole chips by number."""

    def __init__(self, reader: ChipReader, chips: Sequence[ChipFile]) -> None:
        self._reader, self._chips = reader, chips

    def __len__(self) -> int:
        return len(self._chips)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        return self._reader.read(self._chips[position])


@dataclass(frozen=True)
class ValidationBatches:
    """Batches of whole chips, padded to one size and to the stride of the network.

    Attributes
    ----------
    reader : ChipReader
        Reads chips.
    chips : tuple of ChipFile
        The chips of this process.
    size, stride, workers : int
        Chips of a batch, stride of the network, and processes that read chips.
    """

    reader: ChipReader
    chips: tuple[ChipFile, ...]
    size: int
    stride: int
    workers: int

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield bands (N, B, H, W) and labels (N, H, W) of int64."""
        loader = DataLoader(
            _Whole(self.reader, self.chips),
            batch_size=self.size,
            num_workers=self.workers,
            collate_fn=self._together,
        )
        return iter(loader)

    def _together(self, samples: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        sides = [
            -(-max(labels.shape[axis] for _, labels in samples) // self.stride) * self.stride
            for axis in (0, 1)
        ]
        images, labels = zip(*(padded(*each, *sides) for each in samples), strict=True)
        return torch.stack(images), torch.stack(labels).long()
