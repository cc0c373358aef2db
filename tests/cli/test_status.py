"""`alps-geo status` says what is done, what is left and what failed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import alps_geo
from run_folders import FIT_RECORD, tile_store

from alps_geo.grid import TileGrid
from alps_geo.runs.claim import claimed
from alps_geo.runs.failures import FailedTile
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.plan import Plan, PlannedScene
from alps_geo.runs.reading import read_plan
from alps_geo.runs.record import write_record
from alps_geo.segments.fragments import no_fragments

KEY = "0123456789abcdef0123"
GRID = TileGrid(64, 160, 32, 0)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of two scenes: of the first six tiles are done and two failed, of the other none."""

    folder = RunFolder(tmp_path / "out")
    store = tile_store(folder, "first", KEY)
    scenes = (
        PlannedScene("first", "in/first.tif", store.folder.name, len(GRID)),
        PlannedScene("second", "in/second.tif", "second.none", 4),
    )
    with claimed(folder, Plan("run", scenes, ()), overwrite=False):
        shape = (32, 32)
        tiles = list(GRID)
        for tile in tiles[:6]:
            store.save(tile, no_fragments(shape, bands=1))
        for tile in tiles[6:8]:
            store.fail(FailedTile.of("first", tile, "first.tif: a block is damaged"), tile)
    return folder


def test_the_status_of_a_stopped_run(folder: RunFolder) -> None:
    outcome = alps_geo("status", folder.path)
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    rows = [line.strip("│ ").split() for line in outcome.stdout.splitlines() if "│" in line]
    assert [[cell for cell in row if cell != "│"] for row in rows] == [
        ["first", "10", "6", "2", "2"],
        ["second", "4", "0", "4", "0"],
    ]
    assert "stopped" in outcome.stdout
    assert "first, rows 32 to 64, columns 32 to 64: first.tif: a block is damaged" in outcome.stdout


def test_the_status_as_json(folder: RunFolder) -> None:
    found = json.loads(alps_geo("status", folder.path, "--json").stdout)
    assert (found["state"], found["tiles"], found["done"], found["left"]) == ("stopped", 14, 6, 6)
    assert found["failed"][1] == {
        "scene": "first",
        "row": 1,
        "col": 2,
        "row_off": 32,
        "col_off": 64,
        "height": 32,
        "width": 32,
        "reason": "first.tif: a block is damaged",
    }
    assert [scene["path"] for scene in found["scenes"]] == ["in/first.tif", "in/second.tif"]


def test_a_run_at_work_and_a_finished_one_are_told_apart(folder: RunFolder) -> None:
    plan = read_plan(folder)
    assert plan is not None
    with claimed(folder, plan, overwrite=False):
        assert "at work" in alps_geo("status", folder.path).stdout
    write_record(folder.record_path, FIT_RECORD)
    assert "has finished" in alps_geo("status", folder.path).stdout


def test_looking_changes_nothing(folder: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    alps_geo("status", folder.path)
    assert before == {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, lambda path: path.write_text("")])
def test_a_folder_without_a_run_is_an_error(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "other")
    outcome = alps_geo("status", tmp_path / "other")
    assert outcome.exit_code == 1
    assert "holds no run of alps-geo" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_many_failures_are_cut_short(folder: RunFolder) -> None:
    store = tile_store(folder, "first", KEY)
    for tile in TileGrid(32, 32 * 40, 32, 0):
        store.fail(FailedTile.of("first", tile, "damaged"), tile)
    outcome = alps_geo("status", folder.path)
    assert outcome.stdout.count("damaged") == 20
    assert "--json" in outcome.stdout


def test_status_needs_no_torch(folder: RunFolder) -> None:
    code = (
        "import sys; from alps_geo_cli.main import app; "
        f"app(['status', {str(folder.path)!r}, '--json'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
