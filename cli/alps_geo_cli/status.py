"""``alps-geo status``: tiles of a run that are done, left and failed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.console import Debug, Json, Printing
from alps_geo_cli.paths import run_place, typed_name

if TYPE_CHECKING:
    from rich.tree import Tree

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

    from alps_geo_cli.failures import print_failures

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
        console.print(_workers_tree(found))
    if found.failed:
        console.print("The same command tries again what failed:", highlight=False)
        print_failures(found.failed, err=False)


def _workers_tree(found: RunStatus) -> Tree:
    """List the processes at work, each with the workers that it hands tiles to."""
    from rich.text import Text
    from rich.tree import Tree

    from alps_geo_cli.failures import SHOWN

    tree = Tree("", hide_root=True)
    for worker in found.workers[:SHOWN]:
        branch = tree.add(Text(_process_line(worker, "image" if found.images else "tile")))
        for name, now in sorted(worker.now.items())[:SHOWN]:
            branch.add(Text(_worker_line(name, now, worker.elsewhere.get(name))))
        if (more := len(worker.now) - SHOWN) > 0:
            branch.add(f"and {more} more; --json lists them all")
    if (more := len(found.workers) - SHOWN) > 0:
        tree.add(f"and {more} more; --json lists them all")
    return tree


def _process_line(worker: WorkerNote, item: str) -> str:
    share = f"{worker.task}, " if worker.task else ""
    done = f"{worker.done} {item}{'s' * (worker.done != 1)} done"
    return f"process {worker.pid} on {worker.host}: {share}{done}, {_last_sign(worker)}"


def _worker_line(name: str, now: str, done: int | None) -> str:
    title = name if not name or name.startswith("process ") else f"worker {name}"
    parts = [] if done is None else [f"{done} done"]
    told = ", ".join([*parts, f"now {now}" if now else "waits for work"])
    return f"{title}: {told}" if title else told


def _last_sign(worker: WorkerNote) -> str:
    if not worker.seems_dead:
        return f"heard of {worker.silent:.0f} s ago"
    now = datetime.now().astimezone()
    last = now - timedelta(seconds=worker.silent)
    day = "" if last.date() == now.date() else f"{last:%Y-%m-%d} "
    return f"not heard of since {day}{last:%H:%M}"
