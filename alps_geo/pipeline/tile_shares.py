"""Work on a share of the tiles of a run, in a folder that other processes work in too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import rasterio

from alps_geo.events import Tally
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.outputs.results import check_formats
from alps_geo.pipeline.scene_plan import inputs_of, open_run, plan_of, with_given_model
from alps_geo.pipeline.stages import make_models, shared_folder
from alps_geo.runs.reading import done_and_failed
from alps_geo.runs.tile_claim import claimed_together
from alps_geo.runs.workers import at_work
from alps_geo.settings import LabelSettings
from alps_geo.tiles.array_jobs import ALL
from alps_geo.tiles.shares import Share, ShareStage
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from alps_geo.events import Event
    from alps_geo.masks.generator import MaskGenerator
    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.failures import Failure
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.plan import Plan
    from alps_geo.tiles.executors import Executor

Failed = TypeVar("Failed", bound="Failure")


@dataclass(frozen=True)
class ShareRequest:
    """A share of the tiles of a run, and the treatment of failures.

    Attributes
    ----------
    share : Share
        The share.
    fit : bool
        True for the tiles of a fit.
    strict : bool
        True to stop at the first tile that fails.
    """

    share: Share = ALL
    fit: bool = False
    strict: bool = False


EVERYTHING = ShareRequest()
"""All tiles of a run that labels scenes."""


@dataclass(frozen=True)
class ShareProgress:
    """Progress of a run after a process has worked on its share of the tiles.

    Attributes
    ----------
    share : Share
        The share.
    tiles, done : int
        Number of tiles of the run, and of those that are done by whomever.
    failed : tuple of Failure
        Tiles of the share that failed.
    """

    share: Share
    tiles: int
    done: int
    failed: tuple[Failure, ...]

    @property
    def left(self) -> int:
        """Number of tiles of the run that are not done, those that failed included."""
        return self.tiles - self.done

    def to_json(self) -> dict[str, object]:
        """Return the progress as a JSON object."""
        return {
            "shard": f"{self.share.number}/{self.share.count}",
            "tiles": self.tiles,
            "done": self.done,
            "left": self.left,
            "failed": [each.to_json() for each in self.failed],
        }


def label_share(
    paths: Sequence[str],
    out: Path | RunAddress,
    settings: LabelSettings | None = None,
    request: ShareRequest = EVERYTHING,
    *,
    generator: MaskGenerator | None = None,
    listen: Callable[[Event], None] = lambda _: None,
) -> ShareProgress:
    """Work on a share of the tiles of a run that any number of processes work on together.

    Shares may overlap, be stopped, and be given again, also at the same moment. When all tiles are
    done, `alps_geo.pipeline.scenes.label_scenes` or `fit_scenes` with the same scenes and settings
    finishes the run; it works on tiles that are left, and tries those again that failed.

    >>> request = ShareRequest(Share(3, 16))
    >>> label_share(["scene.tif"], Path("out"), request=request).left  # doctest: +SKIP

    Parameters
    ----------
    paths, settings, generator, listen
        As for `alps_geo.pipeline.scenes.label_scenes`.
    out : pathlib.Path or RunAddress
        The run folder, on this machine or in an object store; or that of the tiles of a fit.
    request : ShareRequest
        The tiles to work on; all of them by default.

    Raises
    ------
    AlpsGeoError
        If a scene, a model or the folder cannot be used, if the folder holds another run, if a
        process has it for itself, or, if the request is strict, if a tile fails.
    """
    settings, given = with_given_model(settings or LabelSettings())
    check_formats(settings.chosen_formats)
    folder = shared_folder(out, settings)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        run = open_run(paths, settings, folder, make_models(settings, generator), listen, given)
        plan = plan_of(run, given, fit=request.fit)
        with claimed_together(folder, plan, [] if request.fit else inputs_of(run)):
            stage = ShareStage(run.tile_stage, request.share)
            failed = work_on_share(folder, stage, run.executor, listen, strict=request.strict)
            return progress_of(folder, plan, request.share, failed)


def work_on_share(
    folder: RunFolder,
    stage: ShareStage[Failed],
    executor: Executor,
    listen: Callable[[Event], None],
    *,
    strict: bool = False,
) -> list[Failed]:
    """Work on the tasks of a share, in a folder that is held together with others.

    Returns
    -------
    list of Failed
        Tasks that failed, in order.

    Raises
    ------
    AlpsGeoError
        If a model or the folder cannot be used, or, if `strict`, if a task fails.
    """
    tasks = list(stage.tasks())
    stage.forget_failures(tasks)  # they are tried again
    tally = Tally(len(tasks), listen)
    with at_work(folder, str(stage.share)) as log:
        return label_tiles(stage, tally, executor, strict=strict, log=log, a_share=True)


def progress_of(
    folder: RunFolder, plan: Plan, share: Share, failed: Sequence[Failure]
) -> ShareProgress:
    """Count the tiles of a run that are done, from a listing of its folder."""
    done = sum(done_and_failed(folder, scene)[0] for scene in plan.scenes)
    return ShareProgress(share, sum(scene.tiles for scene in plan.scenes), done, tuple(failed))
