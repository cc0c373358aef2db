"""Identity of a run before it, and its record after it."""

from __future__ import annotations

import json
import platform
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np
import rasterio

from alps_geo.outputs.results import FILES
from alps_geo.runs.folder import GALLERY, SUGGESTION
from alps_geo.scene.raster import is_local, real_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.masks.generator import Weights
    from alps_geo.outputs.results import SceneResults
    from alps_geo.runs.failures import FailedScene
    from alps_geo.runs.tile_store import FailedTile
    from alps_geo.scene import Scene
    from alps_geo.settings import LabelSettings

_RESERVED = (".", "..", ".tiles", "run.json", "clusters.npz", GALLERY, SUGGESTION)
"""Names in a run folder that no scene can have."""

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


def scene_identity(scene: Scene) -> dict[str, Any]:
    """Say which files a scene is and how they are read, however its path is spelled.

    A scene is another once any file behind it has changed, or what was found in them: CRS,
    transform, bands, what is valid, the stretch.
    """
    left_out = ("path", "name", "size_bytes", "mtime", "notes")
    found = {
        field.name: repr(getattr(scene, field.name))
        for field in fields(scene)
        if field.name not in left_out
    }
    return {"path": real_path(scene.path), **found}


def run_identity(
    scenes: Sequence[Scene], settings: LabelSettings, weights: Weights, *, fit: bool = False
) -> dict[str, Any]:
    """Everything that decides the results of a run: two runs of one identity give the same.

    A fit leaves a cluster model and no labels, so it is never the same as a run that labels.

    Device and workers are left out: they decide how long a run takes. So are the paths of weights
    and of a cluster model to apply: what is in these files decides.
    """
    decisive = settings.to_dict()
    for name in ("device", "workers", "checkpoint", "timm_checkpoint", "clusters_from"):
        del decisive[name]
    return {
        "version": version("alps-geo"),
        "fit": fit,
        # Results go by the name, which another link to the same file may not have.
        "scenes": [{"name": scene.name, **scene_identity(scene)} for scene in scenes],
        "weights": weights.to_dict(),
        "settings": decisive,
    }


def run_record(
    scenes: Mapping[str, Scene],
    settings: LabelSettings,
    weights: Weights,
    model: ClusterModel,
    results: Mapping[str, SceneResults],
    failed: Sequence[FailedTile | FailedScene],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Put together the content of ``run.json``.

    Parameters
    ----------
    scenes : mapping of str to Scene
        The scenes by the names of their folders.
    settings : LabelSettings
        As they were given; as ``settings`` they make ``run.json`` a config for another run.
    weights : Weights
        Digests of the weights.
    model : ClusterModel
        The clusters.
    results : mapping of str to SceneResults
        What was written, by the same names; without scenes whose results could not be.
    failed : sequence of FailedTile or FailedScene
        Tiles that could not be labelled, and scenes whose results could not be written.
    seconds : mapping of str to float
        Time that each stage took.
    """
    return {
        "versions": _versions(),
        "settings": _settings_record(settings),
        **_models_record(settings, weights),
        "scenes": [_scene_record(name, scenes[name], results[name]) for name in results],
        "segments": int(sum(result.cluster_segments.sum() for result in results.values())),
        **area_records(model, list(results.values())),
        "failed": [each.to_dict() for each in failed],
        "seconds": dict(seconds),
        "files": result_files(list(results)),
    }


def fit_record(
    scenes: Mapping[str, Scene],
    settings: LabelSettings,
    weights: Weights,
    out: Path,
    model: ClusterModel,
    segments: Mapping[str, int],
    failed: Sequence[FailedTile | FailedScene],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Put together the content of ``run.json`` of a fit: as `run_record`, but without results.

    Parameters
    ----------
    scenes, settings, weights, model, failed, seconds
        As for `run_record`.
    out : pathlib.Path
        Where the cluster model was written.
    segments : mapping of str to int
        Segments of each scene.
    """
    return {
        "versions": _versions(),
        "settings": _settings_record(settings),
        **_models_record(settings, weights),
        "scenes": [
            {"name": name, **_scene_facts(scene), "segments": segments[name]}
            for name, scene in scenes.items()
        ],
        "segments": sum(segments.values()),
        "clusters": len(model),
        "fitted": str(out),
        "failed": [each.to_dict() for each in failed],
        "seconds": dict(seconds),
        "files": [],
    }


def result_files(names: Sequence[str]) -> list[str]:
    """List the results of a run over scenes of these folder names, relative to the run folder."""
    return ["clusters.npz"] + [f"{name}/{file}" for name in names for file in FILES]


def folder_names(names: Sequence[str]) -> list[str]:
    """Make names unique, by a number after those that were there before: a, b, a-2, A-3.

    Unique on any disk: names that differ in case or Unicode composition alone are one name to
    Windows and macOS. Those of files in the run folder are taken.
    """
    taken = set(map(_on_disk, _RESERVED))
    unique = []
    for name in names:
        candidate, number = name, 1
        while _on_disk(candidate) in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(_on_disk(candidate))
        unique.append(candidate)
    return unique


def _on_disk(name: str) -> str:
    """Name as file systems compare it that ignore case and composition."""
    return normalize("NFC", normalize("NFD", name).casefold())


def to_json(record: Mapping[str, Any]) -> bytes:
    """Write a record as JSON, indented for people."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def _versions() -> dict[str, str]:
    return {
        **{package: version(package) for package in PACKAGES},
        "gdal": rasterio.__gdal_version__,
        "python": platform.python_version(),
    }


def _models_record(settings: LabelSettings, weights: Weights) -> dict[str, Any]:
    models = {"model": {"name": weights.model, "sha256": weights.sam}}
    if settings.backbone is not None:
        models["backbone"] = {"name": settings.backbone, "sha256": str(weights.backbone)}
    return models


def _settings_record(settings: LabelSettings) -> dict[str, Any]:
    """Return the settings as a config has them; JSON knows no NaN, so it is written as typed."""
    values = settings.to_dict()
    if settings.nodata is not None and np.isnan(settings.nodata):
        values["nodata"] = "nan"
    return values


def _scene_facts(scene: Scene) -> dict[str, Any]:
    # As it was typed, but so that it is found from any folder.
    path = str(Path(scene.path).absolute()) if is_local(scene.path) else scene.path
    return {
        "path": path,
        "size_bytes": scene.size_bytes,
        "mtime": scene.mtime,
        "files_sha256": scene.files_sha256,
        "height": scene.height,
        "width": scene.width,
        "crs": None if scene.crs is None else scene.crs.to_string(),
        "transform": list(scene.transform)[:6],
        "bands": list(scene.names_in_file),
        "rgb": list(scene.rgb),
        "notes": list(scene.notes),
    }


def _scene_record(name: str, scene: Scene, result: SceneResults) -> dict[str, Any]:
    return {
        "name": name,
        **_scene_facts(scene),
        "segments": int(result.cluster_segments.sum()),
        "valid_pixels": result.valid_pixels,
        "labelled_pixels": int(result.cluster_pixels.sum()),
    }


def _areas(results: Sequence[SceneResults]) -> tuple[str, list[NDArray[np.number]], float]:
    """Say how the scenes of a run are measured together.

    Returns
    -------
    unit : str
        m2 if all scenes have ground areas; else px, for their pixels are all that adds up.
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


def area_records(model: ClusterModel, results: Sequence[SceneResults]) -> dict[str, Any]:
    """Describe how large the clusters are over all scenes: part of ``run.json``.

    Shares are of the same areas, so that a pixel of 10 m counts as a hundred of 1 m.
    """
    unit, areas, unlabelled = _areas(results)
    area = np.sum(areas, axis=0)
    labelled = float(area.sum())
    valid = labelled + unlabelled
    segments = np.sum([result.cluster_segments for result in results], axis=0)
    return {
        "area_unit": unit,
        "labelled_share": labelled / valid,
        "clusters": [
            {
                "cluster": cluster,
                "name": model.legend.get(cluster, ""),
                "color": _css(color),
                "segments": int(segments[place]),
                "area": float(area[place]),
                "share": float(area[place] / valid),
            }
            for place, (cluster, color) in enumerate(model.palette.items())
        ],
    }


def legend_records(
    model: ClusterModel, records: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Give what `area_records` made the names and colours of a model with the same clusters."""
    return [
        {**record, "name": model.legend.get(cluster, ""), "color": _css(color)}
        for record, (cluster, color) in zip(records, model.palette.items(), strict=True)
    ]


def _css(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
