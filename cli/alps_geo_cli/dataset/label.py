"""``alps-geo dataset label``: a folder of images in, a mask for each out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.settings import OUTPUT
from alps_geo_cli.console import RunPrinting
from alps_geo_cli.failures import end_with_failures
from alps_geo_cli.log import logged
from alps_geo_cli.options import (
    Chosen,
    FlagOptions,
    FolderGroup,
    FolderOptions,
    SettingsGroup,
    Work,
)
from alps_geo_cli.paths import run_place, typed_name, typed_path
from alps_geo_cli.shares import ShareOptions, end_share

if TYPE_CHECKING:
    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.record import RunRecord


def label(
    *,
    root: Annotated[
        Path,
        typer.Argument(
            parser=typed_path,
            metavar="ROOT",
            help="Folder of the images: ROOT/img_dir/{train,val}/*.png, or ROOT/*.png.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_name,
            metavar="DIR",
            help="Folder for the results, or its address in an object store, such as "
            "s3://bucket/run; ROOT is then left as it is.",
            show_default="ROOT",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    work: Work = None,
    folder: Annotated[FolderOptions, FolderGroup()],
    flags: FlagOptions,
    chosen: Annotated[Chosen, SettingsGroup(fits=True, writes=True, scenes=False)],
    shares: ShareOptions,
    printing: RunPrinting,
) -> None:
    """Label the images of a folder: one cluster model for all, and a mask for each image.

    Writes instance_mask/SPLIT/NAME_instance_color.png with the cluster of each pixel, from 1 on;
    clusters.npz, run.json and a picture of each split in overview/ next to it. A run that was
    stopped goes on where it stopped when the same command is given again.

    Examples
    --------
    alps-geo dataset label ROOT --vis
    alps-geo dataset label ROOT --out results --splits train,val --fit-on train
    """
    place = run_place(str(root) if out is None else out, work)
    if shares.check(flags):
        _label_share(root, place, folder, shares, flags, chosen, printing)
        return
    with printing.errors(flags.on_stop):
        from alps_geo.pipeline.images import label_images
        from alps_geo_cli.progress import run_progress

        layout = folder.settings()
        with (
            logged(place, f"{layout.log_dir}/{layout.log_name}.log") as log,
            run_progress(printing, verbose=printing.verbose) as progress,
        ):
            settings = chosen.settings(progress.note)
            record = label_images(
                root, place, settings, layout, flags, listen=log.listener(progress.show)
            )
            log.end(record)
    printing.show(record.to_json(), lambda: _print_results(record, place))
    end_with_failures(record.failed, "so they have no mask")


def _label_share(
    root: Path,
    place: Path | RunAddress,
    folder: FolderOptions,
    shares: ShareOptions,
    flags: FlagOptions,
    chosen: Chosen,
    printing: RunPrinting,
) -> None:
    """Work on a share of the images; the log is that of the run that finishes."""
    with printing.errors(flags.on_stop):
        from alps_geo.pipeline.image_shares import label_image_share
        from alps_geo_cli.progress import run_progress

        layout = folder.settings()
        with run_progress(printing, verbose=printing.verbose) as progress:
            settings, request = chosen.settings(progress.note), shares.request(flags)
            found = label_image_share(root, place, settings, layout, request, listen=progress.show)
    end_share(found, printing, "images")


def _print_results(record: RunRecord, place: Path | RunAddress) -> None:
    from alps_geo_cli.summary import print_summary

    print_summary(record, place)
    for split in record.scenes:
        typer.echo(f"{split.name}: {split.images} images, {split.segments} segments")
