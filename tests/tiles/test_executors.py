"""Executors are chosen by the number of workers, or handed in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest
from helpers import DATA
from quarter_tiles import QuarterTiles

from alps_geo.errors import SceneError
from alps_geo.events import Tally
from alps_geo.grid import TileGrid
from alps_geo.masks.generator import Models
from alps_geo.runs.tile_store import TileStore
from alps_geo.scene import open_scene
from alps_geo.settings import LabelSettings
from alps_geo.tiles.contract import Outcome, Stage
from alps_geo.tiles.executors import choose_executor
from alps_geo.tiles.jobs import Job
from alps_geo.tiles.processes import ProcessExecutor
from alps_geo.tiles.serial import SerialExecutor
from alps_geo.tiles.stage import TileStage
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from alps_geo.tiles.executors import Executor
    from alps_geo.tiles.jobs import Task

Item = TypeVar("Item")
Result = TypeVar("Result")

SETTINGS = LabelSettings(tile_size=160, overlap=0, fill="none")


def stage_in(folder: Path) -> TileStage:
    scene = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    grid = TileGrid(scene.height, scene.width, 160, 0)
    return TileStage(
        [Job("neon", scene, grid, TileStore(folder, "key"))], SETTINGS, Models(QuarterTiles())
    )


@dataclass
class Backwards:
    """Works on the last tile first; fails on some, and notes whether it was closed."""

    fails: tuple[Task, ...] = ()
    closed: bool = False
    worked_on: Counter[Task] = field(default_factory=Counter)

    def run(
        self,
        stage: Stage[object],
        tasks: Sequence[Task],
        tally: Tally,
        working: Callable[[Mapping[str, Task]], None],
    ) -> Generator[tuple[Task, Outcome], None, None]:
        worker = stage.load()
        try:
            for task in reversed(tasks):
                self.worked_on[task] += 1
                if task in self.fails:
                    yield task, Outcome(computed=False, reason=f"failed at {task[1:]}")
                else:
                    yield task, worker(task)
        finally:
            self.closed = True

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        yield from map(prepare(), items)


def silent() -> Tally:
    return Tally(0, lambda _: None)


def test_one_worker_is_this_process_and_more_are_processes() -> None:
    assert choose_executor(LabelSettings(workers=1)) == SerialExecutor()
    assert choose_executor(LabelSettings(workers=3)) == ProcessExecutor(3)


def test_an_executor_that_is_handed_in_works_on_all_tiles_that_are_left(tmp_path: Path) -> None:
    stage, executor = stage_in(tmp_path), Backwards()
    (job,) = stage.jobs
    assert label_tiles(stage, silent(), executor, strict=False) == []
    assert all(job.store.holds(tile) for tile in job.grid)
    assert set(executor.worked_on.values()) == {1}
    again = Backwards()
    label_tiles(stage, silent(), again, strict=False)
    assert not again.worked_on


def test_tiles_that_fail_are_listed_in_the_order_of_the_grid(tmp_path: Path) -> None:
    stage, executor = stage_in(tmp_path), Backwards(fails=((0, 0, 1), (0, 1, 0)))
    failed = label_tiles(stage, silent(), executor, strict=False)
    assert [(tile.row, tile.col, tile.reason) for tile in failed] == [
        (0, 1, "failed at (0, 1)"),
        (1, 0, "failed at (1, 0)"),
    ]


def test_the_first_failure_ends_a_strict_run_and_its_executor(tmp_path: Path) -> None:
    stage = stage_in(tmp_path)
    (job,) = stage.jobs
    last = (0, job.grid.shape[0] - 1, job.grid.shape[1] - 1)
    executor = Backwards(fails=(last,))
    with pytest.raises(SceneError, match=r"failed at .*as --strict says"):
        label_tiles(stage, silent(), executor, strict=True)
    assert executor.closed
    assert list(executor.worked_on) == [last]


@pytest.mark.parametrize("executor", [SerialExecutor(), ProcessExecutor(2)], ids=["one", "two"])
def test_every_executor_stores_the_same_tiles(executor: Executor, tmp_path: Path) -> None:
    stage, expected = stage_in(tmp_path / "found"), stage_in(tmp_path / "expected")
    label_tiles(stage, silent(), executor, strict=True)
    label_tiles(expected, silent(), Backwards(), strict=True)
    for tile in stage.jobs[0].grid:
        found, other = (each.jobs[0].store.load_outlines(tile) for each in (stage, expected))
        assert found is not None
        assert other is not None
        np.testing.assert_array_equal(found.labels, other.labels)
        np.testing.assert_array_equal(found.rank, other.rank)
