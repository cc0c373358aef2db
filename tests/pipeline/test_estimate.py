"""Estimates of runs: the tiles that there will be, and figures measured on some of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from helpers import alps_geo
from quarter_tiles import QuarterTiles
from share_runs import SETTINGS, TILES, finish, make_scene, tile_files

from alps_geo.errors import SceneError
from alps_geo.pipeline.estimate import RunEstimate, estimate_run

if TYPE_CHECKING:
    from pathlib import Path

ESTIMATE = RunEstimate(1, 10**8, 100, "cpu", 2, 30.0, 2e6, 6.0, 1e6, None)


def test_an_estimate_has_the_tiles_of_the_run_and_their_size(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    # More clusters than there are segments in the tiles that are measured.
    settings = replace(SETTINGS, clusters=40)
    found = estimate_run([str(scene)] * 2, settings, 3, generator=QuarterTiles())
    assert sorted(tmp_path.rglob("*")) == before
    assert (found.scenes, found.tiles, found.measured) == (2, 2 * TILES, 3)
    assert found.pixels == 2 * 256 * 256
    assert found.tile_seconds > 0
    finish(scene, tmp_path / "out")
    stored = sum(
        path.stat().st_size
        for tile in tile_files(tmp_path / "out")
        for path in tile.parent.glob(f"{tile.name.split('.')[0]}.*")
    )
    assert 2 * stored == pytest.approx(found.tiles * found.tile_bytes, rel=0.2)


def test_tiles_are_measured_where_there_are_data(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    with rasterio.open(scene, "r+") as file:
        file.nodata = 0
        pixels = file.read()
        pixels[:, :, 64:] = 0
        pixels[:, :, :64] = np.maximum(pixels[:, :, :64], 1)
        file.write(pixels)
    with rasterio.open(scene) as file:
        assert file.read_masks(1)[128, 128] == 0
    settings = replace(SETTINGS, tile_size=64, overlap=0)
    assert estimate_run([str(scene)], settings, 1, generator=QuarterTiles()).measured == 1
    with rasterio.open(scene, "r+") as file:
        file.write(np.where(np.arange(256) < 3, 9, 0)[None, None, :] * np.ones_like(pixels))
    with pytest.raises(SceneError, match=r"tiles in the middle hold no data"):
        estimate_run([str(scene)], SETTINGS, 1, generator=QuarterTiles())


@pytest.mark.parametrize(
    ("seconds", "machines"),
    [(100_000, 1), (3600, 1), (3599, 2), (700, 34), (631, 100), (629, None)],
)
def test_machines_that_finish_in_a_time(seconds: float, machines: int | None) -> None:
    """A hundred tiles of 30 s, and 600 s for the end."""
    assert ESTIMATE.machines(seconds) == machines


def test_the_command_prints_an_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alps_geo.pipeline.estimate.estimate_run", lambda *_, **__: ESTIMATE)
    scene = make_scene(tmp_path)
    outcome = alps_geo("plan", scene, "--within", "15min")
    assert outcome.exit_code == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert lines[0] == "100.0 megapixels in 1 scene: 100 tiles"
    assert "tiles on this device: 50 minutes" in lines
    assert "afterwards, in one process: 10 minutes" in lines
    assert "disk: 200.0 MB of tiles, 100.0 MB of segments and results" in lines
    assert lines[-1] == "within 15min: 10 such devices"
    assert "not with any number" in alps_geo("plan", scene, "--within", "10min").stdout
    found = json.loads(alps_geo("plan", scene, "--within", "0.25h", "--json").stdout)
    assert (found["machines"], found["tiles"]) == (10, 100)
    assert "machines" not in json.loads(alps_geo("plan", scene, "--json").stdout)


@pytest.mark.parametrize("within", ["soon", "-2h", "7200", "0h"])
def test_a_time_that_is_none_is_wrong_usage(tmp_path: Path, within: str) -> None:
    outcome = alps_geo("plan", make_scene(tmp_path), "--within", within)
    assert outcome.exit_code == 2
    assert "expected one such as 90min, 2h or 1d" in _unboxed(outcome.stderr)
    assert alps_geo("plan").exit_code == 2


def _unboxed(text: str) -> str:
    return " ".join(text.replace("│", " ").split())
