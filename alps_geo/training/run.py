"""A training from its chips to the folder of its model, the same for both commands."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from alps_geo import __version__
from alps_geo.classes.vector_file import listed
from alps_geo.errors import SceneError
from alps_geo.events import Event
from alps_geo.training.augmentation import Augmentation
from alps_geo.training.batches import BYTES_HELD, ChipReader, TrainingBatches, ValidationBatches
from alps_geo.training.checkpoint import TrainingState, read_best, read_checkpoint
from alps_geo.training.loop import Task, train
from alps_geo.training.losses import PixelLoss, class_weights
from alps_geo.training.model import Figures, NetworkSpec, TrainedModel, TrainingData
from alps_geo.training.model_folder import write_model
from alps_geo.training.networks import stride_of
from alps_geo.training.parts import TRAIN, VAL, drawn_chips
from alps_geo.training.steps import DivergedError
from alps_geo.training.survey import survey_chips

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from alps_geo.training.chip_folder import ChipFolder
    from alps_geo.training.model import BandStatistics, Parent
    from alps_geo.training.processes import Processes
    from alps_geo.training.settings import TrainingSettings
    from alps_geo.training.survey import Survey

    Listener = Callable[[Event], None]

_LARGEST_CROP = 512
_PROGRAMS = ("torch", "segmentation-models-pytorch")


@dataclass(frozen=True)
class Request:
    """A training that is to be done.

    Attributes
    ----------
    folder : ChipFolder
        Chips of the splits train and val.
    stamp : str
        SHA-256 of all that decides chips and labels.
    settings : TrainingSettings
        Settings.
    out : pathlib.Path
        Folder of the model.
    processes : Processes
        Processes that train together.
    fraction : float
        Share of the labels that is used.
    of_pixels : bool
        True to draw pixels with labels, False for chips with labels.
    frozen : bool
        True if the encoder stays as it is.
    """

    folder: ChipFolder
    stamp: str
    settings: TrainingSettings
    out: Path
    processes: Processes
    fraction: float = 1.0
    of_pixels: bool = False
    frozen: bool = False


@dataclass(frozen=True)
class Beginning:
    """A network before training, and the scale of its bands.

    Attributes
    ----------
    network : torch.nn.Module
        The network.
    spec : NetworkSpec
        Its shape.
    statistics : tuple of BandStatistics
        Scale of the bands.
    initial : str
        Origin of the weights: ``imagenet``, ``random`` or ``model``.
    parents : tuple of Parent
        Models that they come from.
    """

    network: nn.Module
    spec: NetworkSpec
    statistics: tuple[BandStatistics, ...]
    initial: str
    parents: tuple[Parent, ...] = ()


def run_training(
    request: Request, begin: Callable[[Survey], Beginning], listen: Listener
) -> TrainedModel:
    """Train a network on chips, and write the folder of the model.

    Parameters
    ----------
    request : Request
        The training.
    begin : callable
        Makes the network, given a survey of the chips that are trained on.
    listen : callable
        Given an `Event` for each chip that is looked at, each step and each note.

    Raises
    ------
    SceneError
        If chips cannot be read or do not go with each other.
    DivergedError
        If the loss is no number any more; the model of the best epoch before is written.
    AlpsGeoError
        As `alps_geo.training.loop.train`.
    """
    first = request.processes.is_first
    tell = listen if first else _ignore
    surveys = {
        split: survey_chips(request.folder, request.folder.of(split), tell)
        for split in (TRAIN, VAL)
    }
    for note in _survey_notes(request.folder, surveys):
        tell(Event("look", note=note))
    torch.manual_seed(request.settings.seed)
    beginning = begin(surveys[TRAIN])
    task = _task(request, surveys[TRAIN], beginning)
    try:
        state = train(task, tell)
    except DivergedError:
        found = read_checkpoint(request.out)
        if first and found is not None and found.state.best_epoch:
            _write(request, task, beginning, surveys[TRAIN], found.state)
        raise
    model = _write(request, task, beginning, surveys[TRAIN], state) if first else None
    request.processes.wait()
    return model or _described(request, task, beginning, surveys[TRAIN], state)


def _ignore(event: Event) -> None:
    """Hear an event in a process that another one speaks for."""


def _survey_notes(folder: ChipFolder, surveys: dict[str, Survey]) -> list[str]:
    """Describe classes that one split has and the other lacks; check that bands are the same."""
    train_set, val = surveys[TRAIN], surveys[VAL]
    if (found := (len(val.bands), val.dtype)) != (
        expected := (len(train_set.bands), train_set.dtype)
    ):
        raise SceneError(
            f"{folder.root}: chips of val have {found[0]} bands of {found[1]} and those of train "
            f"{expected[0]} of {expected[1]}, expected the same: write them alike"
        )
    if not sum(val.labelled):
        raise SceneError(
            f"{folder.root}: no pixel of the chips of val has a label, expected some: check the "
            "masks and the values that are ignored"
        )
    notes = []
    for one, other, has, lacks in (
        (VAL, TRAIN, val.counts, train_set.counts),
        (TRAIN, VAL, train_set.counts, val.counts),
    ):
        alone = [
            each.name
            for each, count, others in zip(folder.classes, has, lacks, strict=True)
            if count and not others
        ]
        if alone:
            notes.append(
                f"{len(alone)} of {len(folder.classes)} classes are in {one} and not in {other}: "
                f"{listed(alone)}"
            )
    return notes


def _task(request: Request, survey: Survey, beginning: Beginning) -> Task:
    """Put together the training of a network."""
    settings, processes, folder = request.settings, request.processes, request.folder
    stride, device = stride_of(beginning.network), processes.device
    share = processes.share(settings.batch_size)
    whole = request.of_pixels or request.fraction == 1
    chips = drawn_chips(
        folder.of(TRAIN), survey.labelled, 1.0 if whole else request.fraction, settings.seed
    )
    kept = request.fraction if request.of_pixels else 1.0
    crop = _crop(settings, survey, stride)
    workers = settings.workers
    if workers is None:
        workers = 4 if device.type == "cuda" else 0
    # Other processes end with each epoch, and would fill their memory for nothing.
    room = 0 if workers else BYTES_HELD
    train_set = TrainingBatches(
        ChipReader(folder, beginning.statistics, kept, settings.seed, room),
        chips,
        Augmentation(crop, settings.flips, settings.scale, settings.color),
        settings.batch_size,
        settings.seed,
        workers,
        (processes.number, processes.count),
        settings.epoch_steps,
    )
    val = ValidationBatches(
        ChipReader(folder, beginning.statistics, room=room),
        folder.of(VAL)[processes.number :: processes.count],
        share,
        stride,
        workers,
    )
    # A share of the labels knows no more of the classes than its own chips show.
    rows = [index for index, chip in enumerate(folder.of(TRAIN)) if chip in {*chips}]
    counts = survey.chip_counts[rows].sum(axis=0)
    loss = PixelLoss(settings, class_weights(counts, settings.class_weights))
    network = beginning.network.to(device)
    return Task(
        network, loss.to(device), train_set, val, settings, request.frozen, processes, request.out
    )


def _crop(settings: TrainingSettings, survey: Survey, stride: int) -> int:
    """Return the side that is trained on at once, a multiple of the stride."""
    side = settings.crop or min(_LARGEST_CROP, survey.side)
    return -(-side // stride) * stride


def _write(
    request: Request, task: Task, beginning: Beginning, survey: Survey, state: TrainingState
) -> TrainedModel:
    """Write the model of the best weights in the place of the training."""
    weights = read_best(request.out, state.best_epoch)
    model = _described(request, task, beginning, survey, state)
    return write_model(request.out, model, weights, state.history)


def _described(
    request: Request, task: Task, beginning: Beginning, survey: Survey, state: TrainingState
) -> TrainedModel:
    """Describe the model of the best weights."""
    best, folder = state.history[state.best_epoch - 1], request.folder
    return TrainedModel(
        beginning.spec.architecture,
        beginning.spec.encoder,
        beginning.statistics,
        folder.values,
        survey.dtype,
        folder.classes,
        task.train.augmentation.crop,
        stride_of(task.network),
        beginning.initial,
        beginning.parents,
        TrainingData(
            str(folder.root.resolve()),
            folder.labels,
            request.stamp,
            len(task.train.chips),
            len(folder.of(VAL)),
            request.fraction,
        ),
        request.settings.to_dict(),
        Figures(
            len(state.history),
            best.epoch,
            best.loss,
            best.val_loss,
            best.mean_iou,
            best.accuracy,
            state.class_iou,
            round(state.seconds, 3),
            request.processes.device_name,
        ),
        {"alps-geo": __version__, **{name: version(name) for name in _PROGRAMS}},
    )
