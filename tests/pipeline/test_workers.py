"""All that follows the tiles in several processes: the same bytes, whoever works and dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import DATA
from stand_in import BrightRegions

from alps_geo.grid import TileGrid
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.segments.blocks import tile_blocks
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from alps_geo.masks.generator import MaskGenerator

SCENE = DATA / "naip_md_1m.tif"
GRID = TileGrid(1024, 1024, 192, 48)
SETTINGS = LabelSettings(tile_size=192, overlap=48, clusters=4)


@dataclass(frozen=True)
class Deadly(BrightRegions):
    """Kills the first other process that asks for the size of cells, which is done for sums."""

    marker: str = ""

    def cell_size(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Cell size of SAM's embedding."""
        if parent_process() is not None and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().cell_size(shape)


def run(out: Path, workers: int, generator: MaskGenerator) -> dict[str, bytes]:
    """Label the scene, from stored tiles if there are any; read all files of the run but tiles."""
    settings = replace(SETTINGS, workers=workers)
    label_scenes([str(SCENE)], out, settings, generator=generator)
    tiles = next(out.glob(".tiles/*.????????????????"))
    found = {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and tiles not in path.parents
    }
    record = json.loads(found["run.json"])
    del record["seconds"], record["settings"]["workers"]
    return found | {"run.json": json.dumps(record).encode()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The run of one process: its folder and its files."""
    assert len(tile_blocks(GRID)) == 4
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return out, run(out, 1, BrightRegions())


def copied_tiles(alone: Path, out: Path) -> None:
    tiles = next(alone.glob(".tiles/*.????????????????"))
    shutil.copytree(tiles, out / ".tiles" / tiles.name)


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_processes_writes_the_same_bytes(
    alone: tuple[Path, dict[str, bytes]],
    workers: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folder, expected = alone
    copied_tiles(folder, tmp_path / "out")
    found = run(tmp_path / "out", workers, BrightRegions())
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert {"columns.npy", "segments.npz"} <= {Path(name).name for name in found}


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_process_that_is_killed_at_its_sums_costs_nothing(
    alone: tuple[Path, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folder, expected = alone
    out = tmp_path / "out"
    copied_tiles(folder, out)
    found = run(out, 2, Deadly(str(tmp_path / "killed")))
    assert (tmp_path / "killed").exists()
    assert [name for name in expected if found[name] != expected[name]] == []
