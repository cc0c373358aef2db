"""Plan of a run over scenes: opened scenes, their tiles, and models that are not loaded yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.events import Tally
from alps_geo.features.kinds import in_one_order, scene_kind, with_kind_notes
from alps_geo.features.mapping import HERE
from alps_geo.grid import TileGrid
from alps_geo.pipeline.stages import mapper_here
from alps_geo.runs.checks import check_model
from alps_geo.runs.identity import fingerprint, run_identity
from alps_geo.runs.model_file import given_model
from alps_geo.runs.names import folder_names, result_files
from alps_geo.runs.plan import Plan, PlannedScene
from alps_geo.runs.tile_store import TileStore
from alps_geo.scene import open_scene
from alps_geo.scene.raster import absolute_path, is_local
from alps_geo.tiles.executors import choose_executor
from alps_geo.tiles.jobs import Job, tile_key
from alps_geo.tiles.stage import TileStage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.events import Event
    from alps_geo.features.mapping import Mapper
    from alps_geo.masks.generator import Models, Weights
    from alps_geo.runs.folder import RunFolder
    from alps_geo.scene import Scene
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.executors import Executor

_MANY_TILES = 32
"""Tiles from which on it takes less time to start processes than they save."""


@dataclass(frozen=True)
class SceneRun:
    """Scenes, settings, models with their weights, and the executor, of all stages.

    Attributes
    ----------
    jobs : list of Job
        The scenes with their tiles.
    settings : LabelSettings
        The settings.
    models : Models
        The mask generator and the backbone.
    weights : Weights
        Digests of their weights.
    tally : Tally
        Told what is done.
    executor : Executor
        Works on the tiles.
    """

    jobs: list[Job]
    settings: LabelSettings
    models: Models
    weights: Weights
    tally: Tally
    executor: Executor

    @property
    def scenes(self) -> dict[str, Scene]:
        """The scenes by the names of their folders."""
        return {job.name: job.scene for job in self.jobs}

    @property
    def tile_stage(self) -> TileStage:
        """The work on tiles."""
        return TileStage(self.jobs, self.settings, self.models)

    def mapper_of(self, job: Job) -> Mapper:
        """Return the executor, or this process for a scene too small to start others for it."""
        return self._mapper_of([job])

    @property
    def mapper(self) -> Mapper:
        """The mapper of work on the segments of all scenes, as that of one."""
        return self._mapper_of(self.jobs)

    def _mapper_of(self, jobs: Sequence[Job]) -> Mapper:
        if sum(len(job.grid) for job in jobs) < _MANY_TILES:
            return HERE
        return mapper_here(self.executor, self.settings, (job.store.files for job in jobs))


def with_given_model(settings: LabelSettings) -> tuple[LabelSettings, ClusterModel | None]:
    """Read the cluster model of the settings, if they name one, and take over its features.

    Raises
    ------
    AlpsGeoError
        If the model cannot be used.
    """
    if not settings.clusters_from:
        return settings, None
    given = given_model(settings.clusters_from)
    return replace(settings, features="+".join(given.features), clusters=len(given)), given


def open_run(
    paths: Sequence[str],
    settings: LabelSettings,
    folder: RunFolder,
    models: Models,
    listen: Callable[[Event], None],
    given: ClusterModel | None = None,
) -> SceneRun:
    """Open scenes and plan their tiles; tell what was assumed of each.

    Parameters
    ----------
    paths : sequence of str
        At least one raster.
    settings : LabelSettings
        The settings.
    folder : RunFolder
        The run folder; nothing is written into it.
    models : Models
        The mask generator and the backbone.
    listen : callable
        Called with an `Event` whenever something has moved.
    given : ClusterModel, optional
        The cluster model that is to be applied.

    Raises
    ------
    AlpsGeoError
        If a scene or a model cannot be used.
    """
    executor = choose_executor(settings)
    known = () if given is None else given.projection.kinds
    scenes = in_one_order(open_scenes(paths, settings), known)
    scenes = with_kind_notes(scenes, settings.feature_names, known, raw=settings.is_raw)
    weights = models.weights()
    differences = (
        [] if given is None else [*check_model(given, map(scene_kind, scenes), settings, weights)]
    )
    jobs = _plan_jobs(scenes, settings, folder, weights)
    tally = Tally(sum(len(job.grid) for job in jobs), listen)
    for job in jobs:
        for note in job.scene.notes:
            tally.tell("open", job.name, note)
        if settings.tile_overlap == 0 and len(job.grid) > 1:
            note = "overlap is 0, so what crosses the borders of tiles is cut there"
            tally.tell("open", job.name, note)
    for note in differences:
        tally.tell("open", note=note)
    return SceneRun(jobs, settings, models, weights, tally, executor)


def inputs_of(run: SceneRun) -> list[str]:
    """List the files that a run reads, apart from weights."""
    given = [run.settings.clusters_from] if run.settings.clusters_from else []
    return [*filter(is_local, (*(job.scene.path for job in run.jobs), *given))]


def open_scenes(paths: Sequence[str], settings: LabelSettings) -> list[Scene]:
    """Open scenes with the settings of a run.

    Raises
    ------
    SceneError
        If there is none, or one cannot be used.
    """
    if not paths:
        raise SceneError("no scene was given; name at least one raster")
    return [
        open_scene(
            path if settings.dask is None else absolute_path(path),
            bands=settings.bands,
            nodata=settings.nodata,
            stretch=settings.stretch,
            alpha=settings.alpha,
        )
        for path in paths
    ]


def _plan_jobs(
    scenes: Sequence[Scene], settings: LabelSettings, folder: RunFolder, weights: Weights
) -> list[Job]:
    jobs = []
    for name, scene in zip(folder_names([scene.name for scene in scenes]), scenes, strict=True):
        grid = TileGrid(scene.height, scene.width, settings.tile_sizes[0], settings.tile_overlap)
        key = tile_key(scene, grid, settings, weights)
        tiles = folder.tiles_folder(scene.name, key)
        store = TileStore(tiles, key, folder.tile_storage(tiles.name))
        jobs.append(Job(name, scene, grid, store))
    return jobs


def plan_of(run: SceneRun, given: ClusterModel | None, *, fit: bool = False) -> Plan:
    """Return the plan of a run, or of a fit, by which its folder knows it again."""
    scenes = [job.scene for job in run.jobs]
    identity = run_identity(scenes, run.settings, run.weights, fit=fit)
    # A later program may make other fragments of the same input.
    identity["tiles"] = [job.store.key for job in run.jobs]
    formats = run.settings.chosen_formats
    if given is not None:
        identity["clusters_sha256"] = sha256(given.to_bytes()).hexdigest()
    return Plan(
        fingerprint=fingerprint(identity),
        scenes=tuple(
            PlannedScene(
                job.name, absolute_path(job.scene.path), job.store.folder.name, len(job.grid)
            )
            for job in run.jobs
        ),
        files=() if fit else tuple(result_files([job.name for job in run.jobs], formats)),
    )
