"""Checkpoints: all that a training needs to go on, in one file that is whole or not there.

A checkpoint names the file of the best weights, which is written before it, so that the two are
of one training whenever it is stopped. Random numbers need no state: they follow from the seed,
the epoch and the step.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from alps_geo.errors import ModelError
from alps_geo.runs.stored_json import check_shape
from alps_geo.training.history import EpochFigures
from alps_geo.training.model_folder import write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

CHECKPOINT = "checkpoint.safetensors"
"""File of the latest checkpoint."""

_BEST = "best-{:06d}.safetensors"
_SHAPE = {
    "epoch": int,
    "step": int,
    "loss_sum": float,
    "part": int,
    "seconds": float,
    "epoch_seconds": float,
    "best_epoch": int,
    "class_iou": [(float, None)],
    "history": [{}],
}


@dataclass(frozen=True)
class TrainingState:
    """Position of a training, but for weights.

    Attributes
    ----------
    epoch, step : int
        Epoch that it is in, from 1, and steps of it that are done.
    loss_sum : float
        Sum of the losses of these steps.
    part : int
        Chips that are taken at once.
    seconds, epoch_seconds : float
        Time that all of it, and that this epoch took so far.
    best_epoch : int
        Epoch of the best weights; 0 before there are any.
    class_iou : tuple of (float or None)
        Intersection over union of each class by these weights.
    history : tuple of EpochFigures
        Figures of the epochs that are done.
    """

    epoch: int
    step: int
    loss_sum: float
    part: int
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    best_epoch: int = 0
    class_iou: tuple[float | None, ...] = ()
    history: tuple[EpochFigures, ...] = ()

    @property
    def best(self) -> EpochFigures | None:
        """Figures of the best weights."""
        return self.history[self.best_epoch - 1] if self.best_epoch else None

    @classmethod
    def from_json(cls, found: object) -> TrainingState:
        """Build a state from JSON; raise ValueError for JSON of another shape."""
        values = {**check_shape(found, _SHAPE)}
        history = tuple(map(EpochFigures.from_json, values.pop("history")))
        iou = tuple(values.pop("class_iou"))
        plain = {name: values[name] for name in _SHAPE if name in values}
        return cls(**plain, class_iou=iou, history=history)


def save_checkpoint(
    folder: Path,
    state: TrainingState,
    weights: Mapping[str, Tensor],
    optimiser: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint in the place of the one before, and let older best weights go.

    Raises
    ------
    RunError
        If it cannot be written; the one before is kept.
    """
    tensors = {f"network.{name}": value for name, value in weights.items()}
    tensors |= {f"optimiser.{name}": value for name, value in optimiser.items()}
    write_tensors(folder / CHECKPOINT, tensors, {"state": json.dumps(asdict(state))})
    for path in folder.glob(_BEST.format(0).replace("000000", "*")):
        if path.name != _BEST.format(state.best_epoch):
            path.unlink(missing_ok=True)


def save_best(folder: Path, epoch: int, weights: Mapping[str, Tensor]) -> None:
    """Write the best weights so far.

    Raises
    ------
    RunError
        If they cannot be written.
    """
    write_tensors(folder / _BEST.format(epoch), weights)


def read_best(folder: Path, epoch: int) -> dict[str, Tensor]:
    """Read the best weights.

    Raises
    ------
    ModelError
        If they are absent or damaged.
    """
    return _read(folder / _BEST.format(epoch))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes
    ----------
    state : TrainingState
        Position of the training.
    weights, optimiser : mapping of str to Tensor
        State of the network and of the optimiser.
    """

    state: TrainingState
    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the checkpoint of a training, None if it has none yet.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    tensors = _read(path)
    try:
        with safe_open(path, "pt") as file:
            state = TrainingState.from_json(json.loads((file.metadata() or {})["state"]))
    except (ValueError, KeyError) as error:
        raise ModelError(f"{path} is damaged ({error}); begin again with --overwrite") from error
    return Checkpoint(state, _part(tensors, "network."), _part(tensors, "optimiser."))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _read(path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path} is absent or damaged ({error}); begin again with --overwrite"
        ) from error
    return found
