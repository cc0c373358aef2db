"""``alps-geo plan``: tiles, time, disk and memory of a run before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.console import RunPrinting
from alps_geo_cli.options import Chosen, Scenes, SettingsGroup
from alps_geo_cli.shares import MACHINES

if TYPE_CHECKING:
    from alps_geo.pipeline.estimate import RunEstimate


def plan(
    *,
    scenes: Scenes = None,
    measure: Annotated[
        int,
        typer.Option(min=1, max=64, help="Tiles to measure on.", rich_help_panel=MACHINES),
    ] = 2,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Say how many machines like this one finish in this time, such as 2h or 90min.",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    chosen: Annotated[Chosen, SettingsGroup(fits=True, writes=True)],
    printing: RunPrinting,
) -> None:
    """Say how many tiles scenes have, and what a run with these options takes on this device.

    A few tiles near the middle of the largest scene are labelled in a temporary folder, and the
    figures are theirs, times the number of tiles: so a run takes less where tiles hold no data.
    Measured is one process of this machine, whatever `--workers` and `--dask` say. Nothing is
    written elsewhere.

    Examples
    --------
    alps-geo plan mosaic.vrt
    alps-geo plan scenes/ --model vit_h --within 2h
    """
    if not scenes:
        raise typer.BadParameter("give at least one raster", param_hint="SCENE...")
    seconds = None if within is None else _seconds(within)
    with printing.errors():
        from alps_geo.datasets import find_scenes
        from alps_geo.pipeline.estimate import estimate_run
        from alps_geo_cli.progress import run_progress

        with run_progress(printing, verbose=printing.verbose) as progress:
            settings = chosen.settings(progress.note)
            paths = find_scenes(scenes, progress.note)
            estimate = estimate_run(paths, settings, measure, listen=progress.show)
    machines = {} if seconds is None else {"machines": estimate.machines(seconds)}
    printing.show(estimate.to_json() | machines, lambda: _print_estimate(estimate, within, seconds))


def _seconds(text: str) -> float:
    """Read a time, such as 2h, 90min or 1d 6h."""
    import pandas as pd

    try:
        seconds = float(pd.Timedelta(text).total_seconds())
    except ValueError:
        seconds = 0.0
    if not seconds > 0 or text.strip().replace(".", "").isdecimal():
        raise typer.BadParameter(
            f"{text!r} is no time; expected one such as 90min, 2h or 1d", param_hint="--within"
        )
    return seconds


def _print_estimate(estimate: RunEstimate, within: str | None, seconds: float | None) -> None:
    tiles = estimate.tiles
    lines = [
        f"{estimate.pixels / 1e6:,.1f} megapixels in {estimate.scenes} "
        f"scene{'s' * (estimate.scenes > 1)}: {tiles:,} tiles",
        f"measured on {estimate.measured} tile{'s' * (estimate.measured > 1)}: "
        f"{estimate.tile_seconds:.2f} s and {estimate.tile_bytes / 1e6:.2f} MB each "
        f"({estimate.machine})",
        f"tiles on this device: {_time(estimate.all_tile_seconds)}",
        f"afterwards, in one process: {_time(estimate.all_finish_seconds)}",
        f"disk: {_size(tiles * estimate.tile_bytes)} of tiles, "
        f"{_size(tiles * estimate.result_bytes)} of segments and results",
    ]
    if estimate.memory_bytes is not None:
        lines.append(f"memory: {_size(estimate.memory_bytes)} for each process on tiles")
    if seconds is not None:
        machines = estimate.machines(seconds)
        lines.append(
            f"within {within}: "
            + (
                "not with any number of machines, for the end takes as long in one process"
                if machines is None
                else f"{machines:,} such device{'s' * (machines > 1)}"
            )
        )
    typer.echo("\n".join(lines))


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
