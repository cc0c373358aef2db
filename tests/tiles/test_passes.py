"""A run goes through its stored tiles a few times, and computes what is damaged once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rasterio
from helpers import DATA
from quarter_tiles import QuarterTiles
from rasterio.windows import Window

from alps_geo.events import Event, Tally
from alps_geo.grid import Tile, TileGrid
from alps_geo.masks.generator import Models
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.folder import EMBEDDINGS, OUTLINES
from alps_geo.runs.tile_store import TileStore
from alps_geo.scene import open_scene
from alps_geo.segments.matching import join
from alps_geo.segments.paint import PaintedCore, paint_core
from alps_geo.settings import LabelSettings
from alps_geo.tiles.jobs import Job
from alps_geo.tiles.serial import SerialExecutor
from alps_geo.tiles.stage import TileStage, TileWorker
from alps_geo.tiles.stored import StoredTiles
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from alps_geo.segments.fragments import Fragments

SIDE = 192
SETTINGS = LabelSettings(tile_size=64, overlap=16, clusters=2, fill="none", features="sam")
GRID = TileGrid(SIDE, SIDE, 64, 16)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rows of four tiles."""
    assert GRID.shape == (4, 4)
    path = tmp_path_factory.mktemp("scene") / "corner.tif"
    window = Window(0, 0, SIDE, SIDE)
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        profile = source.profile | {"width": window.width, "height": window.height}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=window))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file of a tile is read."""
    count: Counter[str] = Counter()
    read_bytes = Path.read_bytes

    def counted(path: Path) -> bytes:
        data = read_bytes(path)
        if path.suffix == ".npz":
            count[path.name] += 1
        return data

    monkeypatch.setattr(Path, "read_bytes", counted)
    return count


@pytest.fixture
def stage(scene: Path, tmp_path: Path) -> TileStage:
    """The work on tiles that are all stored."""
    opened = open_scene(str(scene))
    job = Job("corner", opened, GRID, TileStore(tmp_path / "tiles", "key"))
    stage = TileStage([job], SETTINGS, Models(QuarterTiles()))
    label_tiles(stage, silent(), SerialExecutor(), strict=True)
    return stage


def silent() -> Tally:
    return Tally(0, lambda _: None)


def names(kind: str) -> set[str]:
    return {f"{tile.row:04d}_{tile.col:04d}.{kind}" for tile in GRID}


def test_a_pass_over_outlines_reads_no_embeddings(stage: TileStage, reads: Counter[str]) -> None:
    (job,) = stage.jobs
    join(GRID, StoredTiles(stage, silent()).outlines(job))
    assert reads.keys() == names(OUTLINES)
    assert max(reads.values()) <= 2
    reads.clear()
    load = StoredTiles(stage, silent()).embeddings(job)
    for tile in GRID:
        load(tile)
    assert reads == Counter(names(EMBEDDINGS))


def test_outlines_are_read_three_times_at_most_and_embeddings_once(
    scene: Path, tmp_path: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: Counter[tuple[int, int]] = Counter()

    def counted(grid: TileGrid, tile: Tile, *arguments: Any) -> PaintedCore:
        painted[tile.row, tile.col] += 1
        return paint_core(grid, tile, *arguments)

    monkeypatch.setattr("alps_geo.segments.extents.paint_core", counted)
    label_scenes([str(scene)], tmp_path / "out", SETTINGS, generator=QuarterTiles())
    assert {name: reads[name] for name in names(EMBEDDINGS)} == dict.fromkeys(names(EMBEDDINGS), 1)
    assert max(reads[name] for name in names(OUTLINES)) <= 3
    assert painted == Counter((tile.row, tile.col) for tile in GRID)
    # What only a run at work needs has gone with it.
    left = {path.name for path in (tmp_path / "out" / ".tiles" / "corner.segments").iterdir()}
    assert "segments.npz" in left
    assert not left & {"painted", "ids.npy"}


@pytest.mark.parametrize("kind", [OUTLINES, EMBEDDINGS])
def test_a_damaged_file_is_made_once_and_stored(
    stage: TileStage, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = stage.jobs
    tile = GRID[1, 2]
    path = job.store.folder / f"0001_0002.{kind}"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    computed: list[tuple[int, int]] = []
    fragments = TileWorker.fragments

    def counted(worker: TileWorker, job: Job, tile: Tile, *arguments: Any) -> Fragments:
        computed.append((tile.row, tile.col))
        return fragments(worker, job, tile, *arguments)

    monkeypatch.setattr(TileWorker, "fragments", counted)
    stored = StoredTiles(stage, silent())
    for _ in range(3):
        outlines, embeddings = stored.outlines(job), stored.embeddings(job)
        assert len(outlines(tile)) == 4
        assert embeddings(tile).sam.size
    assert computed == [(1, 2)]
    assert job.store.holds(tile)
    assert path.read_bytes() == whole


def test_tiles_of_an_earlier_version_are_worked_on_again_with_one_note(
    scene: Path, tmp_path: Path
) -> None:
    out, expected = tmp_path / "out", tmp_path / "expected"
    earlier = out / ".tiles" / "corner.0123456789abcdef"
    earlier.mkdir(parents=True)
    for tile in GRID:
        (earlier / f"{tile.row:04d}_{tile.col:04d}.npz").write_bytes(b"fragments")
    notes: list[str] = []

    def listen(event: Event) -> None:
        if event.note:
            notes.append(event.note)

    for clusters in (2, 3):
        settings, flags = replace(SETTINGS, clusters=clusters), RunFlags(overwrite=clusters == 3)
        for folder in (out, expected):
            run = (folder, settings, flags)
            label_scenes([str(scene)], *run, generator=QuarterTiles(), listen=listen)
    assert notes == ["tiles stored by an earlier version are worked on again"]
    assert not earlier.exists()
    stored = [sorted(path.name for path in run.glob(".tiles/*/*")) for run in (out, expected)]
    assert stored[0] == stored[1]
    assert len(stored[0]) >= 2 * len(GRID)
