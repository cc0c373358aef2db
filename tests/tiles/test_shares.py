"""Shares of the tiles of a run: complete, even, and skipped where others were quicker."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quarter_tiles import QuarterTiles
from share_runs import SlowQuarters
from tile_stages import stage_in

from alps_geo.errors import SettingsError
from alps_geo.events import Tally
from alps_geo.runs.workers import WorkerNote, WorkLog
from alps_geo.tiles.array_jobs import share_of
from alps_geo.tiles.serial import SerialExecutor
from alps_geo.tiles.shares import Share, ShareStage
from alps_geo.tiles.stage import TileStage
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.events import Event
    from alps_geo.tiles.jobs import Task


def grid_tasks(rows: int, cols: int) -> list[Task]:
    return [(0, row, col) for row in range(rows) for col in range(cols)]


@given(st.integers(0, 3000), st.integers(1, 100))
def test_each_task_is_in_one_share(tasks: int, count: int) -> None:
    all_tasks = grid_tasks(1, tasks)
    parts = [Share(number, count).of(all_tasks) for number in range(1, count + 1)]
    assert sorted(task for part in parts for task in part) == all_tasks
    if tasks >= count:
        assert max(map(len, parts)) - min(map(len, parts)) <= max(1, tasks // (count * 64))


@pytest.mark.parametrize("cols", [15, 16, 17, 128, 150, 256])
def test_scenes_with_empty_borders_make_even_shares(cols: int) -> None:
    """A scene turned against its grid has data in a diamond, one at a border in one half."""
    rows, count = 200, 16
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : cols * 1j]
    diamond = abs(y - 0.5) + abs(x - 0.5) < 0.5
    half = x < 0.5
    tasks = grid_tasks(rows, cols)
    for has_data in (diamond, half):
        work = [
            sum(has_data[row, col] for _, row, col in Share(number, count).of(tasks))
            for number in range(1, count + 1)
        ]
        assert max(work) < 1.3 * np.mean(work)


def test_a_share_of_many_tiles_is_made_of_neighbours() -> None:
    tasks = Share(3, 16).of(grid_tasks(320, 320))
    apart = sum(after != (0, before[1], before[2] + 1) for before, after in pairwise(tasks))
    assert len(tasks) / apart > 12


def test_processes_take_the_same_tasks_in_orders_of_their_own(tmp_path: Path) -> None:
    stage = stage_in(tmp_path)
    orders = [list(ShareStage(stage, Share(1, 1)).tasks()) for _ in range(9)]
    assert len(set(map(tuple, orders))) > 5
    assert all(sorted(order) == sorted(stage.tasks()) for order in orders)
    # In a process tasks are listed twice.
    once = ShareStage(stage, Share(1, 2))
    assert list(once.tasks()) == list(once.tasks())


def test_runs_of_neighbours_stay_together_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, many = stage_in(tmp_path), grid_tasks(100, 100)
    monkeypatch.setattr(TileStage, "tasks", lambda _: iter(many))
    tasks = list(ShareStage(stage, Share(1, 1)).tasks())
    assert tasks != many
    places = [100 * row + col for _, row, col in tasks]
    assert sum(after == before + 1 for before, after in pairwise(places)) > 9000


def test_two_processes_without_a_share_hardly_repeat_each_other(tmp_path: Path) -> None:
    stage, logs = stage_in(tmp_path, SlowQuarters()), (WorkLog(""), WorkLog(""))

    def work(log: WorkLog, seed: int) -> None:
        share = ShareStage(stage, Share(1, 1), seed)
        label_tiles(share, SILENT, SerialExecutor(), strict=True, log=log)

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(work, *given) for given in zip(logs, (1, 3), strict=True)]:
            each.result()
    done = [WorkerNote.from_json(json.loads(log.note())).done for log in logs]
    # Each alone would do all nine; a busy machine lets them meet now and then.
    assert 9 <= sum(done) <= 15
    assert min(done) > 1


def test_a_tile_that_is_stored_while_it_is_read_is_not_computed(tmp_path: Path) -> None:
    stage = stage_in(tmp_path)
    worker = ShareStage(stage, Share(1, 1)).load()
    task = (0, 1, 1)
    pixels = worker.read(task)
    stage.load()(task)
    result, outcome = worker.compute(task, pixels)
    assert (result, outcome.computed) == (None, False)


@pytest.mark.parametrize(
    ("text", "variables", "share"),
    [
        ("3/16", {}, (3, 16)),
        ("3/16", {"SLURM_ARRAY_TASK_ID": "9"}, (3, 16)),
        (None, {}, (1, 1)),
        (None, {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "4"}, (1, 4)),
        (
            None,
            {
                "SLURM_ARRAY_TASK_ID": "9",
                "SLURM_ARRAY_TASK_MIN": "5",
                "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_ARRAY_TASK_COUNT": "4",
            },
            (3, 4),
        ),
        (None, {"AWS_BATCH_JOB_ARRAY_INDEX": "7", "AWS_BATCH_JOB_ARRAY_SIZE": "8"}, (8, 8)),
        ("auto/12", {"JOB_COMPLETION_INDEX": "11"}, (12, 12)),
        ("auto/12", {"AWS_BATCH_JOB_ARRAY_INDEX": "7"}, None),
        ("auto/12", {"AWS_BATCH_JOB_ARRAY_INDEX": "7", "AWS_BATCH_JOB_ARRAY_SIZE": "8"}, (8, 12)),
    ],
)
def test_the_share_comes_from_the_option_or_the_job_array(
    text: str | None, variables: dict[str, str], share: tuple[int, int] | None
) -> None:
    if share is None:
        with pytest.raises(SettingsError, match="AWS_BATCH_JOB_ARRAY_SIZE is not set"):
            share_of(text, variables)
    else:
        assert share_of(text, variables) == Share(*share)


@pytest.mark.parametrize(
    ("text", "variables", "message"),
    [
        ("0/3", {}, "shard is 0/3, expected 1/3 to 3/3"),
        ("4/3", {}, "shard is 4/3, expected 1/3 to 3/3"),
        ("1/0", {}, "shard is 1/0, expected 1/1 at least"),
        ("1/100000000000", {}, "one of 100000000000, expected 100000 of them at most"),
        ("-1/3", {}, "shard is '-1/3', expected I/N"),
        ("three", {}, "expected I/N such as 3/16"),
        ("auto/3", {}, "neither SLURM_ARRAY_TASK_ID"),
        ("auto/3", {"JOB_COMPLETION_INDEX": "3"}, "4/3 by JOB_COMPLETION_INDEX"),
        (None, {"JOB_COMPLETION_INDEX": "3"}, "give --shard auto/N"),
        (None, {"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "3"}, "'x', expected a num"),
        (None, {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "3"}, "array has gaps"),
    ],
)
def test_a_share_that_there_is_not_is_told(
    text: str | None, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as error:
        share_of(text, variables)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_tile_that_another_process_did_meanwhile_is_left_alone(
    tmp_path: Path, at_once: int
) -> None:
    generator = QuarterTiles(images_at_once=at_once)
    other, mine = stage_in(tmp_path / "other", generator), stage_in(tmp_path / "mine", generator)
    label_tiles(other, SILENT, SerialExecutor(), strict=True)
    mine.jobs[0].store.folder.mkdir()

    def meanwhile(event: Event) -> None:
        """Do all tiles but the last as soon as this process has listed what is left."""
        if event.stage == "load quarters":
            for path in sorted((tmp_path / "other").iterdir())[:-2]:
                (tmp_path / "mine" / path.name).write_bytes(path.read_bytes())

    share, log = ShareStage(mine, Share(1, 1)), WorkLog("")
    label_tiles(share, Tally(0, meanwhile), SerialExecutor(), strict=True, log=log)
    assert WorkerNote.from_json(json.loads(log.note())).done == 1
    assert all(mine.is_stored(task) for task in mine.tasks())
    # As in processes, each of which does all work of a task at once.
    worker = share.load()
    assert not any(worker(task).computed for task in mine.tasks())


SILENT = Tally(0, lambda _: None)
