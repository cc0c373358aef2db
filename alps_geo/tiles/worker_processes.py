"""Processes that work, which may die, and the messages to them.

They are spawned, not forked: torch and GDAL do not survive a fork. They end with the process that
started them, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from alps_geo.errors import AlpsGeoError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

Task = TypeVar("Task")


@dataclass(eq=False)
class WorkerProcess(Generic[Task]):
    """A process, our end of its pipe, and its task."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    attempt: int = 0
    ready: bool = False
    has_rested: bool = False


def kill_all(workers: Sequence[WorkerProcess[Any]]) -> None:
    """Kill processes, and wait until they are gone."""
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()


@dataclass(frozen=True)
class Prepare:
    """Message to a process: prepare to run tasks of this function."""

    function: Callable[[], Callable[[Any], Any]]


def start_process() -> WorkerProcess[Any]:
    """Start a process that waits for messages."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    with _interrupts_ignored():
        process.start()
    # Held by the process alone, its end of the pipe closes when the process dies.
    theirs.close()
    return WorkerProcess(process, ours)


def assign(worker: WorkerProcess[Task], task: Task, attempt: int) -> None:
    """Assign a task to a process that is ready."""
    worker.task, worker.attempt = task, attempt
    # If the process has died in between, the next poll finds its pipe closed.
    with suppress(OSError):
        worker.pipe.send(task)


def cause_of_death(worker: WorkerProcess[Any]) -> str:
    """Return how a process has ended, such as "SIGKILL".

    Raises
    ------
    RunError
        If it has ended before it could begin.
    """
    worker.process.join()
    code = worker.process.exitcode or 0
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if not (worker.ready or worker.has_rested):
        raise RunError(
            f"a worker process ended before it could begin ({cause}), perhaps for lack of memory; "
            "use fewer --workers (and a script of your own must guard its main part with "
            'if __name__ == "__main__")'
        )
    return cause


def _serve(pipe: Connection) -> None:
    """Prepare and run tasks until the pipe is closed: the main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work: Callable[[Any], Any] | None = None
        while True:
            try:
                message = pipe.recv()
            except EOFError:
                return
            if work is None or isinstance(message, Prepare):
                work = None  # what the last one holds goes first
                work = message.function()
                pipe.send(())
            else:
                pipe.send((work(message),))
    except AlpsGeoError as error:
        pipe.send(error)
    except Exception:  # noqa: BLE001 (the other process raises it)
        pipe.send(RuntimeError(traceback.format_exc()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start a process so that it ignores Ctrl-C from the first moment: the pool ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def signals_left_to_us() -> Iterator[None]:
    """Start threads and processes that Ctrl-C and SIGTERM do not reach.

    A terminal or a scheduler of jobs sends them to all processes of a command, of which this one
    ends the others. One that comes meanwhile is taken at the end of the block.
    """
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    stops = (signal.SIGINT, signal.SIGTERM)
    came: list[int] = []
    handlers = {each: signal.signal(each, lambda number, _: came.append(number)) for each in stops}
    # Started later, it would unblock them.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        yield
    finally:
        # What is started inherits the mask, as do processes that take their place later.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)
