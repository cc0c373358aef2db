"""Schedulers and workers of Dask as processes of their own, on the loopback network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client
from share_runs import LONG, wait_for
from stand_in import BrightRegions

from alps_geo.errors import SceneError
from alps_geo.tiles.shipped import ShippedWork

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.masks.generator import TileImage
    from alps_geo.masks.tile_masks import TileMasks

ROOT = Path(__file__).parent.parent

_QUIET = ("--no-dashboard", "--host", "127.0.0.1")


def _started(
    code: str, *arguments: object, folder: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    # Generators of masks that tests hand in are in modules of these folders.
    paths = os.pathsep.join(str(ROOT / name) for name in ("tests", "benchmarks"))
    given = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment}
    with (folder / "dask.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=folder,
            env=given,
            stdout=log,
            stderr=log,
        )


@dataclass(frozen=True)
class Deadly(BrightRegions):
    """Ends its process at the first tile, some times; a file counts them."""

    counter: str = ""
    deaths: int = 1

    def load(self) -> Deadly:
        return self

    def masks(self, image: TileImage, encoded: Any, points: Any) -> TileMasks:
        if not image.window.row_off and not image.window.col_off:
            with Path(self.counter).open("a+") as file:
                if file.tell() < self.deaths:
                    file.write("x")
                    file.flush()
                    os._exit(9)
        return super().masks(image, encoded, points)


@dataclass(frozen=True)
class UntilTold(BrightRegions):
    """Works on a tile until there is a file of its row and column; for tiles without overlap."""

    folder: str = ""

    def load(self) -> UntilTold:
        return self

    def encode(self, images: Sequence[TileImage]) -> list[NDArray[Any]]:
        (image,) = images
        offsets, sides = (image.window.row_off, image.window.col_off), image.valid.shape
        row, col = (-(-offset // side) for offset, side in zip(offsets, sides, strict=True))
        wait_for((Path(self.folder) / f"tile at row {row}, column {col}").exists)
        return super().encode(images)


@dataclass(frozen=True)
class Meeting(BrightRegions):
    """Waits at its first tile until several processes are at theirs; their numbers are files."""

    folder: str = ""

    def load(self) -> Meeting:
        return self

    def encode(self, images: Sequence[TileImage]) -> list[NDArray[Any]]:
        meet(Path(self.folder))
        return super().encode(images)


def meet(folder: Path) -> None:
    """Wait until two processes are here."""
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    wait_for(lambda: len(list(folder.iterdir())) > 1)


def meet_first(folder: str) -> None:
    """Let this worker wait before its first task until another one has a task too."""
    do = ShippedWork.do

    def met(self: ShippedWork, item: Any) -> tuple[str, Any]:
        meet(Path(folder))
        return do(self, item)

    ShippedWork.do = met  # type: ignore[method-assign]


def raise_error(item: int) -> int:
    if item == 3:
        raise SceneError("the third")
    return 1 // (item - 5)


@contextmanager
def scheduler(
    folder: Path, port: int = 0, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Start a scheduler; yield its scheduler file and its process, which ends with the block."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    code = "from distributed.cli.dask_scheduler import main; main()"
    options = (*_QUIET, "--port", port, "--scheduler-file", file)
    process = _started(code, *options, folder=folder, environment=environment or {})
    try:
        while not _is_written(file):
            assert process.poll() is None, (folder / "dask.log").read_text()
            time.sleep(0.05)
        yield file, process
    finally:
        process.kill()
        process.wait()


def _is_written(file: Path) -> bool:
    try:
        return "address" in json.loads(file.read_text())
    except (OSError, ValueError):
        return False


@contextmanager
def worker(
    file: Path, name: str, *options: object, setup: str = "", folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker that runs `setup` first; yield its process, which ends with the block."""
    folder = folder or file.parent
    code = f"{setup}\nfrom distributed.cli.dask_worker import main\nmain()"
    given = ("--name", name, "--nthreads", 1, "--no-nanny", "--memory-limit", 0, *_QUIET)
    there = ("--scheduler-file", file, "--local-directory", folder, *given, *options)
    process = _started(code, *there, folder=folder, environment={})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_workers(file: Path, number: int) -> None:
    """Wait until a scheduler has some workers."""
    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(number, timeout=LONG)
