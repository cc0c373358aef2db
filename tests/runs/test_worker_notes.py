"""Notes of the processes at work on tiles, for the status and for the record."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from helpers import alps_geo
from run_folders import FIT_RECORD, PLAN, RECORD, begin, stored
from share_runs import wait_for

from alps_geo.errors import RunError
from alps_geo.runs import workers
from alps_geo.runs.describe import with_machines
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held, held_together
from alps_geo.runs.machines import Made, numbers_in, text_of
from alps_geo.runs.status import run_status
from alps_geo.runs.workers import at_work, forget_workers, tiles_by_machine, workers_at

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.runs.record import FitRecord, RunRecord
    from alps_geo.runs.workers import WorkerNote


def only(folder: RunFolder) -> WorkerNote:
    (note,) = workers_at(folder)
    return note


def test_a_process_at_work_says_so_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.02)
    folder = RunFolder(tmp_path)
    with at_work(folder, "shard 2/3") as log:
        note = only(folder)
        assert (note.host, note.pid, note.task) == (socket.gethostname(), os.getpid(), "shard 2/3")
        assert (note.done, note.has_ended, note.seems_dead) == (0, False, False)
        for column, (machine, worker) in enumerate(
            (("cpu", None), ("cuda", "gpu-1"), ("cpu", None))
        ):
            log.made("neon", (4, column), machine, worker)
        wait_for(lambda: only(folder).done == 3)
    assert only(folder).has_ended
    assert only(folder).elsewhere == {"gpu-1": 1}
    assert tiles_by_machine(folder).tiles == {"cpu": 2, "cuda": 1}
    assert tiles_by_machine(folder).to_json() == {
        "cpu": {"neon": {"4": "0, 2"}},
        "cuda": {"neon": {"4": "1"}},
    }
    assert not list(folder.workers_path.glob(".*"))
    forget_workers(folder)
    assert workers_at(folder) == []


def test_notes_last_as_long_as_the_run_goes_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    stored(folder)
    with at_work(folder) as log:
        log.made("neon", (0, 0), "cuda", None)
    begin(folder, PLAN)
    assert tiles_by_machine(folder).tiles == {"cuda": 1}
    begin(folder, PLAN, force=True)
    assert tiles_by_machine(folder).tiles == {}


def test_the_status_names_who_is_at_work_and_who_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No sign of life may come in between.
    monkeypatch.setattr(workers, "BEAT_SECONDS", 600.0)
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    with held_together(folder), at_work(folder, "shard 1/2"), at_work(folder, "shard 2/2"):
        first, _ = sorted(folder.workers_path.iterdir(), key=lambda path: path.read_text())
        silent_since(first, 720)
        outcome = alps_geo("status", folder.path)
        found = json.loads(alps_geo("status", folder.path, "--json").stdout)["workers"]
        silent_since(first, 2 * 86400)
        later = alps_geo("status", folder.path)
    told = " ".join(outcome.stdout.split())
    assert re.search(r"shard 1/2, 0 tiles done, not heard of since \d\d:\d\d$", told)
    assert re.search(
        r"not heard of since \d{4}-\d\d-\d\d \d\d:\d\d", " ".join(later.stdout.split())
    )
    assert outcome.stdout.index("shard 2/2") < outcome.stdout.index("shard 1/2")
    assert [each["task"] for each in found] == ["shard 2/2", "shard 1/2"]
    assert max(each["silent_seconds"] for each in found) > 700
    assert "shard" not in alps_geo("status", folder.path).stdout


def silent_since(note: Path, seconds: float) -> None:
    """Make a note as old as one of a process without signs of life."""
    long_ago = time.time() - seconds
    os.utime(note, (long_ago, long_ago))


def test_a_killed_process_is_at_work_no_longer(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    (note,) = folder.workers_path.iterdir()
    assert only(folder).now == {"": "neon, tile at row 0, column 0"}
    # Nobody holds the folder, so nobody is at work there.
    assert status_of(folder) == ("stopped", [])
    with held_together(folder), at_work(folder, "shard 2/2"):
        # A number that is not there may be that of a container, as long as there are signs of life.
        assert status_of(folder) == ("running", ["shard 1/2", "shard 2/2"])
        silent_since(note, 60)
        assert status_of(folder) == ("running", ["shard 2/2"])
        with pytest.raises(RunError, match=f"process {os.getpid()} on [^,]*\\)"), held(folder):
            pass
        content = json.loads(note.read_text())
        note.write_text(json.dumps({**content, "host": "elsewhere"}))
        silent_since(note, 60)
        assert status_of(folder) == ("running", ["shard 1/2", "shard 2/2"])


KILLED = """
import os, signal, sys
from pathlib import Path
from alps_geo.runs import workers
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held_together
folder = RunFolder(Path(sys.argv[1]))
workers.BEAT_SECONDS = 0.01
with held_together(folder), workers.at_work(folder, "shard 1/2") as log:
    log.working({"": "neon, tile at row 0, column 0"})
    while not workers.workers_at(folder)[0].now:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
"""


def status_of(folder: RunFolder) -> tuple[str, list[str]]:
    """State of a run, and the shares of those at work."""
    found = run_status(folder.path)
    return found.state, sorted(each.task for each in found.workers)


def test_the_status_lists_workers_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.02)
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    with held_together(folder), at_work(folder) as log:
        for column, worker in enumerate(("node-4", "node-7", "node-4")):
            log.made("neon", (0, column), "cuda", worker)
        log.working({"node-4": "", "node-5": "neon, tile at row 0, column 3"})
        wait_for(lambda: only(folder).done == 3)
        outcome = alps_geo("status", folder.path)
        found = json.loads(alps_geo("status", folder.path, "--json").stdout)["workers"]
    assert "worker node-4: 2 done, waits for work\n" in outcome.stdout
    assert "worker node-5: now neon, tile at row 0, column 3\n" in outcome.stdout
    assert "node-7" not in outcome.stdout
    assert found[0]["elsewhere"] == {"node-4": 2, "node-7": 1}


@pytest.mark.parametrize("width", [80, 120])
def test_the_status_says_who_works_on_which_tile(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.02)
    monkeypatch.setenv("COLUMNS", str(width))
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    scene = "a_scene_of_a_long_name"
    names = ("", "process 1812240", "node-4")
    now = {name: f"{scene}, tile at row 7, column {each}" for each, name in enumerate(names)}
    with held_together(folder), at_work(folder, "shard 12/16") as log:
        log.working(now)
        wait_for(lambda: only(folder).now == now)
        lines = alps_geo("status", folder.path).stdout.splitlines()
        found = json.loads(alps_geo("status", folder.path, "--json").stdout)["workers"]
    assert found[0]["now"] == now
    host = socket.gethostname()
    line = f"process {os.getpid()} on {host}: shard 12/16, 0 tiles done, heard of "
    assert line in " ".join(lines)
    for title, text in zip(("", "process 1812240: ", "worker node-4: "), now.values(), strict=True):
        assert [each for each in lines if each.endswith(f"── {title}now {text}")]
    assert only(folder).now == {}


def test_ranges_of_numbers_are_read_as_they_were_written() -> None:
    chance = random.Random(5)
    for size in range(40):
        numbers = sorted(chance.sample(range(60), size))
        assert numbers_in(text_of(numbers)) == numbers
    assert text_of(range(70_000)) == "0-69999"
    for text in ("3-", "a", "1,2", "1, ", "1-2-3"):
        with pytest.raises(ValueError, match=text):
            numbers_in(text)


def test_a_damaged_note_is_nobody(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with at_work(folder):
        (whole,) = folder.workers_path.iterdir()
        note = json.loads(whole.read_text())
        for number, tiles in enumerate(({"cpu": 3}, {"cpu": {"neon": {"0": "-"}}}, None)):
            damaged = folder.workers_path / f"host.{number}.abc.json"
            damaged.write_text(json.dumps({**note, "tiles": tiles}) if tiles else "{")
        assert len(workers_at(folder)) == 1


@pytest.mark.parametrize("record", [RECORD, FIT_RECORD])
def test_the_record_names_machines_where_they_differ(record: RunRecord | FitRecord) -> None:
    made = Made()
    made.add("cpu (AVX2), torch 2.9", "neon", 0, [0, 1, 2, 4])
    same = with_machines(record, made)  # type: ignore[type-var]
    assert same.to_json() == record.to_json()
    made.add("cuda (H100)", "neon", 0, [3])
    mixed = with_machines(record, made)  # type: ignore[type-var]
    assert mixed.to_json()["machines"] == [
        {"name": "cpu (AVX2), torch 2.9", "tiles": 4, "scenes": {"neon": {"0": "0-2, 4"}}},
        {"name": "cuda (H100)", "tiles": 1, "scenes": {"neon": {"0": "3"}}},
    ]
    assert type(record).from_json(mixed.to_json()) == mixed
