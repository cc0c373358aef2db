"""Tasks in processes, some of which die."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

import pytest
from child_processes import workers_of

from alps_geo.errors import ModelError, RunError
from alps_geo.tiles.processes import WorkerDied, in_processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")


def doubler(deadly: tuple[int, ...] = (), marker: str | None = None) -> Callable[[int], int]:
    """Double numbers; the deadly ones kill the process, once if there is a marker."""

    def work(number: int) -> int:
        if number in deadly and (marker is None or not os.path.exists(marker)):  # noqa: PTH110
            if marker is not None:
                open(marker, "x").close()  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number

    return work


def failing(error: type[Exception]) -> Callable[[int], int]:
    def work(number: int) -> int:
        raise error("as it happens")

    return work


def sleeper() -> Callable[[int], int]:
    def work(number: int) -> int:
        if number:
            time.sleep(600)
        return number

    return work


def unable() -> Callable[[int], int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return abs


def test_every_task_is_done_once() -> None:
    assert sorted(in_processes(doubler, range(9), 3)) == [(i, 2 * i) for i in range(9)]


def test_a_task_that_kills_every_process_is_lost_and_no_other() -> None:
    results = dict(in_processes(partial(doubler, (2,)), range(5), 2))
    assert results == {0: 0, 1: 2, 2: WorkerDied("SIGKILL"), 3: 6, 4: 8}


def test_a_task_whose_process_is_killed_once_is_done_by_another(tmp_path: object) -> None:
    prepare = partial(doubler, (1,), f"{tmp_path}/killed")
    assert dict(in_processes(prepare, range(3), 1)) == {0: 0, 1: 2, 2: 4}


def test_an_error_for_the_user_arrives_as_it_is() -> None:
    with pytest.raises(ModelError, match=r"^as it happens$"):
        list(in_processes(partial(failing, ModelError), range(3), 2))


def test_another_error_arrives_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)test_processes.*ZeroDivisionError: as it happens"):
        list(in_processes(partial(failing, ZeroDivisionError), range(3), 2))


def test_processes_that_cannot_start_end_it_all() -> None:
    with pytest.raises(RunError, match=r"before it could begin \(SIGKILL\)"):
        list(in_processes(unable, range(3), 2))


def test_closing_ends_processes_at_once() -> None:
    others = workers_of(os.getpid())
    with closing(in_processes(sleeper, range(3), 2)) as results:
        assert next(results) == (0, 0)
        workers = [each for each in workers_of(os.getpid()) if each not in others]
        assert len(workers) == 2
    assert not any(worker.is_running() for worker in workers)
