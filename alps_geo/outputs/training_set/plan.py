"""Plan of a training set: its chips and their splits, decided before any is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.errors import SettingsError
from alps_geo.outputs.training_set.chips import Chip, chip_name, chip_windows, unique_names
from alps_geo.outputs.training_set.places import places_of
from alps_geo.outputs.training_set.splits import LEFT_OUT, assign_splits
from alps_geo.settings.export import SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.outputs.training_set.classes import ClassTable
    from alps_geo.outputs.training_set.source import ChipSource
    from alps_geo.settings.export import ExportSettings

    Windows = list[list[Window]]


@dataclass(frozen=True)
class ChipPlan:
    """Chips of a training set.

    Attributes
    ----------
    chips : tuple of Chip
        The chips, source by source.
    sparse : int
        Chips that are left out because too little of them is labelled.
    in_gap : int
        Chips that are left out in the gap between splits.
    """

    chips: tuple[Chip, ...]
    sparse: int
    in_gap: int

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
    kept: Windows = []
    every, best = 0, 0.0
    for source in sources:
        tell(source)
        windows = chip_windows(source.shape, settings.chip_size, settings.step)
        number_of_id = classes.of_clusters(source.clusters())
        labelled = [_labelled(source, window, number_of_id) for window in windows]
        best, every = max([best, *labelled]), every + len(windows)
        pairs = zip(windows, labelled, strict=True)
        # A chip without any label is of no use, whatever the share.
        kept.append([w for w, share in pairs if share >= settings.min_labelled and share > 0])
    left = sum(map(len, kept))
    if not left:
        raise SettingsError(
            f"min_labelled is {settings.min_labelled:g}, but of no chip is more than {best:.3g} "
            "labelled; give a lower --min-labelled, or ignore fewer clusters"
        )
    chips = _chips(sources, kept, _splits(sources, kept, settings))
    return ChipPlan(chips, every - left, left - len(chips))


def _labelled(source: ChipSource, window: Window, number_of_id: NDArray[np.int32]) -> float:
    return float((number_of_id[source.segment_ids(window)] >= 0).mean())


def _splits(
    sources: Sequence[ChipSource], kept: Windows, settings: ExportSettings
) -> list[list[str | None]]:
    """Return the split of each window, None for those in the gap."""
    own = [source.split for source in sources]
    free: Windows = [[] if split else windows for split, windows in zip(own, kept, strict=True)]
    places = places_of(sources, free, settings.chip_size)
    found = iter(assign_splits(places, settings.split, settings.seed).tolist())

    def name(split: str | None) -> str | None:
        if split is not None:
            return split
        number = next(found)
        return None if number == LEFT_OUT else SPLITS[number]

    return [[name(split) for _ in windows] for split, windows in zip(own, kept, strict=True)]


def _chips(
    sources: Sequence[ChipSource], kept: Windows, splits: list[list[str | None]]
) -> tuple[Chip, ...]:
    found = [
        (number, chip_name(source, window), window, split)
        for number, source in enumerate(sources)
        for window, split in zip(kept[number], splits[number], strict=True)
        if split is not None
    ]
    names = unique_names([(split, name) for _, name, _, split in found])
    return tuple(
        Chip(number, name, window, split)
        for name, (number, _, window, split) in zip(names, found, strict=True)
    )
