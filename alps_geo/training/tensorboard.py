"""Event files of TensorBoard, where it is installed."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.training.history import EpochFigures


class EventLog:
    """Writes figures of epochs for TensorBoard; nothing where that is not installed.

    Parameters
    ----------
    folder : pathlib.Path or None
        Folder of the event files; None to write none.
    first : int
        The next epoch; what an earlier process wrote about it and later ones is not shown.
    """

    def __init__(self, folder: Path | None, first: int) -> None:
        self._writer: Any = None
        if folder is None:
            return
        with warnings.catch_warnings():
            # Its own dependencies warn of each other.
            warnings.simplefilter("ignore")
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._writer = SummaryWriter(str(folder), purge_step=first)

    def add(self, figures: EpochFigures) -> None:
        """Add the figures of an epoch."""
        if self._writer is None:
            return
        for name, value in asdict(figures).items():
            if name != "epoch":
                self._writer.add_scalar(name, value, figures.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
