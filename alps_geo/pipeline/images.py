"""The stages of a run over a folder of images: images, segments, clusters, masks.

A split takes the place of a scene. Each image goes through all of the work on it at once, and what
is kept of it is one file; so neither time nor memory per image grow with the number of images.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import rasterio

from alps_geo.errors import RunError
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.outputs.labelled_images import LabelledImages
from alps_geo.outputs.output import LabelledRun, by_segment
from alps_geo.outputs.results import write_image_results, write_run_files
from alps_geo.pipeline.image_plan import PlannedRun, check_folders, folder_request, plan_images
from alps_geo.pipeline.stages import Clock, fit_model, own_folder
from alps_geo.review.edits import check_replaceable
from alps_geo.runs.checks import check_valid
from alps_geo.runs.claim import claimed
from alps_geo.runs.describe import origin_of, split_record, split_run_record, with_machines
from alps_geo.runs.flags import DEFAULT_FLAGS, RunFlags
from alps_geo.runs.record import RunRecord, write_record
from alps_geo.runs.store import earlier_record, publish
from alps_geo.runs.workers import at_work, tiles_by_machine
from alps_geo.runs.writing import replaced, sweep
from alps_geo.segments.images import open_image_table, write_image_tables
from alps_geo.segments.table import SegmentTable, open_table
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.clusters.tree import Assigned
    from alps_geo.events import Event
    from alps_geo.features.columns import Columns
    from alps_geo.masks.generator import MaskGenerator
    from alps_geo.outputs.measures import SceneResults
    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.failures import FailedImage
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.parts import SceneRecord
    from alps_geo.scene.folder import FolderImage
    from alps_geo.segments.images import ImageTable, StoredImage
    from alps_geo.settings import LabelSettings
    from alps_geo.settings.folder import FolderSettings
    from alps_geo.tiles.images import ImageJob


def label_images(
    root: Path,
    out: Path | RunAddress | None = None,
    settings: LabelSettings | None = None,
    layout: FolderSettings | None = None,
    flags: RunFlags = DEFAULT_FLAGS,
    *,
    generator: MaskGenerator | None = None,
    listen: Callable[[Event], None] = lambda _: None,
) -> RunRecord:
    """Label the images of a folder with one cluster model for all, and write a mask for each.

    Parameters
    ----------
    root : pathlib.Path
        The folder, as `alps_geo.datasets.folders.find_images` reads it.
    out : pathlib.Path or RunAddress, optional
        Folder of the results, on this machine or in an object store; by default `root`. A run of
        the same images and settings that was stopped there goes on, and tries images that failed
        again.
    settings : LabelSettings, optional
        The defaults if not given.
    layout : FolderSettings, optional
        The defaults if not given.
    flags : RunFlags
        Treatment of earlier results, and of failures.
    generator : MaskGenerator, optional
        Finds the masks; by default the one of the settings' ``model``.
    listen : callable
        Called with an `Event` whenever something has moved.

    Returns
    -------
    RunRecord
        The record of the run, as written to ``run.json``; its scenes are the splits.

    Raises
    ------
    AlpsGeoError
        If the folder, a model or the folder of the results cannot be used, if no image can be
        labelled, or, if the run is strict, if one cannot.
    """
    request = folder_request(root, settings, layout, flags)
    folder, clock = own_folder(request.root if out is None else out, request.settings), Clock()
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        run = plan_images(request, folder, generator, listen)
        if (record := earlier_record(folder, run.plan, run.tally, flags, RunRecord)) is not None:
            return record
        check_folders(run, folder)
        return _label(run, folder, clock)


def _label(run: PlannedRun, folder: RunFolder, clock: Clock) -> RunRecord:
    """Claim the folder and run all stages."""
    request = run.request
    inputs = [image.path for job in run.stage.jobs for image in job.images]
    overwrite, force = request.flags.overwrite, request.flags.force
    check = partial(check_replaceable, folder, discard_edits=request.flags.discard_edits)
    with claimed(
        folder, run.plan, overwrite=overwrite, force=force, inputs=inputs, check=check
    ) as cleared:
        run.note_unreadable()
        clock.lap("open")
        failed = [*run.unreadable.values(), *_work_on_images(run, folder)]
        clock.lap("tiles")
        splits = _describe(run, folder)
        check_valid(sum(int(each.images.valid_pixels.sum()) for each in splits.values()), failed)
        clock.lap("segments")
        model, assigned = _clusters(run, splits, failed)
        clock.lap("cluster")
        with replaced(folder, run.plan, check) as target:
            results = _write(run, (folder, target), splits, model, assigned)
            write_run_files(LabelledRun(target.path, folder.path, run.plan.files, model))
            clock.lap("write")
            record = split_run_record(
                origin_of(request.settings, run.weights, cleared.plan),
                request.record,
                [_record(run, name, splits[name], results[name]) for name in results],
                model,
                list(results.values()),
                failed,
            )
            written = tuple(name for name in run.plan.files if (target.path / name).exists())
            record = replace(record, seconds=clock.laps, files=written)
            names = {job.name: [image.name for image in job.images] for job in run.stage.jobs}
            record = with_machines(record, tiles_by_machine(folder), names)
            write_record(target.record_path, record)
        sweep(folder, run.plan)
        publish(folder, run.tally)
        return record


def _work_on_images(run: PlannedRun, folder: RunFolder) -> list[FailedImage]:
    strict = run.request.flags.strict
    with at_work(folder) as log:
        return label_tiles(run.stage, run.tally, run.executor, strict=strict, log=log)


@dataclass(frozen=True)
class _Split:
    """Segments of the images of a split that could be worked on."""

    images: ImageTable
    table: SegmentTable


def _describe(run: PlannedRun, folder: RunFolder) -> dict[str, _Split]:
    """Put the segments of the images of each split into one table."""
    splits = {}
    for job in run.stage.jobs:
        run.tally.tell("segments", job.name)
        segments_folder = folder.segments_folder(job.name)
        before = _table_before(job, segments_folder)
        has_failed = job.store.failed_of()
        done = tuple(image for image in job.images if not has_failed(image))
        if not done:
            continue
        here = job.store.fetched(done)
        if before is None or before.images.images != done:
            images = _stored(run, replace(job, store=here), done, before)
            table = write_image_tables(segments_folder, images, job.kind.reading, here)
        else:
            table = before.images
        # Those in a store stay, for a run with other clusters.
        here.drop_columns(done)
        splits[job.name] = _Split(table, open_table(segments_folder))
    return splits


def _table_before(job: ImageJob, segments_folder: Path) -> _Split | None:
    """Open the table that an earlier run has left of the same segments; None without one."""
    with suppress(RunError):
        table = open_image_table(segments_folder)
        if table.store.key == job.store.key:
            return _Split(table, open_table(segments_folder))
    return None


def _stored(
    run: PlannedRun, job: ImageJob, images: Sequence[FolderImage], before: _Split | None
) -> Iterator[tuple[FolderImage, StoredImage, Columns]]:
    """Load the segments of images, with columns of their files or the table of an earlier run."""
    known = {} if before is None else {image: i for i, image in enumerate(before.images.images)}
    worker = None
    for image in images:
        segments, columns = job.store.load(image), job.store.load_columns(image)
        if columns is None and before is not None and image in known:
            rows = before.images.rows_of(known[image])
            columns = before.table.read(rows.start, rows.stop)
        if segments is None or columns is None:
            # Damaged since it was stored.
            worker = worker or run.stage.load_with_note(run.tally)
            task = run.stage.index(job.name), 0, job.images.index(image)
            found, _ = worker.compute(task, worker.read(task))
            worker.save(task, found)
            job.store.save(image, found)
            segments, columns = found, found.columns
        yield image, segments, columns


def _clusters(
    run: PlannedRun, splits: Mapping[str, _Split], failed: Sequence[FailedImage]
) -> tuple[ClusterModel, dict[str, Assigned]]:
    """Fit the clusters to the splits that take part, or take the given ones, and apply them.

    Returns
    -------
    model : ClusterModel
        The clusters.
    assigned : dict of str to Assigned
        The cluster of each segment of each split, by its id.
    """
    model = run.request.given
    found: dict[str, Assigned] = {}
    if model is None:
        fit_on = run.request.layout.fit_on
        chosen = {
            name: split
            for name, split in splits.items()
            if fit_on is None or split.images.images[0].split in fit_on
        }
        fitted = fit_model(
            [split.table for split in chosen.values()],
            run.request.settings,
            run.weights,
            run.tally,
            failed,
            [split.images.displayed for split in chosen.values()],
            run.mapper,
        )
        model, found = fitted.model, dict(zip(chosen, fitted.assigned, strict=True))
    others = [name for name in splits if name not in found]
    tables = [splits[name].table for name in others]
    found |= zip(others, model.apply_to_all(tables, run.mapper), strict=True)
    return model, {name: by_segment(each, splits[name].table, {}) for name, each in found.items()}


def _write(
    run: PlannedRun,
    places: tuple[RunFolder, RunFolder],
    splits: Mapping[str, _Split],
    model: ClusterModel,
    assigned: Mapping[str, Assigned],
) -> dict[str, SceneResults]:
    """Write the masks of all splits, whose segments are in the first folder, into the second."""
    results, (folder, target), files = {}, places, run.request.record.files
    for name in splits:
        run.tally.tell("write", name)
        stored, found = folder.segments_folder(name), assigned[name]
        labelled = LabelledImages(target.path, stored, name, model, files, found=found)
        results[name] = write_image_results(labelled)
    return results


def _record(run: PlannedRun, name: str, split: _Split, results: SceneResults) -> SceneRecord:
    """Describe a split and its results."""
    planned = next(scene for scene in run.plan.scenes if scene.name == name)
    return split_record(planned, split.images, results)
