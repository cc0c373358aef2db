"""Tiles that failed, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from alps_geo_cli.console import PARTLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.tile_store import FailedTile

SHOWN = 20


def print_failures(failed: Sequence[FailedTile], *, err: bool) -> None:
    """Print where and why tiles failed, of very many only the first; `err` is to standard error."""
    for tile in failed[:SHOWN]:
        typer.echo(f"failed: {tile}", err=err)
    if len(failed) > SHOWN:
        typer.echo(f"and {len(failed) - SHOWN} more; --json lists them all", err=err)


def end_with_failures(record: dict[str, Any], consequence: str) -> None:
    """Say which tiles of a run failed, if any did, and end with the exit code for that."""
    from alps_geo.tile_store import FailedTile

    if failed := [FailedTile.from_dict(tile) for tile in record["failed"]]:
        print_failures(failed, err=True)
        tiles, them = ("1 tile", "it") if len(failed) == 1 else (f"{len(failed)} tiles", "them")
        typer.echo(
            f"alps-geo: {tiles} failed, {consequence}; the same command tries {them} again, "
            "with --overwrite after a file was replaced",
            err=True,
        )
        raise typer.Exit(PARTLY)
