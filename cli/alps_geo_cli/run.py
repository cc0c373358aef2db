"""Running of `label`, `fit` and `apply`: a progress bar, and an end that says how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from alps_geo.events import Event
    from alps_geo.settings import LabelSettings
    from alps_geo_cli.console import Tail
    from alps_geo_cli.options import Chosen, How

    Listener: TypeAlias = Callable[[Event], None]

R = TypeVar("R")


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
    work: Callable[[Sequence[str], LabelSettings, Listener], R],
    scenes: list[str],
    chosen: Chosen,
    how: How,
    tail: Tail,
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
    how : How
        Options of the run.
    tail : Tail
        Options of what is printed.
    """
    with tail.errors(how.on_stop):
        # Imported here, because these bring the geospatial stack, which --help does not need.
        from alps_geo.events import Event
        from alps_geo_cli.progress import RunProgress

        with RunProgress(quiet=tail.quiet) as progress:

            def note(text: str) -> None:
                progress.show(Event("open", note=text))

            settings = chosen.settings(note)
            from alps_geo.datasets import find_scenes

            return work(find_scenes(scenes, note), settings, progress.show)


def run_label(
    scenes: list[str] | None, out: Path | None, how: How, chosen: Chosen, tail: Tail
) -> None:
    """Do what `label` and `apply` do, once their options are read."""
    paths, folder = required(scenes, out, "folder for the results")

    def work(paths: Sequence[str], settings: LabelSettings, listen: Listener) -> dict[str, Any]:
        from alps_geo.pipeline import label_scenes

        return label_scenes(
            paths,
            folder,
            settings,
            overwrite=how.overwrite,
            force=how.force,
            discard_edits=how.discard_edits,
            strict=how.strict,
            listen=listen,
        )

    record = run_scenes(work, paths, chosen, how, tail)

    def print_table() -> None:
        from alps_geo_cli.summary import print_summary

        print_summary(record, folder)

    tail.show(record, print_table)
    from alps_geo_cli.failures import end_with_failures

    end_with_failures(record, "so the map has gaps")
