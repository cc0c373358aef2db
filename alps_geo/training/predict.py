"""Prediction: maps of the classes that a trained network finds in scenes, in one run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from alps_geo.clusters.legend import Legend
from alps_geo.errors import SceneError
from alps_geo.events import Event, Tally
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.grid import TileGrid
from alps_geo.outputs.class_map import ClassMap
from alps_geo.outputs.names import PREDICTED_FILES
from alps_geo.outputs.provenance import Provenance
from alps_geo.pipeline.stages import Clock, own_folder, shared_folder
from alps_geo.pipeline.tile_shares import (
    EVERYTHING,
    ShareProgress,
    ShareRequest,
    progress_of,
    work_on_share,
)
from alps_geo.review.edits import check_replaceable
from alps_geo.runs.claim import claimed
from alps_geo.runs.describe import with_machines
from alps_geo.runs.failures import write_each
from alps_geo.runs.flags import DEFAULT_FLAGS, RunFlags
from alps_geo.runs.identity import fingerprint, scene_identity
from alps_geo.runs.names import folder_names
from alps_geo.runs.plan import Plan, PlannedScene
from alps_geo.runs.prediction import PredictionRecord, write_prediction
from alps_geo.runs.probability_store import ProbabilityStore
from alps_geo.runs.store import earlier_record, publish
from alps_geo.runs.tile_claim import claimed_together
from alps_geo.runs.workers import at_work, tiles_by_machine
from alps_geo.runs.writing import replaced, sweep
from alps_geo.scene.raster import absolute_path, is_local
from alps_geo.tiles.executors import choose_executor
from alps_geo.tiles.shares import ShareStage
from alps_geo.tiles.work import label_tiles
from alps_geo.training.blending import StoredProbabilities, blended
from alps_geo.training.model_folder import DESCRIPTION, WEIGHTS, read_model
from alps_geo.training.networks import check_installed
from alps_geo.training.predict_bands import open_input
from alps_geo.training.predict_record import prediction_record
from alps_geo.training.predict_settings import PredictSettings
from alps_geo.training.predict_stage import PredictJob, PredictStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.outputs.class_map import ClassTotals
    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.folder import RunFolder
    from alps_geo.training.blending import Blended
    from alps_geo.training.model import TrainedModel
    from alps_geo.training.predict_bands import InputBands

STAGE_VERSION = 1
"""Raised whenever tiles have other probabilities or files, so that stored ones are redone."""

_SETTINGS = PredictSettings()


def predict_scenes(
    paths: Sequence[str],
    folder: Path,
    out: Path | RunAddress,
    settings: PredictSettings = _SETTINGS,
    flags: RunFlags = DEFAULT_FLAGS,
    *,
    listen: Callable[[Event], None] = lambda _: None,
) -> PredictionRecord:
    """Predict the classes of the pixels of scenes, and write the results into a run folder.

    >>> record = predict_scenes(["scene.tif"], Path("model"), Path("out"))  # doctest: +SKIP

    Parameters
    ----------
    paths : sequence of str
        At least one raster.
    folder : pathlib.Path
        Folder of the trained model.
    out : pathlib.Path or RunAddress
        The run folder, on this machine or in an object store. A prediction of the same scenes,
        model and settings that was stopped there goes on, and tries tiles that failed again; one
        that has finished is left as it is.
    settings : PredictSettings
        Settings.
    flags : RunFlags
        Treatment of earlier results, and of failures.
    listen : callable
        Called with an `Event` whenever something has moved.

    Raises
    ------
    AlpsGeoError
        If a scene, the model or the run folder cannot be used, if no tile can be predicted, or, if
        the flags are strict, if one cannot.
    """
    clock, place = Clock(), own_folder(out, settings)
    executor = choose_executor(settings)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        prediction = open_prediction(paths, Path(folder), place, settings, listen)
        plan = prediction.plan()
        record = earlier_record(place, plan, prediction.tally, flags, PredictionRecord)
        if record is not None:
            return record
        check = partial(check_replaceable, place, discard_edits=flags.discard_edits)
        with claimed(
            place,
            plan,
            overwrite=flags.overwrite,
            force=flags.force,
            inputs=prediction.inputs(),
            check=check,
        ) as cleared:
            clock.lap("open")
            with at_work(place) as log:
                failed = label_tiles(
                    prediction.stage, prediction.tally, executor, strict=flags.strict, log=log
                )
            clock.lap("tiles")
            with replaced(place, plan, check) as target:
                scenes = {each.name: each.path for each in plan.scenes}
                write = partial(prediction.write, target, cleared.plan)
                announce = partial(prediction.tally.tell, "write")
                totals, unwritten = write_each(
                    scenes, write, target.scene_folder, announce, strict=flags.strict
                )
                clock.lap("write")
                record = prediction_record(
                    prediction.stage, prediction.legend, totals, [*failed, *unwritten], clock.laps
                )
                record = with_machines(record, tiles_by_machine(place))
                write_prediction(target.record_path, record)
            sweep(place, plan)
            publish(place, prediction.tally)
            return record


def predict_share(
    paths: Sequence[str],
    folder: Path,
    out: Path | RunAddress,
    settings: PredictSettings = _SETTINGS,
    request: ShareRequest = EVERYTHING,
    *,
    listen: Callable[[Event], None] = lambda _: None,
) -> ShareProgress:
    """Work on a share of the tiles of a prediction that any number of processes work on together.

    When all tiles are done, `predict_scenes` finishes it.

    Parameters
    ----------
    paths, folder, out, settings, listen
        As for `predict_scenes`.
    request : ShareRequest
        The tiles to work on; all of them by default.

    Raises
    ------
    AlpsGeoError
        As `alps_geo.pipeline.tile_shares.label_share`.
    """
    place, executor = shared_folder(out, settings), choose_executor(settings)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        prediction = open_prediction(paths, Path(folder), place, settings, listen)
        plan = prediction.plan()
        with claimed_together(place, plan, prediction.inputs()):
            stage = ShareStage(prediction.stage, request.share)
            failed = work_on_share(place, stage, executor, listen, strict=request.strict)
            return progress_of(place, plan, request.share, failed)


@dataclass(frozen=True)
class Prediction:
    """Scenes, settings and the model of a prediction.

    Attributes
    ----------
    stage : PredictStage
        The work on tiles.
    tally : Tally
        Told what is done.
    """

    stage: PredictStage
    tally: Tally

    @property
    def legend(self) -> Legend:
        """Ids, names and colours of the classes."""
        return class_legend_of(self.stage.model)

    def plan(self) -> Plan:
        """Return the plan of the run."""
        stage = self.stage
        identity = {
            "version": version("alps-geo"),
            "predict": True,
            "scenes": [job.bands.scene.name for job in stage.jobs],
            "tiles": [job.store.key for job in stage.jobs],
            "classes": [asdict(each) for each in stage.model.classes],
            "settings": stage.settings.deciding("outputs"),
        }
        return Plan(
            fingerprint=fingerprint(identity),
            scenes=tuple(
                PlannedScene(
                    job.name,
                    absolute_path(job.bands.scene.path),
                    job.store.folder.name,
                    len(job.grid),
                )
                for job in stage.jobs
            ),
            files=tuple(f"{job.name}/{name}" for job in stage.jobs for name in PREDICTED_FILES),
        )

    def inputs(self) -> list[str]:
        """List the files that the run reads."""
        scenes = [job.bands.scene.path for job in self.stage.jobs]
        model = [str(self.stage.folder / name) for name in (WEIGHTS, DESCRIPTION)]
        return [path for path in scenes if is_local(path)] + model

    def blended(self, job: PredictJob) -> Iterator[Blended]:
        """Blend the stored probabilities of a scene."""
        load = StoredProbabilities(self.stage, self.tally).of(job)
        return blended(job, load, len(self.stage.model.classes))

    def origin(self, plan: Plan) -> Provenance:
        """Return what the results of a plan tell of their making."""
        network = self.stage.model.network
        return Provenance(
            f"alps-geo {version('alps-geo')}",
            f"{network.architecture}-{network.encoder}",
            plan.fingerprint,
            plan.date,
        )

    def write(self, target: RunFolder, plan: Plan, name: str) -> ClassTotals:
        """Write the results of a scene."""
        (job,) = (each for each in self.stage.jobs if each.name == name)
        legend = self.legend
        ids: NDArray[np.unsignedinteger] = legend.ids.astype(
            np.uint8 if legend.ids[-1] <= 255 else np.uint16
        )
        # In one pass: the tiles of a store are fetched once.
        blocks = ((part.window, (part.classes(ids), part.percent())) for part in self.blended(job))
        simplify = self.stage.settings.simplify
        scene_map = ClassMap(
            target.scene_folder(name), job.bands.scene, legend, simplify, self.origin(plan)
        )
        return scene_map.write(blocks)


def open_prediction(
    paths: Sequence[str],
    folder: Path,
    place: RunFolder,
    settings: PredictSettings,
    listen: Callable[[Event], None],
) -> Prediction:
    """Read a trained model, open scenes, and plan their tiles; parameters as `predict_scenes`."""
    if not paths:
        raise SceneError("no scene was given; name at least one raster")
    model = read_model(folder)
    check_installed()
    opened = [open_input(path, model, settings) for path in paths]
    names = folder_names([each.scene.name for each in opened])
    jobs = [
        _job(name, bands, model, place, settings) for name, bands in zip(names, opened, strict=True)
    ]
    tally = Tally(sum(len(job.grid) for job in jobs), listen)
    for job in jobs:
        for note in filter(None, (*job.bands.scene.notes, job.bands.note)):
            tally.tell("open", job.name, note)
    return Prediction(PredictStage(jobs, settings, folder, model), tally)


def _job(
    name: str,
    bands: InputBands,
    model: TrainedModel,
    place: RunFolder,
    settings: PredictSettings,
) -> PredictJob:
    scene = bands.scene
    grid = TileGrid(scene.height, scene.width, *settings.sizes(model.chip_size))
    elsewhere = ("tile_size", "overlap", "bands", "nodata", "alpha", "stretch")
    deciding = settings.deciding("scene", "tiles")
    key = fingerprint(
        {
            "version": STAGE_VERSION,
            "scene": scene_identity(scene),
            "bands": bands.names,
            "grid": asdict(grid),
            "network": asdict(model.network),
            "statistics": [asdict(each) for each in model.bands],
            "stride": model.stride,
            "weights": model.weights_sha256,
            **{known: value for known, value in deciding.items() if known not in elsewhere},
        }
    )
    tiles = place.tiles_folder(scene.name, key)
    store = ProbabilityStore(tiles, key, place.tile_storage(tiles.name))
    return PredictJob(name, bands, grid, store)


def class_legend_of(model: TrainedModel) -> Legend:
    """Return the legend of the classes of a model in maps, where 0 stands for none.

    Ids are the values in the masks that were trained on, one more where those begin at 0.
    """
    shift = 0 if all(each.value > 0 for each in model.classes) else 1
    return Legend(
        {each.value + shift: each.color for each in model.classes},
        {each.value + shift: each.name for each in model.classes},
    )
