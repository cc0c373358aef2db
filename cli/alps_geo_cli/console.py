"""Output and errors of all commands: options for both, and exit codes."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from alps_geo.errors import AlpsGeoError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error, for a bug report.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output, nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Log to standard error: stages with the time of day, and the seconds that each tile "
        "or image took.",
    ),
]


@dataclass(frozen=True)
class Printing:
    """Options of a command's output, which almost all commands have."""

    quiet: Quiet = False
    as_json: Json = False
    debug: Debug = False

    @property
    def silent(self) -> bool:
        """True if nothing is printed for people."""
        return self.quiet or self.as_json

    def errors(self, on_stop: str = "nothing was finished") -> AbstractContextManager[None]:
        """Return `reported_errors`, with tracebacks if --debug was typed."""
        return reported_errors(debug=self.debug, on_stop=on_stop)

    def show(self, record: Any, print_table: Callable[[], None]) -> None:
        """Print a result: as JSON, for people by `print_table`, or not at all."""
        if self.as_json:
            typer.echo(json.dumps(record, indent=2))
        elif not self.quiet:
            print_table()


@dataclass(frozen=True)
class WorkPrinting(Printing):
    """Options of the output of a command that takes its time, and shows how far it is."""

    progress: Annotated[
        Literal["bar", "json"],
        typer.Option(
            "--progress",
            help="Show progress on standard error: as a bar in a terminal, or for another program "
            "as lines of JSON with stage, scene, done, total and note.",
        ),
    ] = "bar"


@dataclass(frozen=True)
class RunPrinting(WorkPrinting):
    """Options of the output of a command that works on tiles."""

    verbose: Verbose = False

    def __post_init__(self) -> None:
        """Refuse a log of a command that is to be quiet."""
        if self.verbose and self.quiet:
            raise typer.BadParameter("--quiet leaves no log: give one of both", param_hint="-v")
        if self.verbose and self.progress == "json":
            raise typer.BadParameter("--progress json tells all of it", param_hint="-v")


def print_note(text: str) -> None:
    """Print a note for the user on standard error, apart from results."""
    typer.echo(f"note: {text}", err=True)


FAILED = 1
USAGE = 2
PARTLY = 3
INTERRUPTED = 130
TERMINATED = 143

EXIT_CODES = (
    "0 done; 1 failed, nothing or not all was written, and a line says what to do; 2 wrong usage, "
    "nothing was begun; 3 done, but for tiles, scenes or images that failed and are listed; "
    "130 stopped by Ctrl-C, 143 by SIGTERM."
)
"""Meaning of the exit codes."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


@contextmanager
def reported_errors(*, debug: bool, on_stop: str = "nothing was finished") -> Iterator[None]:
    """End the command with one line on standard error and the right exit code.

    Bad settings exit with 2, as other usage errors do; all else that a user can mend with 1;
    Ctrl-C with 130, and SIGTERM with 143.

    Parameters
    ----------
    debug : bool
        True to raise errors with their traceback instead.
    on_stop : str
        Advice for a user who stops the command.
    """
    try:
        with _sigterm_raised():
            yield
    except AlpsGeoError as error:
        if debug:
            raise
        typer.echo(f"alps-geo: error: {error}", err=True)
        raise typer.Exit(USAGE if isinstance(error, SettingsError) else FAILED) from None
    except KeyboardInterrupt as stop:
        typer.echo(f"alps-geo: interrupted; {on_stop}", err=True)
        raise typer.Exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED) from None


@contextmanager
def _sigterm_raised() -> Iterator[None]:
    """Let SIGTERM unwind the program, so that it ends its processes and prints its advice."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise Terminated
