"""The lock of a run folder: alone or together, and let go when a process is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from run_folders import FIRST, FIT, FIT_RECORD, FRAGMENTS, OTHER, PLAN, begin, finish, tile_store

from alps_geo.errors import RunError
from alps_geo.runs import lock
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held, held_together, is_running, is_shared
from alps_geo.runs.reading import read_plan
from alps_geo.runs.tile_claim import claimed_together
from alps_geo.runs.workers import at_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Hold = Callable[[RunFolder], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_TOGETHER_SECONDS", 0.1)
    monkeypatch.setattr(lock, "_ALONE_SECONDS", 0.1)


HOLD = """
import sys, time
from pathlib import Path
from alps_geo.runs import lock
from alps_geo.runs.folder import RunFolder
with getattr(lock, sys.argv[2])(RunFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holding(path: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock in another process, which is killed in the end."""
    arguments = [sys.executable, "-c", HOLD, str(path), kind]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_any_number_work_together_and_one_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with holding(tmp_path, "held_together"):
        with held_together(folder), held_together(folder):
            assert is_running(folder)
            assert is_shared(folder)
        with pytest.raises(RunError, match="tiles are being worked on"), held(folder):
            pytest.fail("a run has the folder for itself that others work in")
    with holding(tmp_path, "held"):
        assert not is_shared(folder)
        with pytest.raises(RunError, match=r"needs .* for itself"), held_together(folder):
            pytest.fail("tiles are worked on while a run has the folder for itself")
        with pytest.raises(RunError, match="another run is at work"), held(folder):
            pytest.fail("two runs have the folder for themselves")
    assert not is_running(folder)


@pytest.mark.parametrize("kind", ["held", "held_together"])
def test_a_lock_ends_with_its_process(tmp_path: Path, kind: str) -> None:
    with holding(tmp_path, kind) as process:
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
        with held(RunFolder(tmp_path)):
            pass


@pytest.mark.parametrize("hold", [held, held_together])
def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: Hold
) -> None:
    pytest.importorskip("fcntl", reason="locks are POSIX's")

    def without(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("portalocker.portalocker.LOCKER", without)
    folder = RunFolder(tmp_path)
    with (
        pytest.raises(RunError, match=r"lock: cannot be locked \(No locks available\)"),
        hold(folder),
    ):
        pytest.fail("two runs may change one folder")
    with pytest.raises(RunError, match="cannot be told"):
        is_running(folder)


def test_the_processes_at_work_are_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with held_together(folder), at_work(folder, "shard 1/2"):
        with pytest.raises(RunError, match=r"\(process \d+ on .*\); wait until they end"):
            begin(folder, PLAN)
        with (
            at_work(folder),
            at_work(folder),
            at_work(folder),
            pytest.raises(RunError, match=", 1 more"),
        ):
            begin(folder, PLAN)


def test_the_first_to_come_writes_the_plan(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with claimed_together(folder, PLAN), claimed_together(folder, PLAN):
        found = read_plan(folder)
    assert found is not None
    assert found.fingerprint == PLAN.fingerprint
    assert found.date
    begin(folder, PLAN)
    assert read_plan(folder) == found


@pytest.mark.parametrize("theirs", [OTHER, replace(PLAN, fingerprint="other clusters"), FIT])
def test_who_has_another_plan_is_turned_away_and_removes_nothing(
    tmp_path: Path, theirs: object
) -> None:
    folder = RunFolder(tmp_path)
    assert isinstance(theirs, type(PLAN))
    with claimed_together(folder, theirs):
        tile_store(folder, theirs.scenes[0].name).save(FIRST, FRAGMENTS)
        with (
            pytest.raises(RunError, match=r"holds another run.*--overwrite"),
            claimed_together(folder, PLAN),
        ):
            pytest.fail("a folder of another run was claimed")
    before = sorted(folder.tiles_path.rglob("*"))
    # Nor when it is alone there.
    with (
        pytest.raises(RunError, match=r"holds another run.*choose another --out"),
        claimed_together(folder, PLAN),
    ):
        pytest.fail("a folder of another run was claimed")
    assert sorted(folder.tiles_path.rglob("*")) == before


def test_fits_of_other_settings_do_not_replace_each_other_tile_by_tile(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, FIT, FIT_RECORD)
    with (
        pytest.raises(RunError, match="choose another --work"),
        claimed_together(folder, replace(FIT, fingerprint="another fit")),
    ):
        pytest.fail("the tiles of another fit may go")


def test_files_of_somebody_else_and_damaged_plans_are_left_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    theirs = tmp_path / "scene" / "labels.tif"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    with pytest.raises(RunError, match="is there already"), claimed_together(folder, PLAN):
        pytest.fail("a file of somebody else will be replaced")
    assert read_plan(folder) is None
    theirs.unlink()
    begin(folder, PLAN)
    folder.plan_path.write_text("{")
    with pytest.raises(RunError, match=r"damaged.*--overwrite"), claimed_together(folder, PLAN):
        pytest.fail("nobody knows which run this is")
    assert folder.plan_path.read_text() == "{"
