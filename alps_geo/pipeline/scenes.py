"""The stages of a run over scenes, in order: scenes, tiles, segments, clusters, results."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import rasterio

from alps_geo.clusters.fit import FittedClusters
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.outputs.output import by_segment
from alps_geo.outputs.results import check_formats, write_run_files
from alps_geo.pipeline.scene_plan import inputs_of, open_run, plan_of, with_given_model
from alps_geo.pipeline.scene_results import SceneWriting
from alps_geo.pipeline.scene_segments import segment_scene
from alps_geo.pipeline.stages import Clock, fit_model, make_models, own_folder
from alps_geo.review.edits import check_replaceable, note_polygons
from alps_geo.review.kept import keep_overrides
from alps_geo.runs.checks import check_valid
from alps_geo.runs.claim import claimed
from alps_geo.runs.clusters import RunClusters, segments_key
from alps_geo.runs.describe import fit_record, origin_of, run_record, with_machines
from alps_geo.runs.flags import DEFAULT_FLAGS, RunFlags
from alps_geo.runs.labelled import labelled_run
from alps_geo.runs.model_file import check_model_place, write_model
from alps_geo.runs.overrides import replace_overrides
from alps_geo.runs.record import RunRecord, write_record
from alps_geo.runs.store import earlier_record, publish
from alps_geo.runs.workers import at_work, forget_workers, tiles_by_machine
from alps_geo.runs.writing import replaced, sweep
from alps_geo.settings import LabelSettings
from alps_geo.tiles.stored import StoredTiles
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.clusters.tree import Assigned
    from alps_geo.events import Event
    from alps_geo.masks.generator import MaskGenerator
    from alps_geo.pipeline.scene_plan import SceneRun
    from alps_geo.runs.address import FileAddress, RunAddress
    from alps_geo.runs.claim import Cleared
    from alps_geo.runs.failures import FailedTile, Failure
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.origin import Origin
    from alps_geo.runs.overrides import RunOverrides
    from alps_geo.runs.record import FitRecord
    from alps_geo.segments.table import SegmentTable


def label_scenes(
    paths: Sequence[str],
    out: Path | RunAddress,
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
    out : pathlib.Path or RunAddress
        The run folder, on this machine or in an object store. A run of the same scenes and settings
        that was stopped there goes on, and tries tiles that failed again; one that has finished is
        left as it is.
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
    settings, given = with_given_model(settings)
    clock, folder = Clock(), own_folder(out, settings)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        run = open_run(paths, settings, folder, make_models(settings, generator), listen, given)
        plan = plan_of(run, given)
        if (record := earlier_record(folder, plan, run.tally, flags, RunRecord)) is not None:
            return record
        check = _check_of(run, folder, flags)
        with claimed(
            folder,
            plan,
            overwrite=flags.overwrite,
            force=flags.force,
            inputs=inputs_of(run),
            check=check,
        ) as cleared:
            _open_claimed(run, clock, cleared)
            failed, tables = _find_segments(run, folder, clock, strict=flags.strict)
            overrides = _kept_overrides(run, folder, tables, flags)
            fitted = _fit(run, tables, failed, given)
            clusters, assigned = _overridden(run, tables, fitted, overrides)
            clock.lap("cluster")
            with replaced(folder, plan, check) as target:
                origin = origin_of(settings, run.weights, cleared.plan)
                writing = _writing(run, (folder, target), clusters, assigned, origin)
                written, unwritten = writing.write(run.tally, strict=flags.strict)
                results = {name: each.measures for name, each in written.items()}
                replace_overrides(folder, target, clusters.overrides)
                clock.lap("write")
                lost: list[Failure] = [*failed, *unwritten]
                record = run_record(origin, run.scenes, clusters.model, results, lost, clock.laps)
                record = with_machines(record, tiles_by_machine(folder))
                write_run_files(labelled_run(target, folder, record, clusters, assigned=assigned))
                write_record(target.record_path, record)
                note_polygons(target, {name: each.polygons for name, each in written.items()})
            sweep(folder, plan)
            publish(folder, run.tally)
            return record


def fit_scenes(
    paths: Sequence[str],
    out: Path | FileAddress,
    work: Path | RunAddress,
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
    out : pathlib.Path or FileAddress
        Where to write the model, on this machine or in an object store; one that is there is
        replaced, but another file only if the flags say so.
    work : pathlib.Path or RunAddress
        A run folder, here or in a store, for the tiles: a fit that was stopped goes on there, and
        one with other clusters takes seconds.

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
    clock, folder = Clock(), own_folder(work, settings)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        models = make_models(settings, generator)
        run = open_run(paths, settings, folder, models, listen)
        plan = plan_of(run, None, fit=True)
        check_model_place(out, inputs_of(run), overwrite=flags.overwrite)
        check = partial(check_replaceable, folder, discard_edits=flags.discard_edits)
        with claimed(
            folder, plan, overwrite=flags.overwrite, force=flags.force, check=check
        ) as cleared:
            _open_claimed(run, clock, cleared)
            failed, tables = _find_segments(run, folder, clock, strict=flags.strict)
            model = _fit(run, tables, failed).model
            clock.lap("cluster")
            segments = {job.name: len(t) for job, t in zip(run.jobs, tables, strict=True)}
            origin = origin_of(settings, run.weights, cleared.plan)
            record = fit_record(origin, run.scenes, segments, model, out, failed, clock.laps)
            record = with_machines(record, tiles_by_machine(folder))
            write_model(out, model, partial(write_record, folder.record_path, record))
            forget_workers(folder)
            sweep(folder, plan)
            publish(folder, run.tally)
            return record


def _writing(
    run: SceneRun,
    places: tuple[RunFolder, RunFolder],
    clusters: RunClusters,
    assigned: Mapping[str, Assigned],
    origin: Origin,
) -> SceneWriting:
    """Return the writing of the results of all scenes in the first folder into the second."""
    return SceneWriting(run.jobs, run.settings, *places, clusters, assigned, origin, run.mapper_of)


def _open_claimed(run: SceneRun, clock: Clock, cleared: Cleared) -> None:
    """Note outdated tiles and lost classes, and end the clock's lap of opening."""
    if cleared.earlier_tiles:
        run.tally.tell("open", note="tiles stored by an earlier version are worked on again")
    if cleared.classes:
        run.tally.tell("open", note=cleared.classes)
    clock.lap("open")


def _find_segments(
    run: SceneRun, folder: RunFolder, clock: Clock, *, strict: bool
) -> tuple[list[FailedTile], list[SegmentTable]]:
    """Work on all tiles, stitch those of each scene, and keep its segments and their columns."""
    with at_work(folder) as log:
        failed = label_tiles(run.tile_stage, run.tally, run.executor, strict=strict, log=log)
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
    run: SceneRun, folder: RunFolder, tables: Sequence[SegmentTable], flags: RunFlags
) -> RunOverrides:
    """Keep the clusters that a person gave the same segments."""
    named = {job.name: table for job, table in zip(run.jobs, tables, strict=True)}
    return keep_overrides(folder, named, discard_edits=flags.discard_edits)


def _check_of(run: SceneRun, folder: RunFolder, flags: RunFlags) -> Callable[[set[str]], None]:
    """Return the check that results can be replaced by those of a run."""
    values = run.settings.to_dict()
    keys = {job.name: segments_key(job.store.folder.name, values) for job in run.jobs}
    return partial(check_replaceable, folder, keys=keys, discard_edits=flags.discard_edits)


def _fit(
    run: SceneRun,
    tables: Sequence[SegmentTable],
    failed: Sequence[FailedTile],
    given: ClusterModel | None = None,
) -> FittedClusters:
    """Fit the clusters to the segments of all scenes, or apply a model that is given."""
    if given is not None:
        return FittedClusters(given, given.apply_to_all(tables, run.mapper))
    displays = [job.scene.displayed for job in run.jobs]
    return fit_model(tables, run.settings, run.weights, run.tally, failed, displays, run.mapper)


def _overridden(
    run: SceneRun, tables: Sequence[SegmentTable], fitted: FittedClusters, overrides: RunOverrides
) -> tuple[RunClusters, dict[str, Assigned]]:
    """Return the clusters with those that a person gave, and that of each segment by its id."""
    clusters = RunClusters(fitted.model, overrides).carried_to(fitted.model)
    return clusters, {
        job.name: by_segment(found, table, clusters.overrides.of(job.name))
        for job, table, found in zip(run.jobs, tables, fitted.assigned, strict=True)
    }
