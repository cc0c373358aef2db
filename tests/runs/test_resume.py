"""Nothing is lost: real runs that are killed, stopped, damaged or crowded, and then go on."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import rasterio
import torch
from child_processes import ended, workers_of
from helpers import DATA, alps_geo
from rasterio.windows import Window
from share_runs import LONG, tile_files, wait_for

from alps_geo.errors import ModelMemoryError
from alps_geo.events import Tally
from alps_geo.grid import TileGrid
from alps_geo.masks import sam1
from alps_geo.masks.generator import GeneratorOptions, Models
from alps_geo.masks.registry import make_generator
from alps_geo.runs.claim import claimed
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.plan import Plan
from alps_geo.runs.reading import read_plan
from alps_geo.runs.tile_store import TileStore
from alps_geo.runs.workers import workers_at
from alps_geo.sam import generate
from alps_geo.sam.packed import PackedMasks
from alps_geo.scene import open_scene
from alps_geo.segments.fragments import no_fragments
from alps_geo.settings import LabelSettings
from alps_geo.tiles import stored as stored_tiles
from alps_geo.tiles.jobs import Job
from alps_geo.tiles.stage import TileStage
from alps_geo.tiles.stored import StoredTiles

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="stops runs by signal"),
    pytest.mark.usefixtures("images_encoded_once"),
]

NEON = DATA / "neon_osbs_10cm.tif"
# Lower thresholds, so that few points find many masks.
MASKS = ("--points", "grid:3", "--pred-iou-thresh", "0.3", "--stability-score-thresh", "0.4")
QUICK = ("--tile-size", "128", "--overlap", "16", "--clusters", "3", *MASKS)
TILES = 4
KILLS = 5


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corner of a real scene: two rows of two tiles."""
    path = tmp_path_factory.mktemp("scene") / "corner.tif"
    window = Window(0, 0, 240, 240)
    with rasterio.open(NEON) as source:
        profile = source.profile | {"width": window.width, "height": window.height}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=window))
    return path


@pytest.fixture(scope="module")
def undisturbed(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    outcome = alps_geo("label", scene, "--out", out, *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    assert len(tile_files(out)) == TILES
    return out


# pytest-xdist lets its processes ignore Ctrl-C, and what they start inherits that.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from alps_geo.runs import workers
workers.BEAT_SECONDS = 0.05
from alps_geo_cli.main import run
run()
"""


@contextmanager
def started(scene: Path, out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program; be sure that nothing of it is left in the end."""
    run = subprocess.Popen(
        [
            *(sys.executable, "-c", PROGRAM),
            *("label", str(scene), "--out", str(out), *QUICK, *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended(run):
        yield run


def at_work(out: Path) -> list[int]:
    """List the worker processes that had a tile when the run last told of them."""
    names = [name for note in workers_at(RunFolder(out)) for name in note.now]
    return [int(name.removeprefix("process ")) for name in names if name]


def contents(folder: Path) -> dict[str, bytes]:
    """All that lies in a run folder, apart from times in the record."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.name != "run.json" else b""
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.name.endswith(".partial")
    }


def assert_same(out: Path, undisturbed: Path) -> None:
    found, expected = contents(out), contents(undisturbed)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def continued(undisturbed: Path, out: Path) -> Path:
    """Copy a run whose tiles are done, but not its results."""
    shutil.copytree(undisturbed, out)
    (out / "run.json").unlink()
    return out


def times(paths: list[Path]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in paths}


def test_runs_killed_at_random_moments_end_with_the_same_bytes(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, moment = tmp_path / "out", random.Random(20)
    kills, done = 0, 0
    while kills < KILLS:
        began = (out / ".tiles" / "run.json").stat().st_mtime_ns if done or kills else 0
        options = ("--workers", "2") if kills % 3 == 2 else ()
        with started(scene, out, *options) as run:
            plan = out / ".tiles" / "run.json"
            wait_for(lambda: plan.exists() and plan.stat().st_mtime_ns != began)  # noqa: B023
            time.sleep(moment.uniform(0, 3))
            workers = workers_of(run.pid)
            run.send_signal(signal.SIGKILL)
            assert run.wait() in (0, -signal.SIGKILL)
            wait_for(lambda: not any(worker.is_running() for worker in workers))  # noqa: B023
        if (out / "run.json").exists():
            # It was through before it was hit: let it write its results once more.
            (out / "run.json").unlink()
        else:
            kills += 1
        assert len(tile_files(out)) >= done
        done = len(tile_files(out))
    assert alps_geo("label", scene, "--out", out, *QUICK).exit_code == 0
    assert_same(out, undisturbed)


def test_any_number_of_workers_gives_the_same_bytes_even_if_one_is_killed(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(scene, out, "--workers", "2") as run:
        # One that dies before it has loaded its model ends the run.
        wait_for(lambda: at_work(out))
        os.kill(at_work(out)[0], signal.SIGKILL)
        _, errors = run.communicate(timeout=LONG)
    assert run.returncode == 0, errors
    assert_same(out, undisturbed)


@pytest.mark.parametrize(
    ("number", "options", "code"),
    [(signal.SIGINT, ("--workers", "2"), 130), (signal.SIGTERM, (), 143)],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_run_that_is_stopped_says_how_to_go_on(
    scene: Path, tmp_path: Path, number: int, options: tuple[str, ...], code: int
) -> None:
    out = tmp_path / "out"
    with started(scene, out, *options) as run:
        wait_for(lambda: tile_files(out))
        workers = workers_of(run.pid)
        assert len(workers) == len(options)
        # As a terminal does, to all processes of the group.
        for process in [psutil.Process(run.pid), *workers]:
            process.send_signal(number)
        _, errors = run.communicate(timeout=LONG)
        assert not any(worker.is_running() for worker in workers)
    assert run.returncode == code
    assert errors == "alps-geo: interrupted; the same command goes on where it stopped\n"
    assert json.loads(alps_geo("status", out, "--json").stdout)["state"] == "stopped"
    assert not (out / "run.json").exists()


def test_damaged_tiles_are_noticed_and_redone(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = continued(undisturbed, tmp_path / "out")
    first, flipped, *whole = tile_files(out)
    cut = first.with_name(first.name.replace("outlines", "embeddings"))
    os.truncate(cut, cut.stat().st_size // 2)
    data = bytearray(flipped.read_bytes())
    data[len(data) // 3] ^= 0x10
    flipped.write_bytes(bytes(data))
    before = times(whole)
    assert alps_geo("label", scene, "--out", out, *QUICK).exit_code == 0
    assert times(whole) == before
    assert_same(out, undisturbed)


@pytest.mark.parametrize("features", ["sam+spectral+texture", "spectral+context"])
def test_other_clusters_and_features_need_no_sam(
    scene: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    before = times(tile_files(out))
    monkeypatch.setattr(sam1, "load_model", lambda *_: pytest.fail("SAM is loaded"))
    chosen = ("--seed", "1", "--clusters", "4", "--features", features)
    other = ("label", scene, "--out", out, *QUICK, *chosen)
    assert alps_geo(*other).exit_code == 1
    assert alps_geo(*other, "--overwrite").exit_code == 0
    assert times(tile_files(out)) == before
    assert len(json.loads((out / "run.json").read_text())["clusters"]) == 4


def test_a_tile_without_fragments_is_not_worked_on_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = open_scene(str(NEON))
    grid = TileGrid(*scene.shape, 256, 32)
    job = Job("neon", scene, grid, TileStore(tmp_path, "key"))
    first = grid[0, 0]
    job.store.save(first, no_fragments((256, 256), len(scene.band_names)))
    monkeypatch.setattr(stored_tiles, "read_filled", lambda *_: pytest.fail("worked on again"))
    models = Models(make_generator(GeneratorOptions()))
    stage = TileStage([job], LabelSettings(), models)
    stored = StoredTiles(stage, Tally(1, lambda _: None))
    assert len(stored.outlines(job)(first)) == 0
    assert stored.embeddings(job)(first).sam.size == 0


def test_force_does_everything_again(tmp_path: Path) -> None:
    run = ("label", NEON, "--out", tmp_path, *MASKS, "--clusters", "2")
    assert alps_geo(*run).exit_code == 0
    before = times([*tile_files(tmp_path), tmp_path / "run.json"])
    assert alps_geo(*run, "--force").exit_code == 0
    after = times([*tile_files(tmp_path), tmp_path / "run.json"])
    assert all(after[path] != before[path] for path in before)


def test_a_second_run_in_the_folder_is_turned_away(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = continued(undisturbed, tmp_path / "out")
    folder = RunFolder(out)
    plan = read_plan(folder)
    assert isinstance(plan, Plan)
    with claimed(folder, plan, overwrite=False):
        outcome = alps_geo("label", scene, "--out", out, *QUICK)
        assert outcome.exit_code == 1
        assert "another run is at work" in outcome.stderr
        assert outcome.stderr.count("\n") == 1
        assert json.loads(alps_geo("status", out, "--json").stdout)["state"] == "running"
    assert alps_geo("label", scene, "--out", out, *QUICK).exit_code == 0
    assert_same(out, undisturbed)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A scene whose lower half was never copied."""
    path = tmp_path / "cut.tif"
    path.write_bytes(NEON.read_bytes()[:300_000])
    return path


def test_tiles_that_cannot_be_read_are_reported_and_the_rest_is_finished(
    damaged: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = ("label", damaged, "--out", out, *QUICK, "--tile-size", "160")
    strict = alps_geo(*run, "--strict")
    assert strict.exit_code == 1
    assert "rows" in strict.stderr
    assert "tiles that are done are kept" in strict.stderr
    assert not (out / "run.json").exists()
    kept = times(tile_files(out))
    assert len(kept) == 3

    for _ in range(2):  # the second time tries again what failed, and only that
        outcome = alps_geo(*run)
        assert outcome.exit_code == 3
        assert outcome.stderr.count("failed: cut, rows ") == 6
        assert times(tile_files(out)) == kept
        record = json.loads((out / "run.json").read_text())
        assert [(tile["row"], tile["col"]) for tile in record["failed"]] == [
            (row, col) for row in (1, 2) for col in (0, 1, 2)
        ]
        assert all("cannot be read" in tile["reason"] for tile in record["failed"])
        assert record["segments"] > 0
        with rasterio.open(out / "cut" / "labels.tif") as raster:
            labels = raster.read(1)
        assert labels[:140].any()
        assert not labels[160:].any()

    status = alps_geo("status", out, "--json")
    assert status.exit_code == 0
    found = json.loads(status.stdout)
    assert (found["state"], found["tiles"], found["done"], found["left"]) == ("finished", 9, 3, 0)
    assert found["failed"] == record["failed"]


def gpu_without_memory() -> None:
    raise ModelMemoryError("the message of this error does not matter")


@pytest.mark.parametrize(
    "lack_memory",
    [lambda: torch.empty(2**60), lambda: np.empty(2**58), gpu_without_memory],
    ids=["torch", "numpy", "GPU"],
)
def test_a_tile_that_memory_does_not_suffice_for_fails_and_may_succeed_later(
    lack_memory: Callable[[], object],
    scene: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = continued(undisturbed, tmp_path / "out")
    for path in tile_files(out)[:2]:
        path.unlink()
    real = generate.generate_masks
    calls = 0

    def greedy(*arguments: object, **options: object) -> PackedMasks:
        nonlocal calls
        calls += 1
        if calls <= 3:  # the first tile both times, the second tile once
            lack_memory()
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sam1, "generate_masks", greedy)
    outcome = alps_geo("label", scene, "--out", out, *QUICK)
    assert outcome.exit_code == 3
    assert outcome.stderr.count("memory does not suffice (") == 1
    assert len(tile_files(out)) == TILES - 1
    assert alps_geo("label", scene, "--out", out, *QUICK).exit_code == 0
    assert_same(out, undisturbed)
