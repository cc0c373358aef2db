"""Running of `label`, `fit` and `apply`: a progress bar, and an end that says how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import typer

from alps_geo_cli.console import reported_errors
from alps_geo_cli.options import how_to_go_on, to_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Record = TypeVar("Record")


def required(scenes: list[str] | None, out: Path | None, what: str) -> tuple[list[str], Path]:
    """Return both, for neither can be left out; `what` is --out, as "folder for the results".

    Raises
    ------
    typer.BadParameter
        One of them was not typed.
    """
    if not scenes:
        raise typer.BadParameter("give at least one raster", param_hint="SCENE...")
    if out is None:
        raise typer.BadParameter(f"give a {what}", param_hint="--out")
    return scenes, out


def run_scenes(
    work: Callable[..., Record],
    scenes: list[str],
    out: Path,
    chosen: dict[str, Any],
    *,
    overwrite: bool,
    force: bool,
    discard_edits: bool,
    strict: bool,
    quiet: bool,
    debug: bool,
) -> Record:
    """Do work on scenes and return its record.

    Parameters
    ----------
    work : callable
        Given the paths of the scenes, `out` and the settings, and as keywords ``overwrite``,
        ``force``, ``discard_edits``, ``strict`` and ``listen``.
    scenes : list of str
        Rasters, folders or globs, as the user typed them.
    out : path
        File or folder that --out names.
    chosen : dict
        Values of the options of `settings_options`.
    overwrite, force, discard_edits, strict, quiet, debug : bool
        What the user typed.
    """
    with reported_errors(debug=debug, on_stop=how_to_go_on(force=force)):
        settings = to_settings(chosen)
        # Imported here, because these bring the geospatial stack, which --help does not need.
        from alps_geo.datasets import find_scenes
        from alps_geo.events import Event
        from alps_geo_cli.progress import RunProgress

        with RunProgress(quiet=quiet) as progress:
            return work(
                find_scenes(scenes, lambda note: progress.show(Event("open", note=note))),
                out,
                settings,
                overwrite=overwrite,
                force=force,
                discard_edits=discard_edits,
                strict=strict,
                listen=progress.show,
            )
