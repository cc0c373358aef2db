"""Writing of a training set: planned, written chip by chip into a hidden folder, put into place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.events import Event
from alps_geo.files import replacing_folder
from alps_geo.outputs.training_set.bands import ChipBands
from alps_geo.outputs.training_set.card import write_card
from alps_geo.outputs.training_set.chips import Chip, LabelledChip, read_chip
from alps_geo.outputs.training_set.counts import ChipCounter, SplitCounts
from alps_geo.outputs.training_set.files import append_rows, write_json
from alps_geo.outputs.training_set.format import SetFolder
from alps_geo.outputs.training_set.plan import ChipPlan, plan_chips
from alps_geo.outputs.training_set.record import (
    CARD,
    CHIPS,
    RECORD,
    SHEET,
    SetOrigin,
    TrainingSet,
    check_folder,
)
from alps_geo.outputs.training_set.settings import SPLITS
from alps_geo.outputs.training_set.sheet import draw_pair, shown_chips, write_sheet
from alps_geo.windows import origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from PIL import Image

    from alps_geo.outputs.training_set.classes import ClassTable
    from alps_geo.outputs.training_set.format import TrainingFormat
    from alps_geo.outputs.training_set.settings import ExportSettings
    from alps_geo.outputs.training_set.source import ChipSource

    Listener = Callable[[Event], None]

_COLUMNS = ("split", "chip", "source", "row", "col", "height", "width")


@dataclass(frozen=True)
class SetRequest:
    """A training set that is to be made.

    Attributes
    ----------
    format : TrainingFormat
        Its format.
    sources : sequence of ChipSource
        Sources of its chips, one at least. They are asked for one after the other, twice.
    classes : ClassTable
        Its classes.
    settings : ExportSettings
        Chips and splits.
    origin : SetOrigin
        Origin of the labels, for the card.
    notes : tuple of str
        Notes for its card, one sentence each.
    """

    format: TrainingFormat
    sources: Sequence[ChipSource]
    classes: ClassTable
    settings: ExportSettings
    origin: SetOrigin
    notes: tuple[str, ...] = ()


def write_training_set(
    request: SetRequest, out: Path, *, overwrite: bool, listen: Listener
) -> TrainingSet:
    """Write a training set, whole or not at all.

    Parameters
    ----------
    request : SetRequest
        The set.
    out : pathlib.Path
        Its folder.
    overwrite : bool
        True to replace a training set that is there.
    listen : callable
        Given an `Event` for each source that is looked at, each chip that is written, and each
        note.

    Raises
    ------
    RunError
        If the folder is taken or cannot be written, or labels cannot be read.
    SettingsError
        If the settings or the format do not go with the sources.
    SceneError
        If pixels cannot be read.
    """
    check_folder(out, overwrite=overwrite)
    bands = ChipBands(request.sources[0], request.settings)

    def look(source: ChipSource) -> None:
        request.format.check(source)
        bands.of(source)
        listen(Event("look", source.name))

    plan = plan_chips(request.sources, request.classes, request.settings, look)
    notes = (*request.notes, *_split_notes(request, plan))
    for note in notes:
        listen(Event("chips", tiles=len(plan.chips), note=note))
    with replacing_folder(out) as part:
        writer = _SetWriter(request, plan, bands, part)
        pairs = writer.write_chips(listen)
        training_set = TrainingSet(
            request.format.name,
            request.origin,
            request.settings,
            request.classes,
            writer.counts(),
            plan,
            notes,
        )
        _finish(training_set, request, part, pairs)
    return training_set


class _SetWriter:
    """Writer of the chips of a planned set."""

    def __init__(self, request: SetRequest, plan: ChipPlan, bands: ChipBands, folder: Path) -> None:
        self._request, self._plan, self._bands, self._path = request, plan, bands, folder
        settings, classes = request.settings, request.classes
        layout = SetFolder(folder, classes, plan.splits, len(bands), settings.is_native)
        self._writer = request.format.begin(layout)
        self._counter = ChipCounter(len(classes), plan.splits)

    def write_chips(self, listen: Listener) -> list[tuple[Chip, Image.Image]]:
        """Write all chips, and return drawings of some."""
        plan, classes = self._plan, self._request.classes
        shown = shown_chips(plan.chips, plan.splits, self._request.settings.seed)
        pairs = []
        append_rows(self._path / CHIPS, [_COLUMNS])
        for index, (source, chip) in enumerate(self._chips()):
            self._writer.write(chip)
            self._counter.add(chip)
            append_rows(self._path / CHIPS, [_row(chip)])
            if index in shown:
                picture = source.picture(chip.chip.window)
                pairs.append((chip.chip, draw_pair(chip, picture, classes)))
            listen(Event("chips", source.name, len(plan.chips), index + 1))
        self._writer.finish()
        return sorted(pairs, key=lambda pair: plan.splits.index(pair[0].split))

    def counts(self) -> tuple[SplitCounts, ...]:
        """Return the counts of the chips that are written."""
        return self._counter.counts()

    def _chips(self) -> Iterator[tuple[ChipSource, LabelledChip]]:
        at, number_of_id = -1, None
        for chip in self._plan.chips:
            if chip.source != at or number_of_id is None:
                at = chip.source
                source = self._request.sources[at]
                number_of_id = self._request.classes.of_clusters(source.clusters())
            yield source, read_chip(source, chip, number_of_id, self._bands.of(source))


def _row(chip: LabelledChip) -> tuple[object, ...]:
    return chip.split, chip.name, chip.source, *origin(chip.chip.window), *chip.shape


def _split_notes(request: SetRequest, plan: ChipPlan) -> Iterator[str]:
    """Say which splits are empty though they have a share."""
    if any(source.split is not None for source in plan.sources):
        return
    wanted = [name for name, share in zip(SPLITS, request.settings.split, strict=True) if share]
    if empty := [name for name in wanted if name not in plan.splits]:
        yield (
            f"{' and '.join(empty)} {'have' if len(empty) > 1 else 'has'} no chips, for there are "
            f"too few to keep splits apart; a smaller --chip-size gives more of them"
        )


def _finish(
    training_set: TrainingSet,
    request: SetRequest,
    part: Path,
    pairs: Sequence[tuple[Chip, Image.Image]],
) -> None:
    """Write the card, the contact sheet and the record."""
    write_card(part / CARD, training_set, request.format)
    pixels = [
        sum(each) for each in zip(*(c.class_pixels for c in training_set.counts), strict=True)
    ]
    pixels.append(sum(each.unlabelled for each in training_set.counts))
    chips, classes = len(training_set.plan.chips), len(training_set.classes)
    title = f"{chips} chip{'s' * (chips != 1)}, {classes} class{'es' * (classes != 1)}"
    write_sheet(part / SHEET, title, pairs, training_set.classes, pixels)
    contents = (*(each.name for each in part.iterdir()), RECORD)
    write_json(part / RECORD, training_set.to_json(contents))
