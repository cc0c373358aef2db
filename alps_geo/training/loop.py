"""The loop of training: epochs of steps, validation, checkpoints, and an end in time."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

from alps_geo.events import Event
from alps_geo.training.checkpoint import (
    TrainingState,
    read_checkpoint,
    save_best,
    save_checkpoint,
)
from alps_geo.training.history import EpochFigures, write_learning_curves, write_log
from alps_geo.training.model_folder import CURVES, EVENTS, LOG
from alps_geo.training.networks import fill_network
from alps_geo.training.optimisation import (
    fill_optimiser,
    make_optimiser,
    optimiser_tensors,
    rate_at,
)
from alps_geo.training.steps import DivergedError, Steps, check_batch
from alps_geo.training.tensorboard import EventLog
from alps_geo.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from alps_geo.training.batches import TrainingBatches, ValidationBatches
    from alps_geo.training.losses import PixelLoss
    from alps_geo.training.processes import Processes
    from alps_geo.training.settings import TrainingSettings

    Listener = Callable[[Event], None]

_SECONDS_DRAWN = 10.0
"""Least time from one drawing of the learning curves to the next."""


@dataclass(frozen=True)
class Task:
    """All that a training works on.

    Attributes
    ----------
    network : torch.nn.Module
        The network, with its first weights, on the device.
    loss : PixelLoss
        The loss, on the device.
    train : TrainingBatches
        Chips to train on.
    val : ValidationBatches
        Chips to validate on.
    settings : TrainingSettings
        Settings.
    frozen : bool
        True if the encoder stays as it is.
    processes : Processes
        Processes that train together.
    folder : pathlib.Path
        Folder of checkpoints, log and curves.
    """

    network: nn.Module
    loss: PixelLoss
    train: TrainingBatches
    val: ValidationBatches
    settings: TrainingSettings
    frozen: bool
    processes: Processes
    folder: Path

    @property
    def steps(self) -> int:
        """Steps of all epochs."""
        return self.train.steps * self.settings.epochs


def train(task: Task, listen: Listener) -> TrainingState:
    """Train a network until all epochs are done or the validation figures rise no more.

    A training whose folder holds a checkpoint goes on from it, as if it had not been stopped.

    Parameters
    ----------
    task : Task
        The training.
    listen : callable
        Given an `Event` for each step and each note.

    Returns
    -------
    TrainingState
        The state at the end; the folder holds the best weights.

    Raises
    ------
    DivergedError
        If the loss is no number any more; the folder holds the best weights of the epochs before.
    ModelMemoryError
        If memory does not suffice.
    RunError
        If a file cannot be written; the checkpoint before is kept.
    """
    check_batch(task.network, task.processes.share(task.settings.batch_size))
    if task.frozen:
        task.network.get_submodule("encoder").requires_grad_(False)
    runner = _Runner(task, listen)
    with closing(runner.events):
        return runner.run()


class _Runner:
    """A training under way."""

    def __init__(self, task: Task, listen: Listener) -> None:
        self._task, self._listen = task, listen
        share = task.processes.share(task.settings.batch_size)
        self._optimiser = make_optimiser(task.network, task.settings)
        self._state = TrainingState(1, 0, 0.0, share)
        if (found := read_checkpoint(task.folder)) is not None:
            fill_network(task.network, found.weights, str(task.folder))
            fill_optimiser(self._optimiser, task.network, found.optimiser)
            self._state = found.state
        self._skipped = self._done
        self._steps = Steps(
            task.network,
            task.loss,
            self._optimiser,
            task.settings,
            task.processes,
            self._state.part,
            self._note,
        )
        self._saved = time.monotonic()
        self._drawn: float | None = None
        if found is not None:
            self._note(f"training goes on: {self._done} of {task.steps} steps are done")
        self.events = EventLog(task.folder / EVENTS if self._writes else None, self._state.epoch)

    @property
    def _writes(self) -> bool:
        return self._task.processes.is_first

    @property
    def _done(self) -> int:
        """Steps that are done."""
        return (self._state.epoch - 1) * self._task.train.steps + self._state.step

    def run(self) -> TrainingState:
        """Train to the end."""
        while not self._is_finished:
            try:
                self._train_epoch()
                self._end_epoch()
            except DivergedError as error:
                raise self._diverged(error) from error
        return self._state

    @property
    def _is_finished(self) -> bool:
        state, settings = self._state, self._task.settings
        waited = len(state.history) - state.best_epoch
        return state.epoch > settings.epochs or 0 < settings.patience <= waited

    def _train_epoch(self) -> None:
        """Take the steps of the epoch that are left."""
        task, epoch = self._task, self._state.epoch
        task.network.train()
        if task.frozen:
            task.network.get_submodule("encoder").eval()
        before = time.monotonic()
        for images, labels in task.train.of(epoch, self._state.step):
            loss = self._steps.take(images, labels, self._done, task.steps)
            now = time.monotonic()
            self._state = replace(
                self._state,
                step=self._state.step + 1,
                loss_sum=self._state.loss_sum + loss,
                part=self._steps.part,
                epoch_seconds=self._state.epoch_seconds + now - before,
            )
            before = now
            self._tell()
            if now - self._saved >= 60 * task.settings.checkpoint_minutes:
                self._save()

    def _end_epoch(self) -> None:
        """Validate, keep the weights if they are the best, and store all of it."""
        task, state, before = self._task, self._state, time.monotonic()
        found = validate(task.network, task.loss, task.val, task.settings, task.processes)
        if not isfinite(found.loss):
            raise DivergedError(f"the loss of the validation chips is {found.loss}")
        seconds = state.epoch_seconds + time.monotonic() - before
        scores = found.scores
        figures = EpochFigures(
            state.epoch,
            state.loss_sum / max(1, state.step),
            found.loss,
            scores.mean_iou,
            scores.accuracy,
            rate_at(self._done - 1, task.steps, task.settings),
            seconds,
        )
        is_best = (
            task.settings.keep == "last"
            or state.best is None
            or figures.mean_iou > state.best.mean_iou
        )
        self._state = TrainingState(
            state.epoch + 1,
            0,
            0.0,
            state.part,
            state.seconds + seconds,
            0.0,
            state.epoch if is_best else state.best_epoch,
            scores.class_iou if is_best else state.class_iou,
            (*state.history, figures),
        )
        if self._writes and is_best:
            save_best(task.folder, state.epoch, task.network.state_dict())
        self._save()
        self._show(figures)

    def _save(self) -> None:
        """Write a checkpoint."""
        if self._writes:
            task = self._task
            tensors = optimiser_tensors(self._optimiser, task.network)
            save_checkpoint(task.folder, self._state, task.network.state_dict(), tensors)
        self._saved = time.monotonic()

    def _show(self, figures: EpochFigures) -> None:
        """Write log, curves and events of the epochs so far."""
        if self._writes:
            folder, state = self._task.folder, self._state
            write_log(folder / LOG, state.history)
            self.events.add(figures)
            now = time.monotonic()
            # Short epochs would take less time than their drawing; the model has the last one.
            if self._drawn is None or now - self._drawn >= _SECONDS_DRAWN:
                write_learning_curves(folder / CURVES, state.history, state.best_epoch)
                self._drawn = now

    def _tell(self) -> None:
        state, best = self._state, self._state.best
        about = f"epoch {state.epoch}/{self._task.settings.epochs}"
        if best is not None:
            about += f", mean IoU {best.mean_iou:.3f}"
        done = self._done - self._skipped
        self._listen(Event("train", about, self._task.steps, done, self._skipped))

    def _note(self, text: str) -> None:
        self._listen(Event("train", "", self._task.steps, self._done, note=text))

    def _diverged(self, error: DivergedError) -> DivergedError:
        state = self._state
        kept = (
            f"the weights of epoch {state.best_epoch} are kept"
            if state.best_epoch
            else "no epoch was finished"
        )
        is_done = state.step == self._task.train.steps
        place = "after its last step" if is_done else f"step {state.step + 1}"
        return DivergedError(
            f"training stopped, for {error} in epoch {state.epoch}, {place}; {kept}: "
            "try a lower --learning-rate, a shorter --clip, --precision float32, or --loss ce"
        )
