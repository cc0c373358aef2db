"""Records of predictions, put together from scenes, the model and totals of classes."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from alps_geo.clusters.colors import hex_color
from alps_geo.outputs.names import PREDICTED_FILES
from alps_geo.runs.prediction import (
    NetworkRecord,
    PredictedClass,
    PredictedScene,
    PredictionRecord,
)
from alps_geo.scene.raster import absolute_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alps_geo.clusters.legend import Legend
    from alps_geo.outputs.class_map import ClassTotals
    from alps_geo.runs.failures import Failure
    from alps_geo.training.predict_settings import PredictSettings
    from alps_geo.training.predict_stage import PredictJob, PredictStage

_PACKAGES = ("alps-geo", "numpy", "rasterio", "segmentation-models-pytorch", "torch")


def prediction_record(
    stage: PredictStage,
    legend: Legend,
    totals: Mapping[str, ClassTotals],
    failed: Sequence[Failure],
    seconds: Mapping[str, float],
) -> PredictionRecord:
    """Put together the record of a prediction.

    Parameters
    ----------
    stage : PredictStage
        Scenes, settings and model.
    legend : Legend
        The classes.
    totals : mapping of str to ClassTotals
        Totals of the classes by the names of the scenes' folders, without scenes whose results
        could not be written.
    failed : sequence of Failure
        Tiles that could not be predicted, and scenes whose results could not be written.
    seconds : mapping of str to float
        Time that each stage took.
    """
    jobs = {job.name: job for job in stage.jobs}
    on_ground = all(jobs[name].bands.scene.crs is not None for name in totals)
    model = stage.model
    versions = {
        **{package: version(package) for package in _PACKAGES},
        "gdal": rasterio.__gdal_version__,
        "python": platform.python_version(),
    }
    return PredictionRecord(
        versions=versions,
        settings=_plain(stage.settings),
        network=NetworkRecord(
            str(stage.folder.absolute()), model.weights_sha256, model.architecture, model.encoder
        ),
        scenes=tuple(_scene(jobs[name], found) for name, found in totals.items()),
        regions=int(sum(found.regions.sum() for found in totals.values())),
        area_unit="m2" if on_ground else "px",
        classes=_classes(legend, list(totals.values()), on_ground=on_ground),
        failed=tuple(failed),
        seconds=dict(seconds),
        files=tuple(f"{name}/{file}" for name in totals for file in PREDICTED_FILES),
    )


def _plain(settings: PredictSettings) -> dict[str, object]:
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings.to_dict().items()
    }
    if settings.nodata is not None and np.isnan(settings.nodata):
        values["nodata"] = "nan"  # as typed: JSON knows no NaN
    return values


def _scene(job: PredictJob, found: ClassTotals) -> PredictedScene:
    scene = job.bands.scene
    return PredictedScene(
        name=job.name,
        path=absolute_path(scene.path),
        files_sha256=scene.files_sha256,
        height=scene.height,
        width=scene.width,
        crs=None if scene.crs is None else scene.crs.to_string(),
        bands=job.bands.listed,
        notes=tuple(filter(None, (*scene.notes, job.bands.note))),
        regions=int(found.regions.sum()),
        valid_pixels=int(found.pixels.sum()),
    )


def _classes(
    legend: Legend, totals: Sequence[ClassTotals], *, on_ground: bool
) -> tuple[PredictedClass, ...]:
    """Add up the classes over all scenes."""
    pixels = np.sum([found.pixels for found in totals], axis=0)
    area = np.sum([found.area if on_ground else found.pixels for found in totals], axis=0)
    regions = np.sum([found.regions for found in totals], axis=0)
    probability = np.sum([found.probability for found in totals], axis=0)
    whole = float(area.sum()) or 1.0
    return tuple(
        PredictedClass(
            id=number,
            name=legend.names[number],
            color=hex_color(color),
            regions=int(regions[index]),
            area=float(area[index]),
            share=float(area[index] / whole),
            probability=float(probability[index] / pixels[index]) if pixels[index] else None,
        )
        for index, (number, color) in enumerate(legend.palette.items())
    )
