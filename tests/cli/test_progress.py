"""Progress as lines of JSON, for programs that run this one."""

from __future__ import annotations

import json
from shutil import copytree
from typing import TYPE_CHECKING

import pytest
from edited_runs import QUICK, finished_crops, scenes
from helpers import alps_geo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("images_encoded_once")

SETTINGS = [each for each in QUICK if each != "--quiet"]


@pytest.fixture
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory)


def steps(stderr: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [json.loads(line) for line in stderr.splitlines()]
    assert all(list(each) == ["stage", "scene", "done", "total", "note"] for each in found)
    return found


def test_label_tells_every_stage_and_tile_and_note(crops: Path, tmp_path: Path) -> None:
    command = ("label", *scenes(crops), "--out", tmp_path / "out", *SETTINGS, "--progress", "json")
    outcome = alps_geo(*command)
    assert outcome.exit_code == 0, outcome.stderr
    found = steps(outcome.stderr)
    assert [each["done"] for each in found if each["stage"] == "tiles" and each["scene"]] == [1, 2]
    assert {each["total"] for each in found} == {2}
    assert {"stitch", "cluster", "write"} <= {each["stage"] for each in found}
    notes = [each for each in found if each["note"]]
    assert {each["scene"] for each in notes} == {"first", "second"}
    assert "{" not in outcome.stdout


def test_quiet_tells_nothing_and_json_keeps_standard_output_to_itself(
    crops: Path, tmp_path: Path
) -> None:
    command = ("label", scenes(crops)[0], "--out", tmp_path / "out", *SETTINGS)
    outcome = alps_geo(*command, "--progress", "json", "--json")
    assert steps(outcome.stderr)
    assert json.loads(outcome.stdout)["segments"] > 1
    assert alps_geo(*command, "--progress", "json", "--quiet").stderr == ""
    assert "{" not in alps_geo(*command, "--force").stderr


def test_classify_and_export_tell_their_scenes_and_chips(crops: Path, tmp_path: Path) -> None:
    run = copytree(crops / "out", tmp_path / "out")
    assert alps_geo("clusters", "name", run, "1=wood", "2=grass").exit_code == 0
    outcome = alps_geo("classify", run, "--from-names", "--progress", "json")
    assert outcome.exit_code == 0, outcome.stderr
    found = steps(outcome.stderr)
    assert [(each["stage"], each["done"], each["total"]) for each in found] == [
        ("scenes", 1, 2),
        ("scenes", 2, 2),
    ]
    chips = ("--to", "coco", "--out", tmp_path / "set", "--chip-size", "64")
    outcome = alps_geo("export", run, *chips, "--progress", "json")
    assert outcome.exit_code == 0, outcome.stderr
    last = steps(outcome.stderr)[-1]
    assert last["stage"] == "chips"
    assert last["done"] == last["total"]
