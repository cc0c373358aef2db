"""Counts of a training set: chips, pixels and objects of each class in each split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.outputs.training_set.chips import LabelledChip

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SplitCounts:
    """Counts of one split.

    Attributes
    ----------
    split : str
        Its name.
    chips : int
        Its chips.
    unlabelled : int
        Pixels without a class.
    class_chips, class_pixels, class_objects : tuple of int
        Chips, pixels and objects of each class. An object in several chips counts once.
    """

    split: str
    chips: int
    unlabelled: int
    class_chips: tuple[int, ...]
    class_pixels: tuple[int, ...]
    class_objects: tuple[int, ...]

    @property
    def pixels(self) -> int:
        """All pixels, with a class or without."""
        return sum(self.class_pixels) + self.unlabelled

    def to_json(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        return {
            "split": self.split,
            "chips": self.chips,
            "unlabelled_pixels": self.unlabelled,
            "class_chips": list(self.class_chips),
            "class_pixels": list(self.class_pixels),
            "class_objects": list(self.class_objects),
        }


class ChipCounter:
    """Counts chips as they are written, source by source.

    Parameters
    ----------
    classes : int
        Number of classes.
    splits : sequence of str
        The splits.
    """

    def __init__(self, classes: int, splits: Sequence[str]) -> None:
        self._splits = list(splits)
        self._chips = np.zeros(len(splits), np.int64)
        # The last column counts what has no class.
        self._pixels = np.zeros((len(splits), classes + 1), np.int64)
        self._class_chips = np.zeros((len(splits), classes), np.int64)
        self._objects = np.zeros((len(splits), classes), np.int64)
        self._seen: set[tuple[int, int]] = set()
        self._source = ""

    def add(self, chip: LabelledChip) -> None:
        """Count one chip; chips of one source follow each other."""
        if chip.source != self._source:
            self._source, self._seen = chip.source, set()
        split = self._splits.index(chip.split)
        classes = self._objects.shape[1]
        pixels = np.bincount(
            np.where(chip.numbers < 0, classes, chip.numbers).ravel(), minlength=classes + 1
        )
        self._chips[split] += 1
        self._pixels[split] += pixels
        self._class_chips[split] += pixels[:-1] > 0
        for segment, number in zip(*(each.tolist() for each in chip.objects), strict=True):
            if (split, segment) not in self._seen:
                self._seen.add((split, segment))
                self._objects[split, number] += 1

    def counts(self) -> tuple[SplitCounts, ...]:
        """Return the counts of each split."""
        return tuple(
            SplitCounts(
                split,
                int(self._chips[i]),
                int(self._pixels[i, -1]),
                tuple(self._class_chips[i].tolist()),
                tuple(self._pixels[i, :-1].tolist()),
                tuple(self._objects[i].tolist()),
            )
            for i, split in enumerate(self._splits)
        )
