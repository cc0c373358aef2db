"""History of a training: the figures of its epochs, as CSV and as curves."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from alps_geo.files import write_bytes
from alps_geo.outputs.curves import Curve, Mark, write_curves
from alps_geo.runs.stored_json import check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SHAPE = {
    "epoch": int,
    "loss": float,
    "val_loss": float,
    "mean_iou": float,
    "accuracy": float,
    "learning_rate": float,
    "seconds": float,
}


@dataclass(frozen=True)
class EpochFigures:
    """Figures of one epoch.

    Attributes
    ----------
    epoch : int
        Its number, from 1.
    loss : float
        Mean loss of the training chips.
    val_loss, mean_iou, accuracy : float
        Mean loss, mean intersection over union and share of right pixels of the validation chips
        after it.
    learning_rate : float
        That of the decoder at its end.
    seconds : float
        Time that it took, without interruptions.
    """

    epoch: int
    loss: float
    val_loss: float
    mean_iou: float
    accuracy: float
    learning_rate: float
    seconds: float

    @classmethod
    def from_json(cls, found: object) -> EpochFigures:
        """Build figures from JSON; raise ValueError for JSON of another shape."""
        values = check_shape(found, _SHAPE)
        return cls(**{name: values[name] for name in _SHAPE})


def write_log(path: Path, history: Sequence[EpochFigures]) -> None:
    """Write the figures of all epochs as CSV.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(each.name for each in fields(EpochFigures))
    rows.writerows([f"{value:.6g}" for value in astuple(each)] for each in history)
    write_bytes(path, text.getvalue().encode())


def write_learning_curves(path: Path, history: Sequence[EpochFigures], best: int) -> None:
    """Draw losses, accuracy and learning rate over the epochs as a PNG.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    history : sequence of EpochFigures
        One epoch at least.
    best : int
        The epoch to mark: that whose weights were kept.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    titles = {
        "loss": ("loss of training chips", "no unit"),
        "val_loss": ("loss of validation chips", "no unit"),
        "mean_iou": ("mean IoU of validation chips", "0 to 1"),
        "learning_rate": ("learning rate of the decoder", "no unit"),
    }
    epochs = tuple(float(each.epoch) for each in history)
    curves = [
        Curve(title, unit, epochs, tuple(getattr(each, name) for each in history))
        for name, (title, unit) in titles.items()
    ]
    write_curves(path, curves, mark=Mark(best, "best, whose weights were kept"), across="epoch")
