"""The stages of a run over a folder of images: images, segments, clusters, masks.

A split takes the place of a scene. Each image goes through all of the work on it at once, and what
is kept of it is one file; so neither time nor memory per image grow with the number of images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio

from alps_geo.datasets.folders import Folder, find_images
from alps_geo.errors import RunError, SceneError, SettingsError
from alps_geo.events import Event, Tally
from alps_geo.features.kinds import check_known
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.outputs.image_masks import LabelledImages
from alps_geo.outputs.mask_files import overview_file
from alps_geo.outputs.names import OVERVIEW
from alps_geo.outputs.results import SceneResults, run_files, write_image_results, write_run_files
from alps_geo.pipeline.stages import Clock, fit_model, make_models
from alps_geo.review.edits import check_replaceable
from alps_geo.runs.checks import check_model, check_valid
from alps_geo.runs.claim import claimed
from alps_geo.runs.describe import origin_of, split_record, split_run_record
from alps_geo.runs.failures import FailedImage
from alps_geo.runs.flags import DEFAULT_FLAGS, RunFlags
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.identity import fingerprint, images_identity, kind_key
from alps_geo.runs.names import folder_names
from alps_geo.runs.parts import FolderRecord
from alps_geo.runs.plan import Plan, PlannedScene
from alps_geo.runs.reading import finished_record, planned_results
from alps_geo.runs.record import write_record
from alps_geo.runs.run import read_model
from alps_geo.runs.writing import replaced, sweep
from alps_geo.segments.images import ImageStore, write_image_tables
from alps_geo.segments.table import SegmentTable, open_table
from alps_geo.settings import LabelSettings
from alps_geo.settings.folder import FolderSettings
from alps_geo.tiles.image_kinds import find_kinds
from alps_geo.tiles.images import ImageJob, ImageStage
from alps_geo.tiles.jobs import TILE_STAGE_VERSION
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.masks.generator import MaskGenerator, Weights
    from alps_geo.runs.parts import SceneRecord
    from alps_geo.runs.record import RunRecord
    from alps_geo.scene.folder import FolderImage
    from alps_geo.segments.images import ImageSegments, ImageTable

_FLAT = "images"
"""Name of the split of a folder without splits, where there has to be one."""


@dataclass(frozen=True)
class FolderRun:
    """Request of a run over a folder of images.

    Attributes
    ----------
    root : pathlib.Path
        The folder.
    out : pathlib.Path
        Folder of the results.
    layout : FolderSettings
        Layout of the folder, and names of the results.
    settings : LabelSettings
        Settings of segments and clusters.
    flags : RunFlags
        Treatment of earlier results, and of failures.
    given : ClusterModel or None
        The cluster model to apply; None to fit one.
    """

    root: Path
    out: Path
    layout: FolderSettings
    settings: LabelSettings
    flags: RunFlags
    given: ClusterModel | None

    @property
    def record(self) -> FolderRecord:
        """The folder, as the record of the run has it."""
        return FolderRecord(str(self.root.absolute()), self.layout)


def label_images(
    root: Path,
    out: Path | None = None,
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
    out : pathlib.Path, optional
        Folder of the results; by default `root`. A run of the same images and settings that was
        stopped there goes on, and tries images that failed again.
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
    root, settings = Path(root), settings or LabelSettings()
    given = read_model(Path(settings.clusters_from)) if settings.clusters_from else None
    if given is not None:
        settings = replace(settings, features="+".join(given.features), clusters=len(given))
    place = root if out is None else Path(out)
    asked = FolderRun(root, place, layout or FolderSettings(), settings, flags, given)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        return _label(asked, generator, listen)


def _label(
    asked: FolderRun, generator: MaskGenerator | None, listen: Callable[[Event], None]
) -> RunRecord:
    clock, folder = Clock(), RunFolder(asked.out)
    run = _open(asked, folder, generator, listen)
    if not asked.flags.force and (record := finished_record(folder, run.plan.fingerprint)):
        return record
    _check_masks(asked, run.plan)
    inputs = [image.path for job in run.stage.jobs for image in job.images]
    overwrite, force = asked.flags.overwrite, asked.flags.force
    check = partial(check_replaceable, folder, discard_edits=asked.flags.discard_edits)
    with claimed(folder, run.plan, overwrite=overwrite, force=force, inputs=inputs, check=check):
        clock.lap("open")
        failed = [*run.unreadable, *label_tiles(run.stage, run.tally, strict=asked.flags.strict)]
        clock.lap("tiles")
        splits = _describe(run, folder)
        check_valid(sum(int(each.images.valid_pixels.sum()) for each in splits.values()), failed)
        clock.lap("segments")
        model = asked.given or _fit(run, splits, failed)
        clock.lap("cluster")
        with replaced(folder, run.plan, check) as target:
            results = _write(run, folder, target, splits, model)
            write_run_files(target.path, model)
            clock.lap("write")
            record = split_run_record(
                origin_of(asked.settings, run.weights),
                asked.record,
                [_record(run, name, splits[name], results[name]) for name in results],
                model,
                list(results.values()),
                failed,
            )
            written = tuple(name for name in run.plan.files if (target.path / name).exists())
            record = replace(record, seconds=clock.laps, files=written)
            write_record(target.record_path, record)
        sweep(folder, run.plan)
        return record


@dataclass(frozen=True)
class _Run:
    """A run over a folder, planned."""

    asked: FolderRun
    stage: ImageStage
    unreadable: list[FailedImage]
    weights: Weights
    plan: Plan
    tally: Tally


@dataclass(frozen=True)
class _Split:
    """Segments of the images of a split that could be worked on."""

    images: ImageTable
    table: SegmentTable


def _open(
    asked: FolderRun,
    folder: RunFolder,
    generator: MaskGenerator | None,
    listen: Callable[[Event], None],
) -> _Run:
    """List the images, find their kinds, and plan the run."""
    layout, settings, given = asked.layout, asked.settings, asked.given
    found = Folder(asked.root, layout.img_dir, layout.splits, layout.image_suffix)
    images = find_images(found)
    _check_fit_on(asked, images)
    models = make_models(settings, generator)
    weights = models.weights()
    known = find_kinds(images, settings)
    unreadable = [
        FailedImage(image.title, image.path, reason) for image, reason in known.unreadable.items()
    ]
    if unreadable and asked.flags.strict:
        raise SceneError(f"{unreadable[0].reason} (stopped there, as --strict says)")
    by_split = [
        (split, kind, tuple(image for image in members if image.split == split))
        for split in dict.fromkeys(image.split for image in images)
        for kind, members in known.by_kind
    ]
    by_split = [each for each in by_split if each[2]]
    names = folder_names([split or _FLAT for split, _, _ in by_split])
    jobs = []
    for name, (_, kind, members) in zip(names, by_split, strict=True):
        key = kind_key(kind.reading, kind.scale, settings, weights, TILE_STAGE_VERSION)
        jobs.append(ImageJob(name, members, kind, ImageStore(folder.tiles_folder(name, key), key)))
    tally = Tally(sum(len(job.images) for job in jobs), listen)
    for job in jobs[1:]:
        if job.kind.name != jobs[0].kind.name:
            note = (
                f"its bands or their units ({job.kind.name}) are others than of {jobs[0].name} "
                f"({jobs[0].kind.name}), so a cluster need not mean the same in both"
            )
            tally.tell("open", job.name, note)
    if given is not None:
        kinds = [kind.name for kind, _ in known.by_kind]
        for note in check_model(given, kinds, settings, weights):
            tally.tell("open", note=note)
    stage = ImageStage(jobs, settings, models)
    return _Run(asked, stage, unreadable, weights, _plan(asked, jobs, images, weights), tally)


def _check_fit_on(asked: FolderRun, images: Sequence[FolderImage]) -> None:
    if asked.layout.fit_on and asked.given is not None:
        raise SettingsError(
            "fit_on names splits to fit clusters to, and clusters_from clusters that are fitted: "
            "give one of the two"
        )
    splits = dict.fromkeys(image.split for image in images)
    for split in asked.layout.fit_on or ():
        if split not in splits:
            raise SceneError(
                f"--fit-on names {split!r}, which is not labelled, expected some of "
                f"{', '.join(splits)}: name it in --splits too"
            )


def _plan(
    asked: FolderRun, jobs: Sequence[ImageJob], images: Sequence[FolderImage], weights: Weights
) -> Plan:
    root = str(asked.root)
    identity = images_identity(root, images, asked.settings, asked.layout.deciding(), weights)
    identity["tiles"] = [job.store.key for job in jobs]
    if asked.given is not None:
        identity["clusters_sha256"] = sha256(asked.given.to_bytes()).hexdigest()
    labelled = [image for job in jobs for image in job.images]
    place = asked.root / asked.layout.img_dir
    place = place if place.is_dir() else asked.root
    return Plan(
        fingerprint=fingerprint(identity),
        scenes=tuple(
            PlannedScene(
                job.name, str(place / job.images[0].split), job.store.folder.name, len(job.images)
            )
            for job in jobs
        ),
        files=(
            *run_files(),
            *(overview_file(job.name) for job in jobs),
            *asked.record.files.of(labelled),
        ),
        images=True,
    )


def _check_masks(asked: FolderRun, plan: Plan) -> None:
    """Check that folders of masks hold none of other images, which would be taken for ours.

    Raises
    ------
    RunError
        If there is one.
    """
    if asked.flags.overwrite:
        return
    ours = {*plan.files, *planned_results(RunFolder(asked.out))}
    folders = {Path(name).parent.as_posix() for name in plan.files} - {".", OVERVIEW}
    for name in sorted(folders):
        place = asked.out / name
        found = [each.name for each in place.iterdir() if each.is_file()] if place.is_dir() else []
        for file in sorted(each for each in found if not each.startswith(".")):
            if f"{name}/{file}" not in ours:
                raise RunError(
                    f"{place / file} is of no image of this run, and would be taken for one of "
                    "its masks: move it away, choose another --out or --mask-dir, or leave it "
                    "there with --overwrite"
                )


def _describe(run: _Run, folder: RunFolder) -> dict[str, _Split]:
    """Put the segments of the images of each split into one table."""
    splits = {}
    for job in run.stage.jobs:
        run.tally.tell("segments", job.name)
        place = folder.segments_folder(job.name)
        images = _stored(run, job)
        if (first := next(images, None)) is None:
            continue
        table = write_image_tables(place, chain([first], images), job.kind.reading, job.store)
        splits[job.name] = _Split(table, open_table(place))
    return splits


def _stored(run: _Run, job: ImageJob) -> Iterator[tuple[FolderImage, ImageSegments]]:
    """Load the segments of all images of a job but those that failed; damaged ones are redone."""
    worker = None
    for position, image in enumerate(job.images):
        segments = job.store.load(image)
        if segments is None and not job.store.has_failed(image):
            worker = worker or run.stage.load_with_note(run.tally)
            worker((run.stage.jobs.index(job), position, 0))
            segments = job.store.load(image)
        if segments is not None:
            yield image, segments


def _fit(run: _Run, splits: Mapping[str, _Split], failed: Sequence[FailedImage]) -> ClusterModel:
    """Fit the clusters to the splits that take part."""
    fit_on = run.asked.layout.fit_on
    chosen = [
        split.table
        for split in splits.values()
        if fit_on is None or split.images.images[0].split in fit_on
    ]
    model = fit_model(chosen, run.asked.settings, run.weights, run.tally, failed)
    for split in splits.values():
        if len(split.table):
            check_known(split.table.kind, model.projection.kinds)
    return model


def _write(
    run: _Run,
    folder: RunFolder,
    target: RunFolder,
    splits: Mapping[str, _Split],
    model: ClusterModel,
) -> dict[str, SceneResults]:
    """Write the masks of all splits into `target`."""
    results = {}
    for name in splits:
        run.tally.tell("write", name)
        stored = folder.segments_folder(name)
        results[name] = write_image_results(
            LabelledImages(target.path, stored, name, model, run.asked.record.files)
        )
    return results


def _record(run: _Run, name: str, split: _Split, results: SceneResults) -> SceneRecord:
    """Describe a split and its results."""
    planned = next(scene for scene in run.plan.scenes if scene.name == name)
    return split_record(planned, split.images, results)
