"""Notes of the processes at work on tiles, for the status and for the record."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from typing import TYPE_CHECKING

import pytest
from helpers import alps_geo
from run_folders import FIT_RECORD, PLAN, RECORD, begin, stored
from share_runs import wait_for

from alps_geo.runs import workers
from alps_geo.runs.describe import with_machines
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.machines import Made, numbers_in, text_of
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
    with at_work(folder, "shard 1/2"), at_work(folder, "shard 2/2"):
        first, _ = sorted(folder.workers_path.iterdir(), key=lambda path: path.read_text())
        long_ago = time.time() - 720
        os.utime(first, (long_ago, long_ago))
        outcome = alps_geo("status", folder.path)
        found = json.loads(alps_geo("status", folder.path, "--json").stdout)["workers"]
    assert "shard 1/2" in outcome.stdout
    assert "silent for 12 minutes" in outcome.stdout
    assert outcome.stdout.index("shard 2/2") < outcome.stdout.index("shard 1/2")
    assert sorted(each["task"] for each in found) == ["shard 1/2", "shard 2/2"]
    assert max(each["silent_seconds"] for each in found) > 700
    assert "shard" not in alps_geo("status", folder.path).stdout


def test_the_status_lists_workers_that_tiles_are_handed_out_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.02)
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    with at_work(folder) as log:
        for column, worker in enumerate(("node-4", "node-7", "node-4")):
            log.made("neon", (0, column), "cuda", worker)
        wait_for(lambda: only(folder).done == 3)
        outcome = alps_geo("status", folder.path)
        found = json.loads(alps_geo("status", folder.path, "--json").stdout)["workers"]
    assert "its worker node-4" in outcome.stdout
    assert found[0]["elsewhere"] == {"node-4": 2, "node-7": 1}


def test_the_status_says_who_works_on_which_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.02)
    monkeypatch.setenv("COLUMNS", "200")
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    now = {
        "": "neon, tile at row 7, column 0",
        "process 77": "neon, tile at row 7, column 1",
        "node-4": "neon, tile at row 7, column 2",
    }
    with at_work(folder) as log:
        log.working(now)
        wait_for(lambda: only(folder).now == now)
        lines = alps_geo("status", folder.path).stdout.splitlines()
        found = json.loads(alps_geo("status", folder.path, "--json").stdout)["workers"]
    assert found[0]["now"] == now
    for column, name in enumerate((str(os.getpid()), "its process 77", "its worker node-4")):
        (line,) = (each for each in lines if f" {name} " in each)
        assert f"neon, tile at row 7, column {column}" in line
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
