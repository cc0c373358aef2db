"""Options and printing of work on a share of the tiles, as by a job of a job array."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

MACHINES = "Many machines"

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alps_geo.pipeline.tile_shares import ShareProgress, ShareRequest
    from alps_geo.runs.address import RunAddress
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.shares import Share
    from alps_geo_cli.console import RunPrinting
    from alps_geo_cli.options import Chosen, FlagOptions
    from alps_geo_cli.run import Listener

CONSEQUENCE = "so the map will have gaps unless the run succeeds with them"


@dataclass(frozen=True)
class ShareOptions:
    """Options of a process that works on tiles next to others."""

    only: Annotated[
        Literal["tiles"] | None,
        typer.Option(
            "--only",
            help="Work on tiles alone, any number of processes at once on all machines that see "
            "the folder; the same command without it finishes the run.",
            rich_help_panel=MACHINES,
        ),
    ] = None
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Share of the tiles for --only tiles, as 3/16; auto/16 takes I from the job "
            "array. Without it, both come from a job array of Slurm or AWS Batch.",
            show_default="all tiles that are left",
            rich_help_panel=MACHINES,
        ),
    ] = None

    def check(self, flags: FlagOptions) -> bool:
        """Return True if the command works on tiles alone.

        Raises
        ------
        typer.BadParameter
            If options contradict each other.
        """
        if self.only is None:
            if self.shard is not None:
                raise typer.BadParameter("is for --only tiles: give both", param_hint="--shard")
            return False
        for name in ("overwrite", "force", "discard_edits"):
            if getattr(flags, name):
                option = f"--{name.replace('_', '-')}"
                raise typer.BadParameter(
                    f"--only tiles removes nothing, for others may be at work there; give {option} "
                    "to the command without --only, before or after",
                    param_hint=option,
                )
        return True

    def share(self) -> Share:
        """Return the share of the options or of the job array.

        Raises
        ------
        SettingsError
            If they give none.
        """
        from alps_geo.tiles.array_jobs import share_of

        return share_of(self.shard, os.environ)

    def request(self, flags: FlagOptions, *, fit: bool = False) -> ShareRequest:
        """Return the work on the share of the options or of the job array.

        Raises
        ------
        SettingsError
            If they give none.
        """
        from alps_geo.pipeline.tile_shares import ShareRequest

        return ShareRequest(self.share(), fit=fit, strict=flags.strict)


def run_share(
    scenes: list[str],
    folder: Path | RunAddress,
    shares: ShareOptions,
    flags: FlagOptions,
    chosen: Chosen,
    printing: RunPrinting,
    *,
    fit: bool = False,
) -> None:
    """Work on a share of the tiles of a run, and say how far the run is."""
    from alps_geo_cli.run import run_scenes

    # Told at once: a job array would load a model first in each of its jobs.
    with printing.errors(flags.on_stop):
        shares.share()

    def work(paths: Sequence[str], settings: LabelSettings, listen: Listener) -> ShareProgress:
        from alps_geo.pipeline.tile_shares import label_share

        return label_share(paths, folder, settings, shares.request(flags, fit=fit), listen=listen)

    end_share(run_scenes(work, scenes, chosen, flags, printing), printing)


def end_share(progress: ShareProgress, printing: RunPrinting, noun: str = "tiles") -> None:
    """Print how far a run is after work on a share, and end with the code of failures if any.

    The `noun` is that of its tasks.
    """
    from alps_geo_cli.failures import end_with_failures

    printing.show(progress.to_json(), lambda: print_progress(progress, noun))
    end_with_failures(progress.failed, CONSEQUENCE)


def print_progress(progress: ShareProgress, noun: str) -> None:
    """Say how many tiles of a run are done, and what to give next."""
    options = "--only tiles and --shard" if progress.share.count > 1 else "--only tiles"
    when = "when all shards have ended, " if progress.left else ""
    following = f"{when}the same command without {options} finishes the run"
    typer.echo(f"{progress.done} of {progress.tiles} {noun} are done; {following}")
