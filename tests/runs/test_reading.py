"""Small files of a run folder, as they are read again."""

import json
from dataclasses import replace
from pathlib import Path

from run_folders import FIRST, PLAN, RECORD, SECOND, begin, finish, tile_store

from alps_geo.runs.failures import FailedTile
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.journal import Change
from alps_geo.runs.reading import finished_record, read_change, read_plan
from alps_geo.runs.record import RunRecord


def test_a_finished_run_is_recognised_while_its_files_are_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    assert finished_record(folder, "one", RunRecord) is None
    finish(folder, PLAN, RECORD)
    assert finished_record(folder, "one", RunRecord) == RECORD
    assert finished_record(folder, "two", RunRecord) is None
    (tmp_path / "scene" / "labels.tif").unlink()
    assert finished_record(folder, "one", RunRecord) is None


def test_what_a_later_version_adds_is_left_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    later = replace(RECORD, further={"later": [1]})
    finish(folder, PLAN, later)
    path = tmp_path / ".tiles" / "run.json"
    plan = json.loads(path.read_text())
    plan["scenes"][0]["later"] = {}
    path.write_text(json.dumps(plan | {"later": 2}))
    assert read_plan(folder) == replace(PLAN, date="2000-01-01T00:00:00Z")
    assert finished_record(folder, "one", RunRecord) == later
    change = {"command": "name 2=a", "earlier": [], "later": 3}
    folder.change_path.write_text(json.dumps(change))
    assert read_change(folder) == Change("name 2=a", (), moves_segments=True)


def test_a_run_with_failed_tiles_has_not_finished_for_good(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    failed = FailedTile.of("scene", SECOND, "unreadable")
    finish(folder, PLAN, replace(RECORD, failed=(failed,)))
    assert finished_record(folder, "one", RunRecord) is None
    store = tile_store(folder, "scene")
    store.fail(FailedTile.of("scene", SECOND, "unreadable"), SECOND)
    assert store.has_failed(SECOND)
    assert not store.has_failed(FIRST)
    begin(folder, PLAN)
    assert not store.has_failed(SECOND)
