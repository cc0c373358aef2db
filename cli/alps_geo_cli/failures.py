"""Tiles and scenes that failed, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from alps_geo_cli.console import PARTLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alps_geo.runs.failures import Failure


SHOWN = 20


def print_failures(failed: Sequence[Failure], *, err: bool) -> None:
    """Print the failed tiles and scenes, of very many only the first.

    Parameters
    ----------
    failed : sequence of Failure
        The failures.
    err : bool
        True to print on standard error.
    """
    for each in failed[:SHOWN]:
        typer.echo(f"failed: {each}", err=err)
    if len(failed) > SHOWN:
        typer.echo(f"and {len(failed) - SHOWN} more; --json lists them all", err=err)


def end_with_failures(failed: Sequence[Failure], consequence: str) -> None:
    """Print the failures of a run, if there are any, and end with their exit code.

    Parameters
    ----------
    failed : sequence of Failure
        Failures in the record of the run.
    consequence : str
        Consequence of failed tiles, as "so the map has gaps".

    Raises
    ------
    typer.Exit
        If a tile or scene failed.
    """
    from alps_geo.runs.failures import FailedImage, FailedScene

    if not failed:
        return
    print_failures(failed, err=True)
    scenes = sum(isinstance(each, FailedScene) for each in failed)
    images = sum(isinstance(each, FailedImage) for each in failed)
    tiles = len(failed) - scenes - images
    what = [_counted(tiles, "tile", consequence)] if tiles else []
    if scenes:
        what.append(_counted(scenes, "scene", "without results"))
    if images:
        what.append(_counted(images, "image", "without a mask"))
    them = "it" if len(failed) == 1 else "them"
    typer.echo(
        f"alps-geo: {' and '.join(what)}; the same command tries {them} again, "
        "with --overwrite after a file was replaced",
        err=True,
    )
    raise typer.Exit(PARTLY)


def _counted(count: int, noun: str, consequence: str) -> str:
    return f"{count} {noun}{'s' * (count > 1)} failed, {consequence}"
