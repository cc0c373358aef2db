"""Predictions that are killed, shared by processes or damaged end with the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from child_processes import ended
from helpers import alps_geo
from random_models import cut, write_random_model
from rasterio.windows import Window
from share_runs import wait_for

from alps_geo.errors import SceneError
from alps_geo.outputs.names import PREDICTED_FILES
from alps_geo.scene.read import read_stored_tile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

OPTIONS = ("--tile-size", "64", "--overlap", "16", "--device", "cpu", "--quiet")
TILES = 20

HELD = """
import time
from alps_geo.runs.probability_store import ProbabilityStore
from alps_geo_cli.main import run

save, saved = ProbabilityStore.save, []

def held(*given):
    save(*given)
    saved.append(1)
    if len(saved) > 3:
        time.sleep(600)

ProbabilityStore.save = held
run()
"""
"""Program that stops at the fourth tile, until it is killed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model, a scene, and its prediction, made in one go."""
    made = tmp_path_factory.mktemp("stopped")
    write_random_model(made / "model")
    cut(made / "crop.tif", "neon_osbs_10cm.tif", Window(100, 60, 256, 208))
    run(made, "out")
    return made


def arguments(folder: Path, out: str, *more: str) -> list[str]:
    given = ("train", "predict", folder / "crop.tif", "--model", folder / "model")
    return [*map(str, given), "--out", str(folder / out), *OPTIONS, *more]


def run(folder: Path, out: str, *more: str) -> None:
    outcome = alps_geo(*arguments(folder, out, *more))
    assert outcome.exit_code == 0, outcome.stderr


def results(folder: Path, out: str) -> dict[str, bytes]:
    return {name: (folder / out / "crop" / name).read_bytes() for name in PREDICTED_FILES}


def tiles(folder: Path, out: str) -> list[Path]:
    return sorted(folder.glob(f"{out}/.tiles/crop.*/*.probabilities.npz"))


@pytest.mark.skipif(sys.platform == "win32", reason="stops runs by signal")
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(folder: Path) -> None:
    assert len(tiles(folder, "out")) == TILES
    process = subprocess.Popen([sys.executable, "-c", HELD, *arguments(folder, "killed")])
    with ended(process):
        wait_for(lambda: len(tiles(folder, "killed")) >= 3)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in tiles(folder, "killed")}
    assert 3 <= len(kept) < TILES
    assert not (folder / "killed" / "run.json").exists()
    status = alps_geo("status", folder / "killed")
    assert "has stopped" in status.stdout
    run(folder, "killed")
    assert results(folder, "killed") == results(folder, "out")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_two_processes_give_the_same_bytes(folder: Path) -> None:
    run(folder, "shared", "--workers", "2")
    assert results(folder, "shared") == results(folder, "out")


def test_a_damaged_tile_is_predicted_again(folder: Path) -> None:
    run(folder, "damaged")
    before = results(folder, "damaged")
    (first, *_) = tiles(folder, "damaged")
    first.write_bytes(first.read_bytes()[:-40])
    (folder / "damaged" / "crop" / "classes.tif").unlink()
    run(folder, "damaged")
    assert results(folder, "damaged") == before == results(folder, "out")


def test_a_tile_that_fails_leaves_a_gap_and_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(scene: object, window: Window) -> object:
        if (window.row_off, window.col_off) == (0, 0):
            raise SceneError("crop.tif: block cannot be read")
        return read_stored_tile(scene, window)  # type: ignore[arg-type]

    monkeypatch.setattr("alps_geo.training.predict_bands.read_stored_tile", broken)
    outcome = alps_geo(*arguments(folder, "gap"))
    assert outcome.exit_code == 3
    assert "1 tile failed, so the map has gaps" in outcome.stderr
    found, whole_map = (_classes(folder, out) for out in ("gap", "out"))
    gap = (found == 0) & (whole_map > 0)
    assert not found[:40, :40].any()
    assert gap[:40, :40].any()
    assert not gap[64:].any()
    assert not gap[:, 64:].any()
    monkeypatch.undo()
    run(folder, "gap")
    assert results(folder, "gap") == results(folder, "out")


def test_a_change_of_names_keeps_the_tiles(folder: Path) -> None:
    run(folder, "renamed")
    stamps = [path.stat().st_mtime_ns for path in tiles(folder, "renamed")]
    description = folder / "model" / "model.json"
    text = description.read_text()
    description.write_text(text.replace('"a field"', '"meadow"'))
    try:
        refused = alps_geo(*arguments(folder, "renamed"))
        assert refused.exit_code == 1
        assert "holds another run" in refused.stderr
        run(folder, "renamed", "--overwrite")
    finally:
        description.write_text(text)
    assert [path.stat().st_mtime_ns for path in tiles(folder, "renamed")] == stamps
    names = (folder / "renamed" / "crop" / "classes.tif.aux.xml").read_text()
    assert "meadow" in names
    assert np.array_equal(_classes(folder, "renamed"), _classes(folder, "out"))


def _classes(folder: Path, out: str) -> NDArray[Any]:
    with rasterio.open(folder / out / "crop" / "classes.tif") as raster:
        return np.asarray(raster.read(1))
