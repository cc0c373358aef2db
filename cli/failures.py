"""Tiles that failed, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.store import FailedTile

SHOWN = 20


def print_failures(failed: Sequence[FailedTile], *, err: bool) -> None:
    """Print where and why tiles failed, of very many only the first; `err` is to standard error."""
    for tile in failed[:SHOWN]:
        typer.echo(f"failed: {tile}", err=err)
    if len(failed) > SHOWN:
        typer.echo(f"and {len(failed) - SHOWN} more; --json lists them all", err=err)
