"""Work on a share of the images of a folder, in a run folder that other processes work in too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rasterio

from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.pipeline.image_plan import check_folders, folder_request, plan_images
from alps_geo.pipeline.stages import shared_folder
from alps_geo.pipeline.tile_shares import EVERYTHING, progress_of, work_on_share
from alps_geo.runs.tile_claim import claimed_together
from alps_geo.tiles.shares import ShareStage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alps_geo.events import Event
    from alps_geo.masks.generator import MaskGenerator
    from alps_geo.pipeline.tile_shares import ShareProgress, ShareRequest
    from alps_geo.runs.address import RunAddress
    from alps_geo.settings import LabelSettings
    from alps_geo.settings.folder import FolderSettings


def label_image_share(
    root: Path,
    out: Path | RunAddress | None = None,
    settings: LabelSettings | None = None,
    layout: FolderSettings | None = None,
    request: ShareRequest = EVERYTHING,
    *,
    generator: MaskGenerator | None = None,
    listen: Callable[[Event], None] = lambda _: None,
) -> ShareProgress:
    """Work on a share of the images of a folder that any number of processes work on together.

    When all images are done, `alps_geo.pipeline.images.label_images` finishes the run.

    Parameters
    ----------
    root, out, settings, layout, generator, listen
        As for `alps_geo.pipeline.images.label_images`.
    request : ShareRequest
        The images to work on; all of them by default.

    Raises
    ------
    AlpsGeoError
        As `alps_geo.pipeline.tile_shares.label_share`, with images in the place of tiles.
    """
    asked = folder_request(root, settings, layout)
    folder = shared_folder(asked.root if out is None else out, asked.settings)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        run = plan_images(asked, folder, generator, listen)
        check_folders(run, folder)
        inputs = [image.path for job in run.stage.jobs for image in job.images]
        with claimed_together(folder, run.plan, inputs):
            stage = ShareStage(run.stage, request.share)
            failed = work_on_share(folder, stage, run.executor, listen, strict=request.strict)
            return progress_of(folder, run.plan, request.share, failed)
