"""`--only tiles` and `--shard`, alone and in the scripts of docs/machines.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]
from command_lines import check_command
from helpers import alps_geo
from rasterio.shutil import copy as copy_raster
from share_runs import assert_same, make_scene, tile_files

from alps_geo.errors import SceneError
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held_together
from alps_geo.runs.machines import numbers_in
from alps_geo.runs.parts import MachineRecord
from alps_geo.scene import read_tile

if TYPE_CHECKING:
    from rasterio.windows import Window

    from alps_geo.scene import Scene, TilePixels

pytestmark = pytest.mark.usefixtures("images_encoded_once")

PAGE = (Path(__file__).parents[2] / "docs" / "machines.md").read_text(encoding="utf-8")
CONFIG = """
tile-size = 160
overlap = 16
clusters = 3
points = "grid:2"
pred-iou-thresh = 0.3
stability-score-thresh = 0.4
"""
TILES = 4
VARIABLES = ("SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX")


@pytest.fixture(autouse=True)
def no_job_array(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scene and the options of the page, and a run of one process."""
    path = tmp_path_factory.mktemp("folder")
    copy_raster(str(make_scene(path)), str(path / "mosaic.vrt"), driver="VRT")
    (path / "run.toml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        outcome = label("undisturbed")
    assert outcome.exit_code == 0, outcome.stderr
    assert len(tile_files(path / "undisturbed")) == TILES
    return path


def label(out: object, *options: object) -> Any:
    return alps_geo("label", "mosaic.vrt", "--config", "run.toml", "--out", out, *options)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.skipif(sys.platform == "win32", reason="runs a script of bash")
def test_the_scripts_for_slurm_make_the_run(folder: Path) -> None:
    tiles, finish, submit = blocks("bash")[:3]
    assert "sbatch --parsable tiles.sh" in submit
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ends = []
    for script, variables in (
        (tiles, {"SLURM_ARRAY_TASK_ID": "1"}),
        (tiles, {"SLURM_ARRAY_TASK_ID": "2"}),
        (finish, {}),
    ):
        array = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_STEP": "1"}
        array |= {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1", "PATH": path}
        run = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=folder,
            env=os.environ | array | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        ends.append(run.stdout.splitlines())
    assert ends[0][-1].startswith("2 of 4 tiles are done; when all shards have ended, the same")
    assert ends[1][-1] == (
        "4 of 4 tiles are done; the same command without --only tiles and --shard finishes the run"
    )
    assert_same(folder / "results", folder / "undisturbed")


def test_the_definitions_of_the_page_are_read_and_their_commands_known() -> None:
    record, batch = map(json.loads, blocks("json"))
    for machine in map(MachineRecord.from_json, record["machines"]):
        assert machine.scenes is not None
        rows = machine.scenes["mosaic"]
        assert isinstance(rows, dict)
        assert sum(len(numbers_in(columns)) for columns in rows.values()) == machine.tiles
    (job,) = map(yaml.safe_load, blocks("yaml"))
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][-1] == f"auto/{job['spec']['completions']}"
    for command in (batch["containerProperties"]["command"], container["command"]):
        check_command(" ".join(command))


@pytest.mark.parametrize(
    ("variables", "options", "shard"),
    [
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "1", "AWS_BATCH_JOB_ARRAY_SIZE": "3"}, (), "2/3"),
        ({"JOB_COMPLETION_INDEX": "1"}, ("--shard", "auto/4"), "2/4"),
        ({}, ("--shard", "2/4"), "2/4"),
    ],
)
def test_the_share_of_a_job_array(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: tuple[str, ...],
    shard: str,
) -> None:
    monkeypatch.chdir(folder)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    outcome = label(tmp_path, "--only", "tiles", "--json", *options)
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert (found["shard"], found["tiles"], found["failed"]) == (shard, TILES, [])
    assert 0 < found["done"] == len(tile_files(tmp_path)) < TILES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shard", "1/2"), "--only tiles"),
        (("--only", "segments"), "--only"),
        (("--only", "tiles", "--shard", "5/4"), "shard is 5/4, expected 1/4 to 4/4"),
        (("--only", "tiles", "--shard", "0/4"), "shard is 0/4, expected 1/4 to 4/4"),
        (("--only", "tiles", "--shard", "auto/4"), "give the number, such as 1/4"),
        (("--only", "tiles", "--force"), "removes nothing"),
        (("--only", "tiles", "--overwrite"), "removes nothing"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    outcome = label(tmp_path / "out", *options)
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_tiles_that_fail_end_a_share_with_their_exit_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    out = folder / "failed"  # the project of QGIS has paths relative to it

    def damaged(scene: Scene, window: Window) -> TilePixels:
        if window.row_off == 0:
            raise SceneError("the first row is damaged")
        return read_tile(scene, window)

    with monkeypatch.context() as patch:
        patch.setattr("alps_geo.tiles.stage.read_tile", damaged)
        outcome = label(out, "--only", "tiles")
    assert outcome.exit_code == 3
    assert outcome.stderr.count("the first row is damaged") == 2
    assert "2 tiles failed" in outcome.stderr
    assert outcome.stdout.startswith("2 of 4 tiles are done")
    assert label(out).exit_code == 0
    assert_same(out, folder / "undisturbed")


@pytest.mark.parametrize(
    "command", [("clusters", "name", 1, "1=water"), ("classify", 1, "--samples", "none.gpkg")]
)
def test_results_are_not_changed_while_tiles_are_worked_on(
    folder: Path, command: tuple[object, ...]
) -> None:
    run = folder / "undisturbed"
    before = (run / "run.json").read_bytes()
    with held_together(RunFolder(run)):
        outcome = alps_geo(*(run if word == 1 else word for word in command))
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    if command[0] == "clusters":
        assert "tiles are being worked on" in outcome.stderr
    assert (run / "run.json").read_bytes() == before
