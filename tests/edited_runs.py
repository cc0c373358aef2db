"""A run of two crops, and the work of a person in its polygons, made as QGIS makes it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from helpers import DATA, alps_geo
from rasterio.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

SCENES = ("first", "second")

# Segments are kept apart and clusters have one centre each, so that there are some of which a merge
# of clusters changes no more than the confidence.
QUICK = (
    *("--points", "grid:2", "--clusters", "4", "--small-clusters", "1", "--quiet"),
    *("--no-merge", "--neighbours", "0"),
)

ROWS = (600, 800)
"""First row of each scene in `naip_md_1m.tif`; both have several segments of each cluster."""

SIDECARS = ("segments.gpkg-wal", "segments.gpkg-shm", "segments.gpkg-journal")


def finished_crops(factory: pytest.TempPathFactory) -> Path:
    """Label two crops of a scene once for all test files of this process; the run is in out.

    Tests change copies alone.
    """
    folder = factory.getbasetemp() / "edits"
    if (folder / "out" / "run.json").exists():
        return folder
    folder.mkdir(exist_ok=True)
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        for name, row in zip(SCENES, ROWS, strict=True):
            window = Window(300, row, 160, 120)
            here = scene.transform @ Affine.translation(window.col_off, window.row_off)
            more = {"height": 120, "width": 160, "transform": here}
            with rasterio.open(folder / f"{name}.tif", "w", **scene.profile | more) as crop:
                crop.write(scene.read(window=window))
    outcome = alps_geo("label", *scenes(folder), "--out", folder / "out", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    return folder


def scenes(folder: Path) -> list[Path]:
    return [folder / f"{name}.tif" for name in SCENES]


def polygons(run: Path, scene: str = "first") -> Path:
    return run / scene / "segments.gpkg"


def query(path: Path, text: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(text, values).fetchall()


def edit(path: Path, *statements: str) -> None:
    """Change a layer as a program does that knows no spatial index."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            database.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            database.execute(statement)
        database.commit()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in SIDECARS and path.name != "lock"
    }


def refused(outcome: Any, *parts: str) -> None:
    assert outcome.exit_code == 1, outcome.stdout
    assert outcome.stderr.count("\n") == 1
    for part in parts:
        assert part in outcome.stderr


def done(outcome: Any) -> None:
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr == ""


def whole(path: Path) -> None:
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


OTHER_PROGRAM = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    print(database.execute(line).fetchall(), flush=True)
"""


class OtherProgram:
    """A process that has a file open, and does what it is told."""

    def __init__(self, path: Path, code: str = OTHER_PROGRAM) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, statement: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"{statement} failed"
        return answer

    def edit(self, statement: str) -> None:
        for name in self.do("SELECT name FROM sqlite_master WHERE type = 'trigger'").split("'")[
            1::2
        ]:
            self.do(f'DROP TRIGGER "{name}"')
        self.do(statement)


@contextmanager
def other_program(
    path: Path, *statements: str, code: str = OTHER_PROGRAM
) -> Iterator[OtherProgram]:
    program = OtherProgram(path, code)
    try:
        for statement in statements:
            program.do(statement)
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


WAL = "PRAGMA journal_mode = wal"


def assert_consistent(run: Path) -> None:
    """Rasters, polygons, record and model agree."""
    record = json.loads((run / "run.json").read_text())
    names = {cluster["cluster"]: cluster["name"] for cluster in record["clusters"]}
    for scene in SCENES:
        found = gpd.read_file(polygons(run, scene), layer="segments").set_index("segment_id")
        with rasterio.open(run / scene / "segments.tif") as ids:
            segment = ids.read(1)
        with rasterio.open(run / scene / "labels.tif") as labels:
            cluster = labels.read(1)
        by_id = np.zeros(segment.max() + 1, dtype=int)
        by_id[found.index] = found["cluster"]
        np.testing.assert_array_equal(by_id[segment], cluster)
        # As soon as one cluster has a name, numbers stand in for those of the others.
        shown = {
            each: name or (str(each) if any(names.values()) else "") for each, name in names.items()
        }
        assert (found["cluster_name"] == [shown[each] for each in found["cluster"]]).all()
        whole(polygons(run, scene))


class Killed(BaseException):
    """The end of a process at once."""
