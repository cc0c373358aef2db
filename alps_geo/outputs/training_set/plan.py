"""Plan of a training set: its chips and their splits, decided before any is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from alps_geo.errors import SettingsError
from alps_geo.outputs.training_set.chips import Chip, chip_name, chip_windows, unique_names
from alps_geo.outputs.training_set.places import places_of
from alps_geo.outputs.training_set.settings import SPLITS
from alps_geo.outputs.training_set.source import SourceFacts
from alps_geo.outputs.training_set.splits import LEFT_OUT, assign_splits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.outputs.training_set.classes import ClassTable
    from alps_geo.outputs.training_set.settings import ExportSettings
    from alps_geo.outputs.training_set.source import ChipSource


@dataclass(frozen=True)
class ChipPlan:
    """Chips of a training set.

    Attributes
    ----------
    sources : tuple of SourceFacts
        The sources, including sources without chips.
    chips : tuple of Chip
        The chips, source by source.
    sparse : int
        Chips that are left out because too little of them is labelled.
    in_gap : int
        Chips that are left out in the gap between splits.
    """

    sources: tuple[SourceFacts, ...]
    chips: tuple[Chip, ...]
    sparse: int
    in_gap: int

    @property
    def chips_of(self) -> Counter[int]:
        """Number of chips of each source, by its position."""
        return Counter(chip.source for chip in self.chips)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that have chips: train, val and test first, then others by name."""
        found = {chip.split for chip in self.chips}
        return (*(each for each in SPLITS if each in found), *sorted(found - {*SPLITS}))


def plan_chips(
    sources: Sequence[ChipSource],
    classes: ClassTable,
    settings: ExportSettings,
    tell: Callable[[ChipSource], None],
) -> ChipPlan:
    """Choose the chips of sources, and their splits.

    Parameters
    ----------
    sources : sequence of ChipSource
        The sources; one is asked for at a time.
    classes : ClassTable
        Classes of the set.
    settings : ExportSettings
        Size, overlap, least labelled share, shares of the splits and seed.
    tell : callable
        Called with each source that is looked at.

    Raises
    ------
    SettingsError
        If no chip is left.
    SceneError, RunError
        If a source cannot be read.
    """
    kept: list[list[_Candidate]] = []
    facts = []
    every, best = 0, 0.0
    for source in sources:
        tell(source)
        facts.append(SourceFacts.of(source))
        windows = chip_windows(source.shape, settings.chip_size, settings.step)
        number_of_id = classes.of_clusters(source.clusters())
        found = [_candidate(source, window, number_of_id) for window in windows]
        best, every = max([best, *(each.labelled for each in found)]), every + len(windows)
        # A chip without any label is of no use, whatever the share.
        kept.append([e for e in found if e.labelled >= settings.min_labelled and e.labelled > 0])
    left = sum(map(len, kept))
    if not left:
        raise SettingsError(
            f"min_labelled is {settings.min_labelled:g}, but the best chip is only "
            f"{100 * best:.3g} % labelled; give a lower --min-labelled, or ignore fewer clusters"
        )
    chips = _chips(kept, _splits(facts, kept, settings, len(classes)))
    return ChipPlan(tuple(facts), chips, every - left, left - len(chips))


@dataclass(frozen=True)
class _Candidate:
    """A window, its name, its share that is labelled, and its classes and their pixels."""

    name: str
    window: Window
    labelled: float
    numbers: NDArray[np.int32]
    pixels: NDArray[np.int64]


def _candidate(source: ChipSource, window: Window, number_of_id: NDArray[np.int32]) -> _Candidate:
    numbers = number_of_id[source.segment_ids(window)]
    labelled = numbers[numbers >= 0]
    found, pixels = np.unique(labelled, return_counts=True)
    return _Candidate(
        chip_name(source, window), window, labelled.size / numbers.size, found, pixels
    )


def _splits(
    sources: Sequence[SourceFacts],
    kept: Sequence[list[_Candidate]],
    settings: ExportSettings,
    classes: int,
) -> list[list[str | None]]:
    """Return the split of each candidate, None for those in the gap."""
    own = [source.split for source in sources]
    free = [[] if split else candidates for split, candidates in zip(own, kept, strict=True)]
    windows = [[each.window for each in candidates] for candidates in free]
    places = places_of(sources, windows, settings.chip_size)
    content = _content([each for candidates in free for each in candidates], classes)
    found = iter(assign_splits(places, content, settings.split, settings.seed).tolist())

    def name(split: str | None) -> str | None:
        if split is not None:
            return split
        number = next(found)
        return None if number == LEFT_OUT else SPLITS[number]

    return [[name(split) for _ in each] for split, each in zip(own, kept, strict=True)]


def _content(candidates: Sequence[_Candidate], classes: int) -> csr_array:
    """Return the pixels of each class in each chip, shape (n, classes)."""
    pointers = np.cumsum([0, *(len(each.numbers) for each in candidates)])
    numbers = np.concatenate([np.empty(0, np.int32), *(each.numbers for each in candidates)])
    pixels = np.concatenate([np.empty(0, np.int64), *(each.pixels for each in candidates)])
    return csr_array((pixels, numbers, pointers), shape=(len(candidates), classes))


def _chips(
    kept: Sequence[list[_Candidate]],
    splits: list[list[str | None]],
) -> tuple[Chip, ...]:
    found = [
        (number, each.name, each.window, split)
        for number, (candidates, of_each) in enumerate(zip(kept, splits, strict=True))
        for each, split in zip(candidates, of_each, strict=True)
        if split is not None
    ]
    names = unique_names([(split, name) for _, name, _, split in found])
    return tuple(
        Chip(number, name, window, split)
        for name, (number, _, window, split) in zip(names, found, strict=True)
    )
