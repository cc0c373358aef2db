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

import numpy as np
import pytest
import rasterio
from helpers import DATA
from stand_in import BrightRegions

from alps_geo.clusters.model import ClusterModel
from alps_geo.features.mapping import HERE
from alps_geo.grid import TileGrid
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.segments.blocks import tile_blocks
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alps_geo.clusters.tree import Assigned
    from alps_geo.features.columns import Table
    from alps_geo.features.mapping import Mapper
    from alps_geo.masks.generator import MaskGenerator

SCENE = DATA / "naip_md_1m.tif"
GRID = TileGrid(1024, 1024, 192, 48)
SETTINGS = LabelSettings(tile_size=192, overlap=48, clusters=4, batch_size=200)


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


@pytest.fixture(scope="module", autouse=True)
def short_ranges() -> Iterator[None]:
    """Ranges of so few rows that the scene has several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alps_geo.features.columns.BATCH_ROWS", 200)
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The run of one process: its folder and its files."""
    assert len(tile_blocks(GRID)) == 4
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        found = run(out, 1, BrightRegions())
        assert json.loads(found["run.json"])["segments"] > 3 * 200
        return out, found


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


@pytest.mark.parametrize("is_given", [False, True])
def test_the_model_is_applied_once_in_a_run(
    alone: tuple[Path, dict[str, bytes]],
    is_given: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outputs take the clusters that the run has found."""
    calls: list[int] = []
    apply = ClusterModel.apply_to_all

    def counted(
        model: ClusterModel, tables: Sequence[Table], mapper: Mapper = HERE
    ) -> tuple[Assigned, ...]:
        calls.append(len(tables))
        return apply(model, tables, mapper)

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setattr(ClusterModel, "apply_to_all", counted)
    folder, _ = alone
    copied_tiles(folder, tmp_path / "out")
    model = str(folder / "clusters.npz") if is_given else None
    settings = replace(SETTINGS, clusters=None if is_given else 4, clusters_from=model)
    label_scenes([str(SCENE)], tmp_path / "out", settings, generator=BrightRegions())
    assert calls == [1]
    (labels,) = (tmp_path / "out").glob("naip*/labels.tif")
    expected = folder / labels.relative_to(tmp_path / "out")
    with rasterio.open(labels) as found, rasterio.open(expected) as before:
        np.testing.assert_array_equal(found.read(), before.read())
