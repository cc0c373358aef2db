"""The stages of a run over scenes, in order: scenes, tiles, segments, clusters, results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio

from alps_geo.errors import SceneError
from alps_geo.events import Event, Tally
from alps_geo.features.kinds import in_one_order, scene_kind, with_kind_notes
from alps_geo.files import GDAL_CACHE_BYTES, replacing, run_errors
from alps_geo.grid import TileGrid
from alps_geo.outputs.results import check_formats, write_run_files
from alps_geo.pipeline.scene_results import SceneWriting
from alps_geo.pipeline.scene_segments import segment_scene
from alps_geo.pipeline.stages import Clock, fit_model, make_models
from alps_geo.review.edits import check_replaceable, note_polygons
from alps_geo.review.kept import keep_overrides
from alps_geo.runs.checks import check_model, check_model_path, check_valid
from alps_geo.runs.claim import claimed
from alps_geo.runs.clusters import RunClusters, segments_key
from alps_geo.runs.describe import fit_record, origin_of, run_record
from alps_geo.runs.flags import DEFAULT_FLAGS, RunFlags
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.identity import fingerprint, run_identity
from alps_geo.runs.labelled import labelled_run
from alps_geo.runs.names import folder_names, result_files
from alps_geo.runs.overrides import replace_overrides
from alps_geo.runs.plan import Plan, PlannedScene
from alps_geo.runs.reading import finished_record
from alps_geo.runs.record import write_record
from alps_geo.runs.run import read_model
from alps_geo.runs.tile_store import TileStore
from alps_geo.runs.writing import replaced, sweep
from alps_geo.scene import open_scene
from alps_geo.scene.raster import is_local
from alps_geo.segments.mapping import HERE
from alps_geo.settings import LabelSettings
from alps_geo.tiles.executors import choose_executor
from alps_geo.tiles.jobs import Job, tile_key
from alps_geo.tiles.stage import TileStage
from alps_geo.tiles.stored import StoredTiles
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.masks.generator import MaskGenerator, Models, Weights
    from alps_geo.outputs.results import WrittenScene
    from alps_geo.runs.claim import Cleared
    from alps_geo.runs.failures import FailedScene, FailedTile, Failure
    from alps_geo.runs.origin import Origin
    from alps_geo.runs.overrides import RunOverrides
    from alps_geo.runs.record import FitRecord, RunRecord
    from alps_geo.scene import Scene
    from alps_geo.segments.mapping import Mapper
    from alps_geo.segments.table import SegmentTable
    from alps_geo.tiles.executors import Executor

_MANY_TILES = 32
"""Tiles of a scene from which on it takes less time to start processes than they save."""


def label_scenes(
    paths: Sequence[str],
    out: Path,
    settings: LabelSettings | None = None,
    flags: RunFlags = DEFAULT_FLAGS,
    *,
    generator: MaskGenerator | None = None,
    listen: Callable[[Event], None] = lambda _: None,
) -> RunRecord:
    """Label scenes with one cluster model for all, and write the results into a run folder.

    Parameters
    ----------
    paths : sequence of str
        At least one raster.
    out : pathlib.Path
        The run folder. A run of the same scenes and settings that was stopped there goes on, and
        tries tiles that failed again; one that has finished is left as it is.
    settings : LabelSettings, optional
        The defaults if not given. With ``clusters_from`` that model is applied, and its features
        are used; else one is fitted.
    flags : RunFlags
        Treatment of earlier results, and of failures.
    generator : MaskGenerator, optional
        Finds the masks; by default the one of the settings' ``model``.
    listen : callable
        Called with an `Event` whenever something has moved.

    Returns
    -------
    RunRecord
        The record of the run, as written to ``run.json``.

    Raises
    ------
    AlpsGeoError
        If a scene, a model or the run folder cannot be used, if another program holds polygons that
        are to be replaced, if no tile can be labelled, or, if the run is strict, if one cannot.
    """
    settings = settings or LabelSettings()
    check_formats(settings.chosen_formats)
    given = read_model(Path(settings.clusters_from)) if settings.clusters_from else None
    if given is not None:
        settings = replace(settings, features="+".join(given.features), clusters=len(given))
    clock, folder = Clock(), RunFolder(Path(out))
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        models = make_models(settings, generator)
        run = _open_run(paths, settings, folder, models, listen, given)
        plan = _plan(run, given)
        if not flags.force and (record := finished_record(folder, plan.fingerprint)):
            return record
        check = _check_of(run, folder, flags)
        with claimed(
            folder,
            plan,
            overwrite=flags.overwrite,
            force=flags.force,
            inputs=_inputs(run),
            check=check,
        ) as cleared:
            _open_claimed(run, clock, cleared)
            failed, tables = _find_segments(run, folder, clock, strict=flags.strict)
            overrides = _kept_overrides(run, folder, tables, flags)
            model = given or _fit(run, tables, failed)
            clusters = RunClusters(model, overrides).carried_to(model)
            clock.lap("cluster")
            with replaced(folder, plan, check) as target:
                origin = origin_of(settings, run.weights, cleared.plan)
                written, unwritten = run.write(folder, target, clusters, origin, flags)
                results = {name: each.measures for name, each in written.items()}
                replace_overrides(folder, target, clusters.overrides)
                clock.lap("write")
                lost: list[Failure] = [*failed, *unwritten]
                record = run_record(origin, run.scenes, clusters.model, results, lost, clock.laps)
                write_run_files(labelled_run(target, folder, record, clusters))
                write_record(target.record_path, record)
                note_polygons(target, {name: each.polygons for name, each in written.items()})
            sweep(folder, plan)
            return record


def fit_scenes(
    paths: Sequence[str],
    out: Path,
    work: Path,
    settings: LabelSettings | None = None,
    flags: RunFlags = DEFAULT_FLAGS,
    *,
    generator: MaskGenerator | None = None,
    listen: Callable[[Event], None] = lambda _: None,
) -> FitRecord:
    """Fit one cluster model to the segments of scenes, to be applied to any.

    Parameters
    ----------
    paths, settings, flags, generator, listen
        As for `label_scenes`.
    out : pathlib.Path
        Where to write the model; one that is there is replaced, but another file only if
        the flags say so.
    work : pathlib.Path
        A run folder, for the tiles: a fit that was stopped goes on there, and one with other
        clusters takes seconds.

    Returns
    -------
    FitRecord
        The record of the fit, as written to ``run.json`` in `work`.

    Raises
    ------
    AlpsGeoError
        As `label_scenes`, or if the model cannot be written.
    """
    settings = settings or LabelSettings()
    clock, folder = Clock(), RunFolder(Path(work))
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        models = make_models(settings, generator)
        run = _open_run(paths, settings, folder, models, listen)
        plan = _plan(run, None, fit=True)
        check_model_path(Path(out), _inputs(run), overwrite=flags.overwrite)
        check = partial(check_replaceable, folder, discard_edits=flags.discard_edits)
        with claimed(
            folder, plan, overwrite=flags.overwrite, force=flags.force, check=check
        ) as cleared:
            _open_claimed(run, clock, cleared)
            failed, tables = _find_segments(run, folder, clock, strict=flags.strict)
            model = _fit(run, tables, failed)
            clock.lap("cluster")
            segments = {job.name: len(t) for job, t in zip(run.jobs, tables, strict=True)}
            origin = origin_of(settings, run.weights, cleared.plan)
            record = fit_record(origin, run.scenes, segments, model, out, failed, clock.laps)
            with replacing(Path(out)) as part:
                with run_errors(Path(out)):
                    part.write_bytes(model.to_bytes())
                # Written before the model is in its place: a full disk leaves neither.
                write_record(folder.record_path, record)
            sweep(folder, plan)
            return record


@dataclass(frozen=True)
class _Run:
    """Scenes, settings, models with their weights, and the executor, of all stages."""

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
        return self.executor if len(job.grid) >= _MANY_TILES else HERE

    def write(
        self,
        folder: RunFolder,
        target: RunFolder,
        clusters: RunClusters,
        origin: Origin,
        flags: RunFlags,
    ) -> tuple[dict[str, WrittenScene], list[FailedScene]]:
        """Write the results of all scenes into a folder."""
        writing = SceneWriting(
            self.jobs, self.settings, folder, target, clusters, origin, self.mapper_of
        )
        return writing.write(self.tally, strict=flags.strict)


def _open_run(
    paths: Sequence[str],
    settings: LabelSettings,
    folder: RunFolder,
    models: Models,
    listen: Callable[[Event], None],
    given: ClusterModel | None = None,
) -> _Run:
    known = () if given is None else given.projection.kinds
    scenes = in_one_order(_open_scenes(paths, settings), known)
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
    return _Run(jobs, settings, models, weights, tally, choose_executor(settings))


def _open_claimed(run: _Run, clock: Clock, cleared: Cleared) -> None:
    """Note outdated tiles and lost classes, and end the clock's lap of opening."""
    if cleared.earlier_tiles:
        run.tally.tell("open", note="tiles stored by an earlier version are worked on again")
    if cleared.classes:
        run.tally.tell("open", note=cleared.classes)
    clock.lap("open")


def _find_segments(
    run: _Run, folder: RunFolder, clock: Clock, *, strict: bool
) -> tuple[list[FailedTile], list[SegmentTable]]:
    """Work on all tiles, stitch those of each scene, and keep its segments and their columns."""
    failed = label_tiles(run.tile_stage, run.tally, run.executor, strict=strict)
    clock.lap("tiles")
    stored = StoredTiles(run.tile_stage, run.tally)
    tables, valid_pixels = [], 0
    for job in run.jobs:
        run.tally.tell("stitch", job.name)
        segments, table = segment_scene(
            job,
            stored,
            run.models.generator,
            run.settings,
            run.mapper_of(job),
            folder.segments_folder(job.name),
        )
        if not len(segments):
            run.tally.tell("stitch", job.name, "no segment was found in it")
        valid_pixels += segments.valid_pixels
        tables.append(table)
    check_valid(valid_pixels, failed)
    clock.lap("stitch")
    return failed, tables


def _kept_overrides(
    run: _Run, folder: RunFolder, tables: Sequence[SegmentTable], flags: RunFlags
) -> RunOverrides:
    """Keep the clusters that a person gave the same segments."""
    named = {job.name: table for job, table in zip(run.jobs, tables, strict=True)}
    return keep_overrides(folder, named, discard_edits=flags.discard_edits)


def _check_of(run: _Run, folder: RunFolder, flags: RunFlags) -> Callable[[set[str]], None]:
    """Return the check that results can be replaced by those of a run."""
    values = run.settings.to_dict()
    keys = {job.name: segments_key(job.store.folder.name, values) for job in run.jobs}
    return partial(check_replaceable, folder, keys=keys, discard_edits=flags.discard_edits)


def _fit(run: _Run, tables: Sequence[SegmentTable], failed: Sequence[FailedTile]) -> ClusterModel:
    """Fit the clusters to the segments of all scenes."""
    displays = [job.scene.displayed for job in run.jobs]
    return fit_model(tables, run.settings, run.weights, run.tally, failed, displays)


def _inputs(run: _Run) -> list[str]:
    """List the files that a run reads, apart from weights."""
    given = [run.settings.clusters_from] if run.settings.clusters_from else []
    return [job.scene.path for job in run.jobs if is_local(job.scene.path)] + given


def _open_scenes(paths: Sequence[str], settings: LabelSettings) -> list[Scene]:
    if not paths:
        raise SceneError("no scene was given; name at least one raster")
    return [
        open_scene(
            path,
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
        store = TileStore(folder.tiles_folder(scene.name, key), key)
        jobs.append(Job(name, scene, grid, store))
    return jobs


def _plan(run: _Run, given: ClusterModel | None, *, fit: bool = False) -> Plan:
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
            PlannedScene(job.name, job.scene.path, job.store.folder.name, len(job.grid))
            for job in run.jobs
        ),
        files=() if fit else tuple(result_files([job.name for job in run.jobs], formats)),
    )
