"""The work on one tile of a prediction: from its pixels to stored probabilities of classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.masks.machine import machine_of
from alps_geo.tiles.contract import Outcome, TaskError, load_with_note, retry_once
from alps_geo.tiles.jobs import TileTasks
from alps_geo.training.inference import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.events import Tally
    from alps_geo.grid import TileGrid
    from alps_geo.runs.probability_store import ProbabilityStore
    from alps_geo.tiles.jobs import Task
    from alps_geo.training.model import TrainedModel
    from alps_geo.training.predict_bands import InputBands
    from alps_geo.training.predict_settings import PredictSettings

    Pixels = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class PredictJob:
    """One scene of a prediction.

    Attributes
    ----------
    name : str
        The scene's folder in the run folder.
    bands : InputBands
        The scene, and the bands that the network is given.
    grid : TileGrid
        Its tiles.
    store : ProbabilityStore
        Stored probabilities of its tiles.
    """

    name: str
    bands: InputBands
    grid: TileGrid
    store: ProbabilityStore


@dataclass(frozen=True)
class PredictStage(TileTasks[PredictJob]):
    """Tiles, settings and the unloaded model of a prediction; can be pickled.

    Attributes
    ----------
    jobs : sequence of PredictJob
        The scenes.
    settings : PredictSettings
        The settings.
    folder : pathlib.Path
        Folder of the model.
    model : TrainedModel
        Its description.
    """

    settings: PredictSettings
    folder: Path
    model: TrainedModel

    def load(self) -> PredictWorker:
        """Load the network.

        Raises
        ------
        ModelError
            If it cannot be used, or memory does not suffice for it.
        """
        return PredictWorker(self, Predictor.load(self.folder, self.model, self.settings))

    def load_with_note(self, tally: Tally) -> PredictWorker:
        """Load the network, and tell the user so."""
        return load_with_note(self.load, self.model.architecture, tally)


@dataclass(frozen=True, eq=False)
class PredictWorker:
    """The stage with its network loaded; each process has its own.

    Attributes
    ----------
    stage : PredictStage
        Scenes and settings.
    predictor : Predictor
        The network.
    """

    stage: PredictStage
    predictor: Predictor

    @property
    def images_at_once(self) -> int:
        """Tasks to give to `encode` at once: one, for tiles share no work."""
        return 1

    def __call__(self, task: Task) -> Outcome:
        """Read the pixels of a tile, predict their classes and store the probabilities."""
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
            try:
                result, outcome = self.compute(task, self.read(task))
            except TaskError as error:
                return Outcome(computed=False, reason=str(error))
        self.save(task, result)
        return outcome

    def read(self, task: Task) -> Pixels:
        """Read a tile's bands on the scale of the network, and its valid mask.

        Raises
        ------
        TaskError
            If they cannot be read, or memory does not suffice twice.
        """
        job, tile = self.stage.find(task)
        return retry_once(partial(job.bands.network_input, tile.window, self.stage.model))

    def encode(self, tiles: Sequence[tuple[Task, Any]]) -> Sequence[None]:
        """Leave all work on tiles to `compute`."""
        return [None] * len(tiles)

    def compute(
        self,
        task: Task,  # noqa: ARG002 (a part of the contract)
        pixels: Pixels,
        encoded: Any = None,  # noqa: ARG002
    ) -> tuple[NDArray[np.uint8], Outcome]:
        """Predict the classes of a tile.

        Raises
        ------
        TaskError
            If memory does not suffice twice.
        """
        values, valid = pixels
        if not valid.any():
            classes = len(self.stage.model.classes)
            return np.zeros((classes, *valid.shape), np.uint8), Outcome(computed=False)
        found = retry_once(partial(self.predictor.probabilities, values, valid))
        return found, Outcome(computed=True, machine=machine_of(self.stage.settings.device))

    def save(self, task: Task, result: NDArray[np.uint8]) -> None:
        """Store a tile's probabilities."""
        job, tile = self.stage.find(task)
        job.store.save(tile, result)
