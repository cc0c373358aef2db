"""Progress of a run on standard error: a bar for people, or lines of JSON for another program."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from alps_geo.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from alps_geo_cli.console import WorkPrinting

ETA_PERIOD = 3600.0
"""Seconds of past speed that the ETA goes by: long, since a tile takes seconds to minutes."""


@contextmanager
def counting(title: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error; yield a function that takes the work done and all work."""
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    with Progress(console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def counting_for(printing: WorkPrinting, title: str) -> Iterator[Callable[[int, int], None]]:
    """Show work as a command was asked to; yield a function as that of `counting`."""
    if printing.progress == "bar":
        with counting(title, quiet=printing.silent) as show:
            yield show
        return
    progress = JsonProgress(quiet=printing.quiet)
    yield lambda done, total: progress.show(Event(title, tiles=total, computed=done))


def run_progress(printing: WorkPrinting, *, verbose: bool = False) -> RunProgress | JsonProgress:
    """Return the progress that a command was asked to show, with a log of tiles if verbose."""
    if printing.progress == "json":
        return JsonProgress(quiet=printing.quiet)
    return RunProgress(quiet=printing.quiet, verbose=verbose)


class JsonProgress:
    """Writes each event of a run as a line of JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __enter__(self) -> JsonProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def note(self, text: str) -> None:
        """Write a note on the run as a whole."""
        self.show(Event("open", note=text))

    def show(self, event: Event) -> None:
        """Write one event; of all tiles, those that take time are counted, as in the bar."""
        if not self._quiet:
            line = {
                "stage": event.stage,
                "scene": event.scene,
                "done": event.computed,
                "total": event.tiles - event.skipped,
                "note": event.note,
            }
            typer.echo(json.dumps(line), err=True)


class RunProgress:
    """Shows the events of a run as they come.

    Tiles that an earlier run has done, and tiles without data, take no time worth counting. They
    leave the total instead of being counted as done, so that they do not flatter the ETA.

    Parameters
    ----------
    quiet : bool
        True to show nothing.
    verbose : bool
        True to log a line for each stage and tile as well.
    """

    def __init__(self, *, quiet: bool, verbose: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._verbose = verbose
        self._logged = ""
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            speed_estimate_period=ETA_PERIOD,
            transient=True,
            # Where nobody watches, a bar would only leave empty lines in a log.
            disable=quiet or not self._console.is_terminal,
        )
        self._tiles = self._progress.add_task("tiles", total=None, visible=False)

    def __enter__(self) -> RunProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Show a note on the run as a whole."""
        self.show(Event("open", note=text))

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.note:
            about = f" {event.scene}" if event.scene else ""
            self._console.print(
                f"[yellow]note[/]{about}: {event.note}", highlight=False, soft_wrap=True
            )
        elif self._verbose:
            self._log(event)
        self._progress.update(
            self._tiles,
            description=f"{event.stage} {event.scene}".strip(),
            completed=event.computed,
            total=event.tiles - event.skipped,
            visible=True,
        )

    def _log(self, event: Event) -> None:
        """Log a tile, or a stage and a scene when the run comes to them."""
        stage = f"{event.stage} {event.scene}".strip()
        if event.tile is None and stage == self._logged:
            return
        self._logged = stage
        text = stage if event.tile is None else f"{event.scene}, {event.tile}"
        self._console.print(
            f"{datetime.now():%H:%M:%S} {text}", highlight=False, markup=False, soft_wrap=True
        )
