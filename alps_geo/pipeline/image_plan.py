"""The plan of a run over a folder of images: its images, their kinds and splits, and the results.

Nothing is written here.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.datasets.folders import Folder, find_images
from alps_geo.errors import RunError, SceneError, SettingsError
from alps_geo.events import Event, Tally
from alps_geo.outputs.mask_files import PlannedImages
from alps_geo.outputs.names import OVERVIEW
from alps_geo.outputs.results import image_files, run_files
from alps_geo.pipeline.stages import make_models, mapper_here
from alps_geo.runs.checks import check_model
from alps_geo.runs.failures import FailedImage
from alps_geo.runs.flags import DEFAULT_FLAGS, RunFlags
from alps_geo.runs.identity import fingerprint, images_identity, kind_key
from alps_geo.runs.model_file import given_model
from alps_geo.runs.names import folder_names
from alps_geo.runs.parts import FolderRecord
from alps_geo.runs.plan import Plan, PlannedScene
from alps_geo.runs.reading import planned_results
from alps_geo.runs.store import stored_plan
from alps_geo.segments.images import ImageStore, open_image_table
from alps_geo.settings import LabelSettings
from alps_geo.settings.folder import FolderSettings
from alps_geo.tiles.executors import choose_executor
from alps_geo.tiles.image_kinds import find_kinds
from alps_geo.tiles.images import ImageJob, ImageStage
from alps_geo.tiles.jobs import TILE_STAGE_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.features.mapping import Mapper
    from alps_geo.masks.generator import MaskGenerator, Weights
    from alps_geo.runs.folder import RunFolder
    from alps_geo.scene.folder import FolderImage
    from alps_geo.tiles.executors import Executor
    from alps_geo.tiles.image_kinds import KnownImages
    from alps_geo.tiles.images import ImageKind

_FLAT = "images"
"""Name of the split of a folder without splits, where there has to be one."""


@dataclass(frozen=True)
class FolderRequest:
    """Request of a run over a folder of images.

    Attributes
    ----------
    root : pathlib.Path
        The folder.
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
    layout: FolderSettings
    settings: LabelSettings
    flags: RunFlags
    given: ClusterModel | None

    @property
    def record(self) -> FolderRecord:
        """The folder, as the record of the run has it."""
        return FolderRecord(str(self.root.absolute()), self.layout)


def folder_request(
    root: Path,
    settings: LabelSettings | None,
    layout: FolderSettings | None,
    flags: RunFlags = DEFAULT_FLAGS,
) -> FolderRequest:
    """Return a request, with the defaults where nothing is given, and the cluster model read.

    Raises
    ------
    AlpsGeoError
        If the cluster model cannot be used, or has another number of clusters than the settings.
    """
    # An image has too few segments to tell which of them are alike.
    settings = replace(settings or LabelSettings(), merge=False, neighbours=0.0)
    given = given_model(settings.clusters_from) if settings.clusters_from else None
    if given is not None and settings.clusters not in (None, len(given)):
        raise SettingsError(
            f"clusters is {settings.clusters}, and clusters_from has {len(given)}: leave one out"
        )
    if given is not None:
        settings = replace(settings, features="+".join(given.features), clusters=len(given))
    return FolderRequest(Path(root), layout or FolderSettings(), settings, flags, given)


@dataclass(frozen=True)
class PlannedRun:
    """A run over a folder of images, planned.

    Attributes
    ----------
    request : FolderRequest
        The request.
    stage : ImageStage
        The images that can be opened, with settings and models.
    unreadable : dict of FolderImage to FailedImage
        The others.
    weights : Weights
        Digests of the weights.
    plan : Plan
        Splits and results.
    tally : Tally
        Counts the images.
    executor : Executor
        Works on the images.
    """

    request: FolderRequest
    stage: ImageStage
    unreadable: dict[FolderImage, FailedImage]
    weights: Weights
    plan: Plan
    tally: Tally
    executor: Executor

    @property
    def mapper(self) -> Mapper:
        """The mapper of work on the segments of all splits."""
        stores = (job.store.files for job in self.stage.jobs)
        return mapper_here(self.executor, self.request.settings, stores)

    def note_unreadable(self) -> None:
        """Note images that cannot be opened in the run folder, as those that fail later.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        jobs = self.stage.jobs
        for image, failed in self.unreadable.items():
            _job_of(image, jobs).store.fail(failed, image)


def plan_images(
    request: FolderRequest,
    folder: RunFolder,
    generator: MaskGenerator | None,
    listen: Callable[[Event], None],
) -> PlannedRun:
    """List the images, find their kinds, and plan the run.

    Parameters
    ----------
    request : FolderRequest
        The request.
    folder : RunFolder
        Folder of the results.
    generator : MaskGenerator, optional
        Finds the masks; by default the one of the settings' ``model``.
    listen : callable
        Called with an `Event` whenever something has moved.

    Raises
    ------
    AlpsGeoError
        If the folder or a model cannot be used, or no image can be opened.
    """
    layout, settings = request.layout, request.settings
    executor = choose_executor(settings)
    images = find_images(
        Folder(request.root, layout.img_dir, layout.splits, layout.image_suffix),
        run_files(images=True),
    )
    _check_fit_on(request, images)
    models = make_models(settings, generator)
    weights = models.weights()
    known = find_kinds(images, settings)
    unreadable = {
        image: FailedImage(image.title, image.path, reason)
        for image, reason in known.unreadable.items()
    }
    if unreadable and request.flags.strict:
        first = next(iter(unreadable.values()))
        raise SceneError(f"{first.reason} (stopped there, as --strict says)")
    jobs = _jobs(images, known, folder, settings, weights)
    tally = Tally(sum(len(job.images) for job in jobs), listen)
    for scene, note in _notes(request, jobs, weights):
        tally.tell("open", scene, note)
    stage = ImageStage(jobs, settings, models)
    plan = _plan(request, jobs, images, weights)
    return PlannedRun(request, stage, unreadable, weights, plan, tally, executor)


def _job_of(image: FolderImage, jobs: Sequence[ImageJob]) -> ImageJob:
    """Find the job that an image is counted with which cannot be opened, and has no kind."""
    return next((job for job in jobs if job.images[0].split == image.split), jobs[0])


def _jobs(
    images: Sequence[FolderImage],
    known: KnownImages,
    folder: RunFolder,
    settings: LabelSettings,
    weights: Weights,
) -> list[ImageJob]:
    """Put the images of each split and kind together."""
    by_split = [
        (split, kind, tuple(image for image in members if image.split == split))
        for split in dict.fromkeys(image.split for image in images)
        for kind, members in known.by_kind
    ]
    by_split = [each for each in by_split if each[2]]
    firsts = {split: kind for split, kind, _ in reversed(by_split)}
    names = folder_names([_job_name(split, kind, firsts[split]) for split, kind, _ in by_split])
    jobs = []
    for name, (_, kind, members) in zip(names, by_split, strict=True):
        key = kind_key(kind.reading, kind.scale, settings, weights, TILE_STAGE_VERSION)
        tiles = folder.tiles_folder(name, key)
        store = ImageStore(tiles, key, folder.tile_storage(tiles.name))
        jobs.append(ImageJob(name, members, kind, store))
    return jobs


def _job_name(split: str, kind: ImageKind, first: ImageKind) -> str:
    """Name the images of a split and kind; those of its first kind like the split."""
    name = split or _FLAT
    if kind == first:
        return name
    unit, bands = kind.reading.unit, len(kind.reading.band_names)
    differs = unit if unit != first.reading.unit else f"{bands}_bands"
    return f"{name}-{re.sub(r'[^A-Za-z0-9]+', '_', differs)}"


def _notes(
    request: FolderRequest, jobs: Sequence[ImageJob], weights: Weights
) -> Iterator[tuple[str, str]]:
    """Note kinds whose clusters are not comparable, and differences to a cluster model."""
    first = jobs[0]
    for job in jobs[1:]:
        if job.kind.name != first.kind.name:
            example = Path(job.images[0].path).name
            yield (
                job.name,
                f"{len(job.images)} images, such as {example}, have other bands or units "
                f"({job.kind.name}) than those of {first.name} ({first.kind.name}): they are "
                "standardised by themselves, so a cluster need not mean the same in both",
            )
    if request.given is not None:
        kinds = dict.fromkeys(job.kind.name for job in jobs)
        for note in check_model(request.given, kinds, request.settings, weights):
            yield "", note


def _check_fit_on(request: FolderRequest, images: Sequence[FolderImage]) -> None:
    if request.layout.fit_on and request.given is not None:
        raise SettingsError(
            "fit_on names splits to fit clusters to, and clusters_from clusters that are fitted: "
            "give one of the two"
        )
    splits = dict.fromkeys(image.split for image in images)
    for split in request.layout.fit_on or ():
        if split not in splits:
            raise SceneError(
                f"--fit-on names {split!r}, which is not labelled, expected some of "
                f"{', '.join(splits)}: name it in --splits too"
            )


def _plan(
    request: FolderRequest,
    jobs: Sequence[ImageJob],
    images: Sequence[FolderImage],
    weights: Weights,
) -> Plan:
    identity = images_identity(images, request.settings, request.layout.deciding(), weights)
    identity["tiles"] = [job.store.key for job in jobs]
    if request.given is not None:
        identity["clusters_sha256"] = sha256(request.given.to_bytes()).hexdigest()
    labelled = {image for job in jobs for image in job.images}
    left = Counter(_job_of(image, jobs).name for image in images if image not in labelled)
    splits_folder = request.root / request.layout.img_dir
    splits_folder = splits_folder if splits_folder.is_dir() else request.root
    return Plan(
        fingerprint=fingerprint(identity),
        scenes=tuple(
            PlannedScene(
                job.name,
                str(splits_folder.absolute() / job.images[0].split),
                job.store.folder.name,
                len(job.images) + left[job.name],
            )
            for job in jobs
        ),
        files=(
            *run_files(images=True),
            *(
                name
                for job in jobs
                for name in image_files(PlannedImages(job.name, job.images, request.record.files))
            ),
        ),
        images=True,
    )


def check_folders(run: PlannedRun, folder: RunFolder) -> None:
    """Check for foreign files among the masks, and for changed images.

    Raises
    ------
    RunError
        If there is such a file, which would be taken for a mask of this run, or such an image,
        whose mask would be replaced; unless the run overwrites.
    """
    if not run.request.flags.overwrite:
        _check_images(run.stage.jobs, folder)
        _check_masks(run.plan, folder)


def _check_images(jobs: Sequence[ImageJob], folder: RunFolder) -> None:
    changed, new, gone = list[str](), list[str](), list[str]()
    # Of a store nothing is here; other images make another run there.
    for job in jobs if folder.store is None else ():
        with suppress(RunError):  # it was never labelled, or is damaged and made again
            table = open_image_table(folder.segments_folder(job.name))
            before = {image.title: image.stamp for image in table.images}
            now = {image.title: image for image in job.images if not job.store.has_failed(image)}
            changed += [t for t, image in now.items() if before.get(t, image.stamp) != image.stamp]
            new += [title for title in now if title not in before]
            gone += [title for title in before if title not in now]
    for titles, happened in ((changed, "changed"), (new, "come"), (gone, "gone")):
        if titles:
            more = f", and so have {len(titles) - 1} more" if len(titles) > 1 else ""
            raise RunError(
                f"{titles[0]} has {happened} since {folder.path} was labelled, by size and time "
                f"of the file{more}: put things back, choose another --out, or label again with "
                "--overwrite"
            )


def _check_masks(plan: Plan, folder: RunFolder) -> None:
    ours = {*plan.files, *planned_results(folder)}
    if folder.store is not None and (found := stored_plan(folder.store)) is not None:
        ours.update(found.files)
    folders = {Path(name).parent.as_posix() for name in plan.files} - {".", OVERVIEW}
    for name in sorted(folders):
        names = (each for each in folder.results.names(name) if "/" not in each)
        for file in sorted(each for each in names if not each.startswith(".")):
            if f"{name}/{file}" not in ours:
                raise RunError(
                    f"{folder.results}/{name}/{file} is of no image of this run, and would be "
                    "taken for one of "
                    "its masks: move it away, choose another --out or --mask-dir, or leave it "
                    "there with --overwrite"
                )
