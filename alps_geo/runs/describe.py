"""Records of runs and fits, put together from settings, scenes, clusters and results."""

from __future__ import annotations

import platform
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import rasterio

from alps_geo.clusters.colors import hex_color
from alps_geo.runs.identity import fingerprint
from alps_geo.runs.machines import numbers_in
from alps_geo.runs.names import result_files
from alps_geo.runs.origin import Origin, WeightsRecord
from alps_geo.runs.parts import ClusterRecord, MachineRecord, SceneRecord
from alps_geo.runs.prediction import PredictionRecord
from alps_geo.runs.record import FitRecord, RunRecord
from alps_geo.scene.raster import absolute_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.fields import Stage
    from alps_geo.masks.generator import Weights
    from alps_geo.outputs.measures import SceneResults
    from alps_geo.runs.address import FileAddress
    from alps_geo.runs.failures import FailedImage, FailedTile, Failure
    from alps_geo.runs.machines import Made
    from alps_geo.runs.parts import FolderRecord
    from alps_geo.runs.plan import Plan, PlannedScene
    from alps_geo.scene import Scene
    from alps_geo.segments.images import ImageTable
    from alps_geo.settings import LabelSettings

AnyRecord = TypeVar("AnyRecord", RunRecord, FitRecord, PredictionRecord)

_STAGES: tuple[Stage, ...] = ("scene", "tiles", "segments", "clusters")
"""Stages that decide segments and clusters, in whatever form they are written."""

PACKAGES = (
    "alps-geo",
    "numpy",
    "rasterio",
    "scikit-learn",
    "segment-anything",
    "shapely",
    "timm",
    "torch",
)
"""Packages whose versions a record names."""


def origin_of(settings: LabelSettings, weights: Weights, plan: Plan) -> Origin:
    """Describe the programs, settings and weights of a run.

    Parameters
    ----------
    settings : LabelSettings
        As they were given; they make ``run.json`` a config for another run.
    weights : Weights
        Digests of the weights.
    plan : Plan
        The run, with its date.
    """
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings.to_dict().items()
    }
    # That of a generator that was handed in, which no option can choose.
    values["model"] = weights.model
    if settings.nodata is not None and np.isnan(settings.nodata):
        values["nodata"] = "nan"  # as typed: JSON knows no NaN
    backbone = None
    if settings.backbone is not None:
        backbone = WeightsRecord(settings.backbone, str(weights.backbone))
    versions = {
        **{package: version(package) for package in PACKAGES},
        "gdal": rasterio.__gdal_version__,
        "python": platform.python_version(),
    }
    model = WeightsRecord(weights.model, weights.sam)
    identity = {"settings": settings.deciding(*_STAGES), "weights": weights.to_dict()}
    return Origin(versions, values, model, backbone, fingerprint(identity), plan.date)


def run_record(
    origin: Origin,
    scenes: Mapping[str, Scene],
    model: ClusterModel,
    results: Mapping[str, SceneResults],
    failed: Sequence[Failure],
    seconds: Mapping[str, float],
) -> RunRecord:
    """Put together the record of a run.

    Parameters
    ----------
    origin : Origin
        Programs, settings and weights.
    scenes : mapping of str to Scene
        The scenes by the names of their folders.
    model : ClusterModel
        The clusters.
    results : mapping of str to SceneResults
        Results by the same names, without scenes whose results could not be written.
    failed : sequence of Failure
        Tiles that could not be labelled, and scenes whose results could not be written.
    seconds : mapping of str to float
        Time that each stage took.
    """
    unit, share, clusters = _measures(model, list(results.values()))
    return RunRecord(
        origin,
        tuple(_labelled_scene(name, scenes[name], result) for name, result in results.items()),
        segments=int(sum(result.cluster_segments.sum() for result in results.values())),
        area_unit=unit,
        labelled_share=share,
        clusters=clusters,
        failed=tuple(failed),
        seconds=dict(seconds),
        files=tuple(result_files(list(results), origin.chosen_formats)),
    )


def fit_record(
    origin: Origin,
    scenes: Mapping[str, Scene],
    segments: Mapping[str, int],
    model: ClusterModel,
    out: Path | FileAddress,
    failed: Sequence[FailedTile],
    seconds: Mapping[str, float],
) -> FitRecord:
    """Put together the record of a fit.

    Parameters
    ----------
    origin, scenes, model, failed, seconds
        As for `run_record`.
    segments : mapping of str to int
        Segments of each scene.
    out : pathlib.Path or FileAddress
        Place of the cluster model.
    """
    return FitRecord(
        origin,
        tuple(_scene_record(name, scene, segments[name]) for name, scene in scenes.items()),
        segments=sum(segments.values()),
        clusters=len(model),
        fitted=str(out),
        failed=tuple(failed),
        seconds=dict(seconds),
    )


def with_machines(
    record: AnyRecord, made: Made, images: Mapping[str, Sequence[str]] | None = None
) -> AnyRecord:
    """Let a record tell which machines made which tiles, if not all of them were alike.

    Parameters
    ----------
    record : RunRecord, FitRecord or PredictionRecord
        The record.
    made : Made
        Tiles by device and torch; see `alps_geo.runs.workers.tiles_by_machine`.
    images : mapping of str to sequence of str, optional
        Names of the images of each split, whose positions are the columns of one row.
    """
    counts, places = made.tiles, made.to_json()
    if len(counts) < 2:
        return record
    machines = []
    for name, tiles in counts.items():
        scenes: dict[str, Mapping[str, str] | Sequence[str]] = {**places[name]}
        if images is not None:
            scenes = {
                split: [images[split][n] for n in numbers_in(rows["0"]) if n < len(images[split])]
                for split, rows in places[name].items()
            }
        machines.append(MachineRecord(name, tiles, scenes))
    return replace(record, machines=tuple(machines))


def split_record(planned: PlannedScene, images: ImageTable, results: SceneResults) -> SceneRecord:
    """Put together the record of a split.

    Parameters
    ----------
    planned : PlannedScene
        The split in the plan of the run.
    images : ImageTable
        Its images that were worked on.
    results : SceneResults
        Its results.
    """
    height, width = images.shapes.max(axis=0).tolist()
    stamps = "".join(f"{image.name} {image.stamp}\n" for image in images.images)
    return SceneRecord(
        name=planned.name,
        path=str(Path(planned.path).absolute()),
        size_bytes=None,
        mtime=None,
        files_sha256=sha256(stamps.encode()).hexdigest(),
        height=height,
        width=width,
        crs=None,
        transform=None,
        bands=images.reading.band_names,
        rgb=images.reading.bands or (),
        notes=(),
        segments=int(images.first[-1]),
        valid_pixels=results.valid_pixels,
        labelled_pixels=int(results.cluster_pixels.sum()),
        images=len(images),
    )


def split_run_record(
    origin: Origin,
    folder: FolderRecord,
    splits: Sequence[SceneRecord],
    model: ClusterModel,
    results: Sequence[SceneResults],
    failed: Sequence[FailedImage],
) -> RunRecord:
    """Put together the record of a run over a folder of images, without its times and files.

    Parameters
    ----------
    origin, model, failed
        As for `run_record`.
    folder : FolderRecord
        The folder.
    splits : sequence of SceneRecord
        Its splits, from `split_record`.
    results : sequence of SceneResults
        Their results.
    """
    unit, share, clusters = _measures(model, results)
    return RunRecord(
        origin,
        tuple(splits),
        segments=sum(split.segments for split in splits),
        area_unit=unit,
        labelled_share=share,
        clusters=clusters,
        failed=tuple(failed),
        seconds={},
        files=(),
        folder=folder,
    )


def with_clusters(
    record: RunRecord, model: ClusterModel, results: Sequence[SceneResults]
) -> RunRecord:
    """Return a record whose clusters are those of a model, measured in the results of all scenes.

    Shares are of the same areas, so that a pixel of 10 m counts as a hundred of 1 m.
    """
    unit, share, clusters = _measures(model, results)
    return replace(record, area_unit=unit, labelled_share=share, clusters=clusters)


def with_legend(record: RunRecord, model: ClusterModel) -> RunRecord:
    """Return a record with names and colours of a model that has the same clusters."""
    clusters = tuple(
        replace(each, name=model.legend.names.get(cluster, ""), color=hex_color(color))
        for each, (cluster, color) in zip(
            record.clusters, model.legend.palette.items(), strict=True
        )
    )
    return replace(record, clusters=clusters)


def _scene_record(name: str, scene: Scene, segments: int) -> SceneRecord:
    # As it was typed, but so that it is found from any folder.
    return SceneRecord(
        name=name,
        path=absolute_path(scene.path),
        size_bytes=scene.size_bytes,
        mtime=scene.mtime,
        files_sha256=scene.files_sha256,
        height=scene.height,
        width=scene.width,
        crs=None if scene.crs is None else scene.crs.to_string(),
        transform=tuple(scene.transform)[:6],
        bands=tuple(scene.names_in_file),
        rgb=tuple(scene.rgb),
        notes=tuple(scene.notes),
        segments=segments,
        stretch=scene.shown_limits,
    )


def _labelled_scene(name: str, scene: Scene, result: SceneResults) -> SceneRecord:
    return replace(
        _scene_record(name, scene, int(result.cluster_segments.sum())),
        valid_pixels=result.valid_pixels,
        labelled_pixels=int(result.cluster_pixels.sum()),
    )


def _measures(
    model: ClusterModel, results: Sequence[SceneResults]
) -> tuple[str, float, tuple[ClusterRecord, ...]]:
    """Measure clusters over all scenes: unit of areas, labelled share, and the clusters."""
    unit, areas, unlabelled = _areas(results)
    area = np.sum(areas, axis=0)
    labelled = float(area.sum())
    valid = labelled + unlabelled
    segments = np.sum([result.cluster_segments for result in results], axis=0)
    clusters = tuple(
        ClusterRecord(
            cluster=cluster,
            name=model.legend.names.get(cluster, ""),
            color=hex_color(color),
            segments=int(segments[index]),
            area=float(area[index]),
            share=float(area[index] / valid),
        )
        for index, (cluster, color) in enumerate(model.legend.palette.items())
    )
    return unit, labelled / valid, clusters


def _areas(results: Sequence[SceneResults]) -> tuple[str, list[NDArray[np.number]], float]:
    """Add up the areas of the scenes of a run.

    Returns
    -------
    unit : str
        m2 if all scenes have ground areas; else px, for only their pixels add up.
    clusters : list of ndarray, shape (k,)
        Area of each cluster in each scene.
    unlabelled : float
        Area with data but without a label in all of them.
    """
    grounds = [result.cluster_area_m2 for result in results]
    unlabelled = [result.unlabelled_area_m2 for result in results]
    known = [ground for ground in grounds if ground is not None]
    measured = [area for area in unlabelled if area is not None]
    if len(known) == len(measured) == len(results):
        return "m2", [*known], sum(measured)
    rest = sum(result.valid_pixels - int(result.cluster_pixels.sum()) for result in results)
    return "px", [result.cluster_pixels for result in results], float(rest)
