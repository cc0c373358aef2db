"""Records of runs and fits: run.json of this version, of earlier and of later ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import DATA, alps_geo
from run_folders import FIT_RECORD, PLAN, RECORD, SECOND, finish

from alps_geo.errors import RunError
from alps_geo.runs.failures import FailedScene, FailedTile
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.origin import WeightsRecord
from alps_geo.runs.reading import has_no_clusters, read_record, record_damage
from alps_geo.runs.record import (
    FitRecord,
    RunInputs,
    RunRecord,
    listed_results,
    write_record,
)

KEYS = {
    "run": "versions settings model settings_sha256 date scenes segments area_unit labelled_share "
    "clusters failed seconds files",
    "fit": "versions settings model scenes segments clusters fitted failed seconds files",
    "scene": "name path size_bytes mtime files_sha256 height width crs transform bands rgb notes "
    "segments stretch valid_pixels labelled_pixels",
    "cluster": "cluster name color segments area share",
}
"""Keys of run.json in their order."""

FULL = replace(
    RECORD,
    origin=replace(RECORD.origin, backbone=WeightsRecord("vit", "beef")),
    failed=(
        FailedTile.of("scene", SECOND, "a block is damaged"),
        FailedScene("other", "o.tif", 1, "gone"),
    ),
    changes=("name 1=water",),
)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labelled") / "out"
    quick = ("--points", "grid:2", "--clusters", "3", "--quiet")
    outcome = alps_geo("label", DATA / "landsat5_int16_1band.tif", "--out", out, *quick)
    assert outcome.exit_code == 0, outcome.stderr
    return out / "run.json"


def rewritten(data: bytes, kind: type[RunRecord | FitRecord], path: Path) -> bytes:
    write_record(path, kind.from_json(json.loads(data)))
    return path.read_bytes()


def test_a_record_is_written_again_to_the_same_bytes(labelled: Path, tmp_path: Path) -> None:
    data = labelled.read_bytes()
    assert rewritten(data, RunRecord, tmp_path / "again.json") == data
    found = json.loads(data)
    assert " ".join(found) == KEYS["run"]
    assert " ".join(found["scenes"][0]) == KEYS["scene"]
    assert " ".join(found["clusters"][0]) == KEYS["cluster"]


@pytest.mark.parametrize("record", [RECORD, FULL, FIT_RECORD], ids=["run", "full run", "fit"])
def test_records_come_back_as_they_were(record: RunRecord | FitRecord, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_record(path, record)
    found = json.loads(path.read_bytes())
    assert type(record).from_json(found) == record
    assert found == record.to_json()
    assert rewritten(path.read_bytes(), type(record), tmp_path / "again.json") == path.read_bytes()


def test_the_keys_of_a_fit_are_in_their_order() -> None:
    found: dict[str, Any] = FIT_RECORD.to_json()
    assert " ".join(found) == KEYS["fit"]
    without = KEYS["scene"].removesuffix(" valid_pixels labelled_pixels")
    assert " ".join(found["scenes"][0]) == without
    assert list(FULL.to_json()).index("backbone") == 3
    assert [*FULL.to_json()][-1] == "changes"


def test_a_record_of_an_earlier_version_gains_no_keys(tmp_path: Path) -> None:
    found: dict[str, Any] = RECORD.to_json()
    for key in ("files_sha256", "transform"):
        del found["scenes"][0][key]
    data = (json.dumps(found, indent=2) + "\n").encode()
    assert rewritten(data, RunRecord, tmp_path / "run.json") == data
    assert RunRecord.from_json(found).origin.reading.alpha == "auto"


def test_keys_of_a_later_version_outlive_a_change() -> None:
    found: dict[str, Any] = RECORD.to_json() | {"later": [1]}
    found["scenes"][0]["tiles"] = {"rows": 3}
    found["clusters"][0]["class"] = "water"
    again = replace(RunRecord.from_json(found), changes=("name 1=water",)).to_json()
    assert again == found | {"changes": ["name 1=water"]}


def test_a_fit_is_no_label_and_a_label_no_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks 'area_unit'"):
        RunRecord.from_json(FIT_RECORD.to_json())
    with pytest.raises(ValueError, match="clusters is"):
        FitRecord.from_json(RECORD.to_json())
    folder = RunFolder(tmp_path)
    finish(folder, PLAN, FIT_RECORD)
    assert has_no_clusters(folder)
    assert record_damage(folder) is None
    with pytest.raises(RunError, match=r"alps-geo fit worked.*clusters are in model\.npz"):
        read_record(folder)
    write_record(folder.record_path, RECORD)
    assert not has_no_clusters(folder)
    assert read_record(folder) == RECORD


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda found: found.pop("clusters"), "lacks 'clusters'"),
        (lambda found: found["clusters"].clear(), "clusters is []"),
        (lambda found: found["clusters"][0].update(color="red"), 'color is "red"'),
        (lambda found: found["scenes"][0].update(width="14"), 'width is "14"'),
        (lambda found: found["scenes"][0].update(bands=[1]), "bands is 1"),
        (lambda found: found["model"].pop("sha256"), "lacks 'sha256'"),
        (lambda found: found.update(failed=[{"row": 0}]), "failed is"),
        (lambda found: found["settings"].update(bands=3), "bands is 3"),
    ],
)
def test_a_damaged_part_is_told_in_one_line(
    damage: Callable[[dict[str, Any]], object], told: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    found = json.loads(json.dumps(RECORD.to_json()))
    damage(found)
    folder.record_path.write_text(json.dumps(found))
    with pytest.raises(RunError) as caught:
        read_record(folder)
    assert told in str(caught.value)
    assert "is damaged or of another version" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_inputs_of_a_run_are_those_of_all_its_scenes_in_their_order() -> None:
    for record, scenes in ((FULL, ("s.tif", "o.tif")), (FIT_RECORD, ("s.tif",))):
        inputs = RunInputs.from_json(record.to_json())
        assert inputs.scenes == scenes
        assert inputs.settings == record.origin.settings
    with pytest.raises(ValueError, match="lacks 'settings'"):
        RunInputs.from_json({"scenes": []})


def test_results_are_listed_though_other_parts_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    assert listed_results(path) == ()
    path.write_text(json.dumps({"versions": {}, "files": ["a/labels.tif"], "clusters": 5}))
    assert listed_results(path) == ("a/labels.tif",)
    path.write_text(json.dumps({"files": ["a/labels.tif"]}))  # of another program
    assert listed_results(path) == ()
