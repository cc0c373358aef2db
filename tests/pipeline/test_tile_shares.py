"""Shares of the tiles of one run: overlapping, killed, repeated, twice at once, to equal bytes."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from quarter_tiles import QuarterTiles
from share_runs import (
    LONG,
    SETTINGS,
    TILES,
    assert_same,
    finish,
    make_scene,
    share,
    started,
    tile_files,
    wait_for,
)

from alps_geo.errors import RunError, SceneError
from alps_geo.pipeline.scenes import fit_scenes
from alps_geo.pipeline.tile_shares import ShareRequest, label_share
from alps_geo.runs import lock
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held_together
from alps_geo.runs.machines import numbers_in
from alps_geo.runs.status import run_status
from alps_geo.runs.workers import WorkerNote
from alps_geo.scene import read_tile
from alps_geo.tiles.shares import Share

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from rasterio.windows import Window

    from alps_geo.events import Event
    from alps_geo.scene import Scene, TilePixels

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops runs by signal")

KILLS = 4


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def undisturbed(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    finish(scene, out)
    assert len(tile_files(out)) == TILES
    return out


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are started; none of them is left in the end."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_shares_one_after_the_other_make_the_same_run(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, done = tmp_path / "out", 0
    for number in (3, 1, 2):
        before = done
        progress = share(scene, out, number, 3)
        done = progress.done
        assert done == len(tile_files(out)) > before
        assert (progress.tiles, progress.left) == (TILES, TILES - done)
    assert done == TILES
    assert not (out / "run.json").exists()
    finish(scene, out)
    assert_same(out, undisturbed)
    # Given again, a share finds all done, in a run that has finished too.
    assert share(scene, out, 2, 3).left == 0
    assert run_status(out).state == "finished"


def test_the_progress_of_a_share_is_that_of_its_own_tiles(scene: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    request = ShareRequest(Share(1, 2))
    label_share(
        [str(scene)], tmp_path, SETTINGS, request, generator=QuarterTiles(), listen=events.append
    )
    last = [event for event in events if event.tile is not None][-1]
    assert last.tiles == last.computed + last.skipped == len(tile_files(tmp_path))


def test_a_share_may_have_processes_of_its_own(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert share(scene, out, 1, 2, workers=2).done > 0
    (note,) = out.glob(".tiles/workers/*.json")
    assert WorkerNote.from_json(json.loads(note.read_text())).done == len(tile_files(out))
    assert share(scene, out, 2, 2).left == 0
    finish(scene, out)
    assert_same(out, undisturbed)


def test_shares_that_are_killed_overlap_and_run_twice_make_the_same_run(
    scene: Path, undisturbed: Path, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    out, chance = tmp_path / "out", random.Random(7)
    for kill in range(KILLS):
        # The same share twice, one that overlaps with both, and everything.
        wanted = [(1, 2), (1, 2), (2, 3), (1, 1)][: 2 + kill % 3]
        running = [started(scene, out, *each) for each in wanted]
        processes += running
        done = len(tile_files(out))
        # A share may have been done before.
        wait_for(
            lambda: (
                len(tile_files(out)) > done  # noqa: B023
                or all(process.poll() is not None for process in running)  # noqa: B023
            )
        )
        time.sleep(chance.uniform(0, 0.3))
        for process in running:
            process.send_signal(signal.SIGKILL)
        for process in running:
            process.communicate()
    # Left by a process that is killed while it writes.
    left = next(out.glob(".tiles/*/*.npz")).with_name(".a.host.1.abcd.partial")
    left.write_bytes(b"half")
    running = [started(scene, out, *each) for each in [(1, 2), (1, 2), (2, 2)]]
    processes += running
    for process in running:
        _, errors = process.communicate(timeout=LONG)
        assert process.returncode == 0, errors
    assert len(tile_files(out)) == TILES
    finish(scene, out)
    assert not left.exists()
    assert_same(out, undisturbed)


def test_one_run_at_a_time_finishes_and_no_tiles_are_worked_on_meanwhile(
    scene: Path,
    undisturbed: Path,
    tmp_path: Path,
    processes: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "_TOGETHER_SECONDS", 0.1)
    out, hold = tmp_path / "out", tmp_path / "hold"
    hold.touch()
    processes.append(started(scene, out, 0, 0, hold))
    wait_for(lambda: tile_files(out))
    with pytest.raises(RunError, match="another run is at work"):
        finish(scene, out)
    with pytest.raises(RunError, match=r"a run that needs .* for itself"):
        share(scene, out)
    hold.unlink()
    _, errors = processes[0].communicate(timeout=LONG)
    assert processes[0].returncode == 0, errors
    assert_same(out, undisturbed)


def test_a_run_is_not_finished_or_changed_while_tiles_are_worked_on(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(undisturbed, tmp_path / "out")
    with held_together(RunFolder(out)):
        (out / "run.json").unlink()
        with pytest.raises(RunError, match="tiles are being worked on"):
            finish(scene, out)
    finish(scene, out)
    assert_same(out, undisturbed)


def test_failed_tiles_of_a_share_are_noted_and_tried_again(
    scene: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def damaged(scene: Scene, window: Window) -> TilePixels:
        if window.row_off == 0:
            raise SceneError("the first row is damaged")
        return read_tile(scene, window)

    with monkeypatch.context() as patch:
        patch.setattr("alps_geo.tiles.stage.read_tile", damaged)
        failed = [failure for number in (1, 2) for failure in share(scene, out, number, 2).failed]
        assert len(failed) == len(run_status(out).failed) == 5
        # All tiles of a share may fail: others may not.
        assert len(share(scene, out, 1, TILES * 20).failed) <= 1
    repeated = share(scene, out, 1, 2)
    assert repeated.failed == ()
    assert 0 < len(run_status(out).failed) < 5
    record = finish(scene, out)
    assert record.failed == ()
    assert_same(out, undisturbed)


def test_a_strict_share_stops_at_a_failure(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> TilePixels:
        raise SceneError("damaged")

    monkeypatch.setattr("alps_geo.tiles.stage.read_tile", damaged)
    request = ShareRequest(Share(1, 1), strict=True)
    with pytest.raises(SceneError, match="damaged"):
        label_share([str(scene)], tmp_path, SETTINGS, request, generator=QuarterTiles())
    assert len(run_status(tmp_path).failed) == 1


def test_the_tiles_of_a_fit_are_shared_out_too(scene: Path, tmp_path: Path) -> None:
    models = []
    for work, shares in ((tmp_path / "alone", 0), (tmp_path / "shared", 2)):
        for number in range(shares):
            request = ShareRequest(Share(number + 1, shares), fit=True)
            label_share([str(scene)], work, SETTINGS, request, generator=QuarterTiles())
        model = work.with_suffix(".npz")
        fit_scenes([str(scene)], model, work, SETTINGS, generator=QuarterTiles())
        models.append(model.read_bytes())
        assert not list(work.glob(".tiles/workers"))
    assert models[0] == models[1]


def test_tiles_of_other_machines_are_told_of_in_the_record(
    scene: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    share(scene, out, 1, 2)
    (note,) = out.glob(".tiles/workers/*.json")
    mine = tile_files(out)
    ((machine, _),) = json.loads(note.read_text())["tiles"].items()
    note.write_text(note.read_text().replace(machine, "cuda (NVIDIA H100), torch 2.9.1"))
    finish(scene, out)
    here, there = json.loads((out / "run.json").read_text())["machines"]
    assert (here["name"], there["name"]) == (machine, "cuda (NVIDIA H100), torch 2.9.1")
    assert (here["tiles"], there["tiles"]) == (TILES - len(mine), len(mine))
    assert {
        f"{int(row):04d}_{column:04d}.outlines.npz"
        for row, columns in there["scenes"]["corner"].items()
        for column in numbers_in(columns)
    } == {path.name for path in mine}
    assert_same(out, undisturbed)
    assert "machines" not in json.loads((undisturbed / "run.json").read_text())


def test_a_folder_on_a_slow_and_stale_network_loses_nothing(
    scene: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renames are late, done but reported as failed, or not done; files are not seen at once."""
    out, chance = tmp_path / "out", random.Random(3)
    rename, read = Path.replace, Path.read_bytes
    seen_late: set[Path] = set()

    def on_network(part: Path, path: Path) -> Path:
        fate = chance.random()
        if part.suffix == ".partial" and fate < 0.2:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        done = rename(part, path)
        if part.suffix == ".partial":
            seen_late.add(Path(path))
            if fate < 0.6:
                number = chance.choice([errno.ENOENT, errno.EEXIST, errno.EIO])
                raise OSError(number, os.strerror(number))
        return done

    def stale(path: Path) -> bytes:
        if path in seen_late and chance.random() < 0.5:
            with suppress(KeyError):
                seen_late.remove(path)
            raise FileNotFoundError(errno.ENOENT, "not yet")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        patch.setattr(Path, "replace", on_network)
        patch.setattr(Path, "read_bytes", stale)
        for number in (1, 2, 1):
            share(scene, out, number, 2)
        finish(scene, out)
    assert_same(out, undisturbed)
