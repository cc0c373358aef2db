"""Course of `label`, `fit` and `apply`: a progress bar, the work, and advice at a stop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import typer

from alps_geo_cli.paths import run_place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.events import Event
    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.record import RunRecord
    from alps_geo.settings import LabelSettings
    from alps_geo_cli.console import RunPrinting
    from alps_geo_cli.options import Chosen, FlagOptions

    Listener: TypeAlias = Callable[[Event], None]

R = TypeVar("R")
Out = TypeVar("Out", Path, str)

RESULTS = "folder for the results"
"""Meaning of --out where it is a run folder."""


def required(scenes: list[str] | None, out: Out | None, what: str) -> tuple[list[str], Out]:
    """Return the scenes and --out of a command, which needs both.

    Parameters
    ----------
    scenes, out
        Values of the options.
    what : str
        Meaning of --out for errors, such as "folder for the results".

    Raises
    ------
    typer.BadParameter
        If one of them was not typed.
    """
    if not scenes:
        raise typer.BadParameter("give at least one raster", param_hint="SCENE...")
    if out is None:
        raise typer.BadParameter(f"give a {what}", param_hint="--out")
    return scenes, out


def run_scenes(
    work: Callable[[Sequence[str], LabelSettings, Listener], R],
    scenes: list[str],
    chosen: Chosen,
    flags: FlagOptions,
    printing: RunPrinting,
) -> R:
    """Do work on scenes under a progress bar and return its result.

    Parameters
    ----------
    work : callable
        Given the paths of the scenes, the settings, and a listener for events.
    scenes : list of str
        Rasters, folders or globs, as the user typed them.
    chosen : Chosen
        Values of the options of settings.
    flags : FlagOptions
        Options for earlier results and failures.
    printing : RunPrinting
        Options of what is printed.
    """
    with printing.errors(flags.on_stop):
        # Imported here, because these bring the geospatial stack, which --help does not need.
        from alps_geo_cli.progress import run_progress

        with run_progress(printing, verbose=printing.verbose) as progress:
            settings = chosen.settings(progress.note)
            from alps_geo.datasets import find_scenes

            return work(find_scenes(scenes, progress.note), settings, progress.show)


@dataclass(frozen=True)
class Target:
    """Scenes to label, and the place of the results.

    Attributes
    ----------
    scenes : list of str
        The scenes, as they were typed.
    place : pathlib.Path or RunAddress
        Folder of the results, here or in an object store.
    """

    scenes: list[str]
    place: Path | RunAddress

    @classmethod
    def of(cls, scenes: list[str] | None, out: str | None, work: Path | None) -> Target:
        """Return the target that was typed.

        Raises
        ------
        typer.BadParameter
            If scenes or results are missing, or --work does not go with the results.
        """
        given, text = required(scenes, out, RESULTS)
        return cls(given, run_place(text, work))


def run_label(
    target: Target,
    flags: FlagOptions,
    chosen: Chosen,
    printing: RunPrinting,
    *,
    report: bool,
) -> None:
    """Label scenes and print the table of clusters: the work of `label` and of `apply`.

    With `report`, the page that shows the run is written at the end.

    Raises
    ------
    typer.BadParameter
        If a report is to be written of results in a store.
    """
    folder = target.place
    if report and not isinstance(folder, Path):
        raise typer.BadParameter(
            f"{folder} is in a store; alps-geo report makes the page of a folder that was fetched",
            param_hint="--report",
        )

    def work(paths: Sequence[str], settings: LabelSettings, listen: Listener) -> RunRecord:
        from alps_geo.pipeline.scenes import label_scenes

        return label_scenes(
            paths,
            folder,
            settings,
            flags,
            listen=listen,
        )

    record = run_scenes(work, target.scenes, chosen, flags, printing)

    def print_table() -> None:
        from alps_geo_cli.summary import print_summary

        print_summary(record, folder)

    printing.show(record.to_json(), print_table)
    if report and isinstance(folder, Path):
        from alps_geo.outputs.names import REPORT
        from alps_geo_cli.report import write_report

        with printing.errors("the run has finished; alps-geo report makes the page"):
            write_report(folder, folder / REPORT, quiet=printing.quiet)
        if not printing.silent:
            typer.echo(folder / REPORT)
    from alps_geo_cli.failures import end_with_failures

    end_with_failures(record.failed, "so the map has gaps")
