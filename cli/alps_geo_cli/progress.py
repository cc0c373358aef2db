"""A progress bar over the tiles of a run, on standard error."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

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
