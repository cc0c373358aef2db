"""Executors say which process or worker works on which tile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from dask_workers import UntilTold, scheduler, wait_for_workers, worker
from tile_stages import stage_in

from alps_geo.events import Tally
from alps_geo.settings.scheduler import SchedulerAddress
from alps_geo.tiles.contract import Unlogged
from alps_geo.tiles.dask_executor import DaskExecutor
from alps_geo.tiles.processes import ProcessExecutor
from alps_geo.tiles.serial import SerialExecutor
from alps_geo.tiles.work import label_tiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alps_geo.tiles.executors import Executor


class Kept(Unlogged):
    """A log that keeps all that it is told.

    Tiles of which it was told have a file in a folder, once it was told of some at the same time.
    """

    def __init__(self, folder: Path, together: int) -> None:
        self.told: list[dict[str, str]] = []
        self.folder, self.together = folder, together
        folder.mkdir()

    def working(self, now: Mapping[str, str]) -> None:
        """Keep it, but for workers that wait for a tile."""
        self.told.append({name: tile for name, tile in now.items() if tile})
        if max(map(len, self.told)) >= self.together:
            for tile in self.tiles:
                (self.folder / tile.removeprefix("neon, ")).touch()

    @property
    def tiles(self) -> set[str]:
        """All tiles that were worked on."""
        return {tile for each in self.told for tile in each.values()}

    @property
    def names(self) -> set[str]:
        """All that worked on them."""
        return {name for each in self.told for name in each}


TILES = {f"neon, tile at row {row}, column {column}" for row in range(3) for column in range(3)}


@pytest.mark.parametrize(("executor", "number"), [(SerialExecutor(), 1), (ProcessExecutor(2), 2)])
def test_this_machine_says_which_tiles_are_worked_on(
    executor: Executor, number: int, tmp_path: Path
) -> None:
    log = Kept(tmp_path / "told", number)
    stage = stage_in(tmp_path / "tiles", UntilTold(folder=str(log.folder)))
    label_tiles(stage, Tally(0, lambda _: None), executor, strict=True, log=log)
    assert log.tiles == TILES
    assert max(map(len, log.told)) == number
    assert len(log.names) == number
    if number == 1:
        assert log.names == {""}
    else:
        assert all(int(name.removeprefix("process ")) != os.getpid() for name in log.names)


@pytest.mark.usefixtures("patient_with_dask")
def test_workers_of_dask_say_which_tile_each_works_on(tmp_path: Path) -> None:
    log = Kept(tmp_path / "told", 2)
    stage = stage_in(tmp_path / "tiles", UntilTold(folder=str(log.folder)))
    with scheduler(tmp_path) as (file, _), worker(file, "one"), worker(file, "two"):
        wait_for_workers(file, 2)
        executor = DaskExecutor(SchedulerAddress.read(str(file)), 10)
        label_tiles(stage, Tally(0, lambda _: None), executor, strict=True, log=log)
    assert log.names == {"one", "two"}
    assert log.tiles == TILES
    both = [each for each in log.told if len(each) == 2]
    assert both
    assert all(each["one"] != each["two"] for each in both)
