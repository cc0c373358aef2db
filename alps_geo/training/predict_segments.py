"""Classes of the segments of a finished run: the mean of the probabilities of their pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from alps_geo.classes.classifier import Method
from alps_geo.classes.legend import class_legend
from alps_geo.classes.model import ClassModel, SampleColumns
from alps_geo.errors import RunError
from alps_geo.events import Event
from alps_geo.features.sums import pixel_sums
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.outputs.names import SEGMENTS
from alps_geo.pipeline.stages import shared_folder
from alps_geo.review.changes import finish_stopped
from alps_geo.review.class_results import Classification, write_classification
from alps_geo.runs.classes import SegmentClasses
from alps_geo.runs.flags import DEFAULT_FLAGS, RunFlags
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held
from alps_geo.runs.reading import read_record
from alps_geo.runs.run import read_finished
from alps_geo.scene.raster import opened, read_window
from alps_geo.training.model_folder import read_model
from alps_geo.training.predict import class_legend_of, open_prediction, predict_scenes
from alps_geo.training.predict_settings import PredictSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.clusters.legend import Legend
    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.record import RunRecord
    from alps_geo.runs.run import FinishedRun
    from alps_geo.training.model import TrainedModel
    from alps_geo.training.predict import Prediction
    from alps_geo.training.predict_stage import PredictJob

COMMAND = "train predict --segments"
"""The command, as typed after ``alps-geo``."""

_SETTINGS = PredictSettings()


def predict_segments(
    run: Path,
    folder: Path,
    out: Path | RunAddress,
    settings: PredictSettings = _SETTINGS,
    flags: RunFlags = DEFAULT_FLAGS,
    *,
    listen: Callable[[Event], None] = lambda _: None,
) -> RunRecord:
    """Predict the scenes of a finished run, and give each of its segments one class.

    That is the class with the highest mean probability over the segment's pixels. The results are
    those of ``alps-geo classify``, in the run's folder; classes that a person gave segments stay.

    >>> predict_segments(Path("run"), Path("model"), Path("out")).classes  # doctest: +SKIP

    Parameters
    ----------
    run : pathlib.Path
        Folder of the finished run over scenes.
    folder : pathlib.Path
        Folder of the trained model.
    out : pathlib.Path or RunAddress
        Folder of the prediction of its scenes: see `alps_geo.training.predict.predict_scenes`.
    settings : PredictSettings
        Settings; those of the imagery are the run's where none are given.
    flags : RunFlags
        Treatment of earlier results, and of failures.
    listen : callable
        Called with an `Event` whenever something has moved.

    Returns
    -------
    RunRecord
        The record of the run, with the classes.

    Raises
    ------
    AlpsGeoError
        As `predict_scenes`; if the run has not finished, has no scenes, or a tile failed; or if
        polygons are held by another program, or classes that a person edited would be overwritten.
    """
    place, target = RunFolder(run), shared_folder(out, settings)
    record = read_record(place)
    if record.folder is not None:
        raise RunError(
            f"{run} holds masks of images, whose segments have no place on a map; expected a run "
            "over scenes"
        )
    model = read_model(folder)
    settings = _with_reading(settings, record, model)
    paths = [scene.path for scene in record.scenes]
    predicted = predict_scenes(paths, folder, out, settings, flags, listen=listen)
    if predicted.failed:
        raise RunError(
            f"{predicted.failed[0]}; {len(predicted.failed)} parts of the scenes have no classes, "
            f"so that no segments of {run} were given any: the same command tries them again"
        )
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES), held(place):
        finish_stopped(place)
        finished = read_finished(place)
        prediction = open_prediction(paths, folder, target, settings, lambda _: None)
        legend = _legend(finished, model)
        jobs = zip(finished.tables, prediction.stage.jobs, strict=True)
        scenes = {}
        for name, job in jobs:
            listen(Event("segments", name))
            probability = _segment_sums(finished, name, prediction, job)
            found = _decided(probability, class_legend_of(model))
            named = replace(found, names=dict(legend.names))
            scenes[name] = named.overridden(finished.overrides.classes_of(name))
        classes = Classification(COMMAND, _without_samples(finished, legend), scenes)
        return write_classification(
            place, finished.record, classes, discard_edits=flags.discard_edits
        )


def _with_reading(
    settings: PredictSettings, record: RunRecord, model: TrainedModel
) -> PredictSettings:
    """Read the scenes as the run did, where nothing else is said."""
    reading = record.origin.reading
    settings = replace(
        settings,
        nodata=reading.nodata if settings.nodata is None else settings.nodata,
        alpha=reading.alpha if settings.alpha == "auto" else settings.alpha,
    )
    if not model.is_of_pictures:
        return settings
    return replace(
        settings,
        bands=settings.bands or reading.bands,
        stretch=settings.stretch or reading.stretch,
    )


def _legend(finished: FinishedRun, model: TrainedModel) -> Legend:
    """Return the classes of a model, and those that a person gave segments."""
    given = {name for each in finished.overrides.scenes.values() for name in each.classes.values()}
    return class_legend(given, known=class_legend_of(model))


def _segment_sums(
    finished: FinishedRun, name: str, prediction: Prediction, job: PredictJob
) -> NDArray[np.float64]:
    """Sum the probabilities of classes over the pixels of each segment, shape (n, k).

    Raises
    ------
    RunError
        If the scene has another size than the segments.
    """
    count = len(finished.tables[name])
    path = finished.folder.scene_folder(name) / SEGMENTS
    sums = np.zeros((count + 1, len(prediction.stage.model.classes)))
    with opened(str(path)) as raster:
        if (raster.height, raster.width) != job.bands.scene.shape:
            raise RunError(
                f"{path} has {raster.height} x {raster.width} pixels, and its scene now has "
                f"{job.grid.height} x {job.grid.width}; expected the scene that was labelled: "
                "label it again"
            )
        for part in prediction.blended(job):
            ids = read_window(raster, str(path), (1,), part.window)[0]
            known, row = np.unique(ids, return_inverse=True)
            regions = row.reshape(ids.shape) + 1
            sums[known] += pixel_sums(regions, len(known), part.probabilities)
    return sums[1:]


def _decided(sums: NDArray[np.float64], legend: Legend) -> SegmentClasses:
    """Give each segment its most probable class; one without a prediction that of most pixels."""
    total = sums.sum(axis=1, keepdims=True)
    mean = sums / np.maximum(total, 1e-12)
    known = total[:, 0] > 0
    order = np.sort(np.pad(mean, ((0, 0), (1, 0))), axis=1)
    best = np.where(known, mean.argmax(axis=1), sums.sum(axis=0).argmax())
    return SegmentClasses(
        legend.ids[best], order[:, -1], order[:, -1] - order[:, -2], dict(legend.names)
    )


def _without_samples(finished: FinishedRun, legend: Legend) -> ClassModel:
    """Return the model of classes that no samples have taught."""
    projection = finished.model.projection
    none = SampleColumns(
        np.empty((0, len(projection.column_names)), np.float32), (), np.empty(0, np.int64)
    )
    return ClassModel(projection, Method(), legend, none)
