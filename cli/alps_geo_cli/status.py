"""``alps-geo status``: tiles of a run that are done, left and failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.console import Debug, Json, Printing
from alps_geo_cli.paths import run_place, typed_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from alps_geo.runs.status import RunStatus
    from alps_geo.runs.workers import WorkerNote

ADVICE = {
    "running": "A run is at work here.",
    "stopped": "The run has stopped; its command, given again, goes on where it stopped.",
    "finished": "The run has finished.",
    "unfinished": "The run has not finished, and nobody is at work on its tiles; unless its "
    "results are just being made, its command, given again, goes on.",
}


def status(
    folder: Annotated[
        str,
        typer.Argument(
            parser=typed_name,
            metavar="DIR",
            help="Folder that was the --out of a run, or its address in an object store.",
        ),
    ],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say how far a run is: what is done, what is left, what failed, and who is at work.

    Looks at names of files only, so it may be asked at any time, also while the run is at work.

    Examples
    --------
    alps-geo status results
    alps-geo status results --json
    """
    printing = Printing(as_json=as_json, debug=debug)
    with printing.errors():
        from alps_geo.runs.status import run_status

        found = run_status(run_place(folder))
    printing.show(found.to_json(), lambda: _print_status(found))


def _print_status(found: RunStatus) -> None:
    from rich.console import Console
    from rich.table import Table

    from alps_geo_cli.failures import SHOWN, print_failures

    table = Table()
    table.add_column("split" if found.images else "scene")
    for title in ("images" if found.images else "tiles", "done", "left", "failed"):
        table.add_column(title, justify="right")
    for scene in found.scenes:
        numbers = (scene.tiles, scene.done, scene.left, len(scene.failed))
        table.add_row(scene.name, *map(str, numbers))
    console = Console()
    console.print(table)
    console.print(ADVICE[found.state], highlight=False)
    if found.workers:
        console.print(_workers_table(found.workers))
        if (more := len(found.workers) - SHOWN) > 0:
            console.print(f"and {more} more; --json lists them all", highlight=False)
    if found.failed:
        console.print("The same command tries again what failed:", highlight=False)
        print_failures(found.failed, err=False)


def _workers_table(workers: Sequence[WorkerNote]) -> Table:
    """Lay out the processes at work, those that have been silent for long last."""
    from rich.table import Table

    from alps_geo_cli.failures import SHOWN

    table = Table("host", "process", "share")
    for title in ("tiles done", "last sign of life"):
        table.add_column(title, justify="right")
    table.add_column("now")
    for worker in sorted(workers, key=lambda each: each.seems_dead)[:SHOWN]:
        share = worker.task or "all tiles"
        process, done, now = str(worker.pid), str(worker.done), worker.now.get("", "")
        table.add_row(worker.host, process, share, done, _last_sign(worker), now)
        for name in sorted({*worker.elsewhere, *worker.now} - {""})[:SHOWN]:
            done = str(worker.elsewhere.get(name, ""))
            its = name if name.startswith("process ") else f"worker {name}"
            table.add_row("", "", f"its {its}", done, "", worker.now.get(name, ""))
    return table


def _last_sign(worker: WorkerNote) -> str:
    if worker.seems_dead:
        return f"silent for {worker.silent / 60:.0f} minutes"
    return f"{worker.silent:.0f} s ago"
