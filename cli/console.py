"""What all commands share: where they print, and how an error ends them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo.errors import AlpsGeoError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error, for a bug report.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output, nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

FAILED = 1
USAGE = 2
INTERRUPTED = 130


@contextmanager
def reported_errors(*, debug: bool) -> Iterator[None]:
    """End the command with one line on standard error and the right exit code.

    Bad settings exit with 2, as other usage errors do; all else that a user can mend with 1, and
    Ctrl-C with 130.
    """
    try:
        yield
    except AlpsGeoError as error:
        if debug:
            raise
        typer.echo(f"alps-geo: error: {error}", err=True)
        raise typer.Exit(USAGE if isinstance(error, SettingsError) else FAILED) from None
    except KeyboardInterrupt:
        typer.echo("alps-geo: interrupted; the same command goes on where it stopped", err=True)
        raise typer.Exit(INTERRUPTED) from None
