"""Workers of Dask on machines that die, are cut off, and lose their scheduler.

    python benchmarks/bench_machines.py chaos        # needs root and iproute2: network namespaces
    python benchmarks/bench_machines.py efficiency   # one worker and two on this machine

`chaos` gives a scheduler and three workers network namespaces of their own, joined by a bridge in
one more, and labels a scene of 225 tiles from yet another. Meanwhile it kills ten workers at
random, cuts one off for a minute and kills the scheduler; whatever dies is started again, as a
cluster would do it. If the run ends with an error, it is given again. All files of tiles and
results are compared with those of a run in one process.

`efficiency` compares the time that workers spend on tiles with the time that they are there.

Masks come from a stand-in for SAM that takes a fixed time for each tile and next to no processor.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reporting import make_parser, write_report
from stand_in import BrightRegions, SlowRegions

from alps_geo.pipeline.scenes import label_scenes
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alps_geo.events import Event

HERE = Path(__file__).parent
SCENE = HERE.parent / "tests" / "data" / "naip_md_1m.tif"
SETTINGS = {"tile_size": 80, "overlap": 8, "clusters": 8}

HUB, MACHINES = "alps-hub", ("alps-scheduler", "alps-one", "alps-two", "alps-three", "alps-client")
PORT = 8786
SCHEDULER = f"tcp://10.77.0.1:{PORT}"

KILLS, CUT_SECONDS = 10, 60
CUT_AT, RESTART_AT = 30, 130
"""Tiles that are done when a worker is cut off, and when the scheduler is killed."""


def main() -> None:
    # Rasters and GeoPackages have the date of their run.
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    options = _options()
    if options.what == "run":
        _run(options)
    elif options.what == "chaos":
        report = _chaos(options)
        print(json.dumps(report, indent=2))
        write_report(report, options.json)
    else:
        report = _efficiency(options)
        print(json.dumps(report, indent=2))
        write_report(report, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("what", choices=("chaos", "efficiency", "run"))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each tile")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--address", default=SCHEDULER, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(options: argparse.Namespace) -> None:
    """Label the scene on the workers of a scheduler, and print a line for each event."""

    def listen(event: Event) -> None:
        if event.tile or event.note:
            worker = event.tile.worker if event.tile else None
            line = {"done": event.computed + event.skipped, "note": event.note, "worker": worker}
            print(json.dumps(line), flush=True)

    settings = LabelSettings(dask=options.address, wait=60.0, **SETTINGS)  # type: ignore[arg-type]
    generator = SlowRegions(options.seconds)
    record = label_scenes([str(SCENE)], options.out, settings, generator=generator, listen=listen)
    print(json.dumps({"failed": len(record.failed)}), flush=True)


@dataclass
class Machine:
    """A process in a network namespace, started again whenever it ends."""

    namespace: str
    command: Sequence[str]
    log: Path
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def supervise(self) -> None:
        """Start the process again and again."""
        paths = {"PYTHONPATH": f"{HERE}:{HERE.parent}", "OMP_NUM_THREADS": "1"}
        while not self.stopped.is_set():
            with self.log.open("ab") as log:
                command = ["ip", "netns", "exec", self.namespace, *self.command]
                self.process = subprocess.Popen(
                    command, stdout=log, stderr=log, env={**os.environ, **paths}
                )
                self.starts += 1
                self.process.wait()
            self.stopped.wait(1.0)

    def kill(self) -> None:
        """Kill the process as a power cut would."""
        if self.process is not None:
            self.process.kill()


@contextmanager
def _namespaces() -> Iterator[None]:
    """Make a namespace for each machine, and a bridge in one more that joins them."""
    with ExitStack() as stack:
        for name in (HUB, *MACHINES):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
        _ip("-n", HUB, "link", "add", "bridge", "type", "bridge")
        _ip("-n", HUB, "link", "set", "bridge", "up")
        for number, name in enumerate(MACHINES, 1):
            _ip("-n", HUB, "link", "add", name, "type", "veth", "peer", "eth0", "netns", name)
            _ip("-n", HUB, "link", "set", name, "master", "bridge", "up")
            _ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def _machines(folder: Path) -> Iterator[list[Machine]]:
    """Start the scheduler and the workers; those that end are started again."""
    program = (sys.executable, "-m")
    scheduler = (*program, "distributed.cli.dask_scheduler", "--port", str(PORT), "--no-dashboard")
    worker = (*program, "distributed.cli.dask_worker", SCHEDULER, "--nthreads", "1", "--no-nanny")
    there = ("--no-dashboard", "--memory-limit", "0", "--local-directory", str(folder))
    machines = [
        Machine(
            name,
            scheduler if number == 0 else (*worker, *there, "--name", name),
            folder / f"{name}.log",
        )
        for number, name in enumerate(MACHINES[:-1])
    ]
    threads = [threading.Thread(target=each.supervise, daemon=True) for each in machines]
    for thread in threads:
        thread.start()
    try:
        yield machines
    finally:
        for machine in machines:
            machine.stopped.set()
            machine.kill()
        for thread in threads:
            thread.join()


def _chaos(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = LabelSettings(**SETTINGS)  # type: ignore[arg-type]
        record = label_scenes([str(SCENE)], folder / "one", settings, generator=BrightRegions())
        report: dict[str, Any] = {"tiles": _count(folder / "one"), "segments": record.segments}
        with _namespaces(), _machines(folder) as machines:
            trouble = Trouble(machines, random.Random(options.seed), report["tiles"])
            report |= _runs(options, folder, trouble)
            report["starts"] = {each.namespace: each.starts for each in machines}
        found, expected = _content(folder / "out"), _content(folder / "one")
        report["files"] = len(expected)
        report["same bytes"] = found == expected
        report["differ"] = sorted(
            path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)
        )[:10]
        if not report["same bytes"]:
            shutil.copytree(folder, "/tmp/alps-geo-chaos", dirs_exist_ok=True)
        return report


class Trouble:
    """Kills, the cut and the restart, each when a number of tiles is done."""

    def __init__(self, machines: Sequence[Machine], chance: random.Random, tiles: int) -> None:
        self._scheduler, *self._workers = machines
        self._chance = chance
        marks = chance.sample(range(5, tiles - 20), KILLS)
        self._planned: list[tuple[int, Callable[[], None]]] = sorted(
            [*((mark, self._kill) for mark in marks), (CUT_AT, self._cut), (RESTART_AT, self._end)],
            key=lambda planned: planned[0],
        )
        self.happened: list[str] = []
        self._begin = time.monotonic()

    def at(self, done: int) -> None:
        """Make all trouble that is due when some tiles are done."""
        while self._planned and self._planned[0][0] <= done:
            self._planned.pop(0)[1]()

    def _note(self, text: str) -> None:
        self.happened.append(f"{time.monotonic() - self._begin:.0f} s: {text}")
        print(self.happened[-1], file=sys.stderr, flush=True)

    def _kill(self) -> None:
        victim = self._chance.choice(self._workers)
        self._note(f"kill {victim.namespace}")
        victim.kill()

    def _cut(self) -> None:
        victim = self._chance.choice(self._workers).namespace
        self._note(f"cut off {victim} for {CUT_SECONDS} s")
        _ip("-n", HUB, "link", "set", victim, "down")
        again = threading.Timer(CUT_SECONDS, _ip, ("-n", HUB, "link", "set", victim, "up"))
        again.daemon = True
        again.start()

    def _end(self) -> None:
        self._note("kill the scheduler")
        self._scheduler.kill()


def _runs(options: argparse.Namespace, folder: Path, trouble: Trouble) -> dict[str, Any]:
    """Give the run until it ends without an error; report the notes and exit codes."""
    command = ["ip", "netns", "exec", MACHINES[-1], sys.executable, __file__, "run"]
    command += ["--out", str(folder / "out"), "--seconds", str(options.seconds)]
    codes: list[int] = []
    notes: list[str] = []
    begin = time.monotonic()
    failed = None
    while len(codes) < 5 and codes[-1:] != [0]:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            for line in run.stdout or ():
                event = json.loads(line)
                failed = event.get("failed", failed)
                if note := event.get("note"):
                    notes.append(f"{time.monotonic() - begin:.0f} s: {note}")
                    print(notes[-1], file=sys.stderr, flush=True)
                trouble.at(event.get("done", 0))
        codes.append(run.returncode)
    return {
        "exit codes": codes,
        "failed tiles": failed,
        "seconds": round(time.monotonic() - begin, 1),
        "trouble": trouble.happened,
        "notes": notes,
    }


def _count(run: Path) -> int:
    return len([*run.glob(".tiles/*/*.outlines.npz")])


def _content(run: Path) -> dict[str, bytes]:
    """Return the files of tiles and results, but records and logs, which tell of times."""
    kinds = {".npz", ".tif", ".csv", ".gpkg", ".png", ".qml"}
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.suffix in kinds
    }


def _efficiency(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the time that workers spend on tiles with that from the first tile to the last."""
    report: dict[str, Any] = {"seconds of a tile": options.seconds}
    for workers in (1, 2):
        spent: list[float] = []
        ends: list[float] = []

        def listen(event: Event, spent: list[float] = spent, ends: list[float] = ends) -> None:
            if event.tile is not None and event.tile.seconds is not None:
                spent.append(event.tile.seconds)
                ends.append(time.monotonic())

        with tempfile.TemporaryDirectory() as name:
            given = {**SETTINGS, "dask": f"local:{workers}"}
            settings = LabelSettings(**given)  # type: ignore[arg-type]
            generator = SlowRegions(options.seconds)
            label_scenes([str(SCENE)], Path(name), settings, generator=generator, listen=listen)
        # The first tile began its own time before its end.
        wall = ends[-1] - ends[0] + spent[0]
        report[f"{workers} workers"] = {
            "tiles": len(ends),
            "wall seconds": round(wall, 2),
            "seconds of tiles": round(sum(spent), 2),
            "efficiency": round(sum(spent) / (workers * wall), 3),
        }
    return report


if __name__ == "__main__":
    main()
