"""Functions that executors map over items: in this process, and in several that may die."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest
from child_processes import workers_of

from alps_geo.errors import ModelError, RunError
from alps_geo.tiles.processes import ProcessExecutor
from alps_geo.tiles.serial import SerialExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alps_geo.tiles.executors import Executor

by_signal = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
every = pytest.mark.parametrize(
    "executor", [SerialExecutor(), ProcessExecutor(1), ProcessExecutor(3)], ids=["0", "1", "3"]
)


def late_first() -> Callable[[int], tuple[int, int]]:
    """Take longest for the first item, so that others are done before it."""

    def work(number: int) -> tuple[int, int]:
        if number == 0:
            time.sleep(0.4)
        return number, os.getpid()

    return work


def meeting(folder: Path) -> Callable[[int], int]:
    """Give the number of the process, once there are two of them."""
    folder.mkdir(exist_ok=True)

    def work(_: int) -> int:
        (folder / str(os.getpid())).touch()
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.01)
        return os.getpid()

    return work


def deadly(number: int, marker: Path) -> Callable[[int], int]:
    """Kill the process at a number; once, if there is nothing at the marker yet."""

    def work(item: int) -> int:
        if item == number and not marker.exists():
            if marker.name == "once":
                marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * item

    return work


def failing(error: type[Exception], *, at_once: bool) -> Callable[[int], int]:
    if at_once:
        raise error("as it happens")

    def work(number: int) -> int:
        if number == 3:
            raise error("as it happens")
        return number

    return work


def sleeper() -> Callable[[int], int]:
    def work(number: int) -> int:
        if number:
            time.sleep(600)
        return number

    return work


@every
def test_results_come_in_the_order_of_the_items(executor: Executor) -> None:
    results = list(executor.map(late_first, range(20)))
    assert [number for number, _ in results] == list(range(20))


@every
def test_no_item_gives_no_result(executor: Executor) -> None:
    assert list(executor.map(late_first, ())) == []


def test_processes_share_the_items(tmp_path: Path) -> None:
    pids = set(ProcessExecutor(2).map(partial(meeting, tmp_path), range(20)))
    assert len(pids) == 2
    assert os.getpid() not in pids


@every
def test_items_are_drawn_a_bounded_number_ahead(executor: Executor) -> None:
    drawn = []

    def endless() -> Iterator[int]:
        for number in count():
            drawn.append(number)
            yield number

    with closing(executor.map(late_first, endless())) as results:
        for number, _ in results:
            assert len(drawn) <= number + 1 + 9
            if number == 30:
                break


@by_signal
def test_the_work_of_a_killed_process_is_done_by_another(tmp_path: Path) -> None:
    found = list(ProcessExecutor(2).map(partial(deadly, 2, tmp_path / "once"), range(6)))
    assert found == [0, 2, 4, 6, 8, 10]
    assert (tmp_path / "once").exists()


@by_signal
def test_work_that_kills_two_processes_ends_it_all(tmp_path: Path) -> None:
    results = ProcessExecutor(2).map(partial(deadly, 2, tmp_path / "always"), range(6))
    with pytest.raises(RunError, match=r"died twice at the same work \(SIGKILL\).*--workers"):
        list(results)


@every
@pytest.mark.parametrize("at_once", [True, False])
def test_an_error_for_the_user_arrives_as_it_is(executor: Executor, *, at_once: bool) -> None:
    with pytest.raises(ModelError, match=r"^as it happens$"):
        list(executor.map(partial(failing, ModelError, at_once=at_once), range(6)))


def test_another_error_arrives_with_its_traceback() -> None:
    prepare = partial(failing, ZeroDivisionError, at_once=False)
    with pytest.raises(RuntimeError, match=r"(?s)test_map.*ZeroDivisionError: as it happens"):
        list(ProcessExecutor(2).map(prepare, range(6)))


@by_signal
def test_closing_ends_all_work_at_once() -> None:
    others = workers_of(os.getpid())
    with closing(ProcessExecutor(2).map(sleeper, range(3))) as results:
        assert next(results) == 0
        workers = [each for each in workers_of(os.getpid()) if each not in others]
        assert len(workers) == 2
    assert not any(worker.is_running() for worker in workers)


@by_signal
def test_processes_wait_for_the_next_map_and_end_with_the_executor(tmp_path: Path) -> None:
    executor = ProcessExecutor(2)
    first = set(executor.map(partial(meeting, tmp_path / "first"), range(20)))
    assert set(executor.map(partial(meeting, tmp_path / "second"), range(20))) == first
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    left = set(executor.map(partial(meeting, tmp_path / "third"), range(20)))
    assert len(left) == 2
    assert left & first == first - {killed}
    del executor
    assert not any(psutil.pid_exists(pid) for pid in first | left)
