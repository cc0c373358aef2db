"""Tasks spread over processes that may die.

Processes are started afresh (spawn), not forked: torch and GDAL do not survive a fork. They end
with the process that started them, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from alps_geo.errors import AlpsGeoError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

Task = TypeVar("Task")
Result = TypeVar("Result")

_ATTEMPTS = 2

# Long enough for an idle process to end by itself, and far below what a user would call hanging.
_SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class Lost:
    """What comes of a task when the process that works on it dies, and the next one too.

    Attributes
    ----------
    cause : str
        How the last one ended, such as "SIGKILL".
    """

    cause: str


@dataclass(eq=False)
class _Worker(Generic[Task]):
    """A process, the end of the pipe that leads to it, and what it works on."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    attempt: int = 0
    ready: bool = False


def in_processes(
    prepare: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task], count: int
) -> Generator[tuple[Task, Result | Lost], None, None]:
    """Do tasks in processes.

    Parameters
    ----------
    prepare : callable
        Called once in every process; gives what does the tasks there. It must be picklable, and so
        must tasks and results.
    tasks : sequence
        What to do.
    count : int
        Number of processes.

    Yields
    ------
    tuple of (Task, Result or Lost)
        In the order in which tasks are done. Close the iterator to end all processes at once.

    Raises
    ------
    AlpsGeoError
        What a process raised.
    RunError
        If a process cannot start.
    RuntimeError
        What else a process raised, with its traceback as text.
    """
    crew = _Crew(prepare, tasks, count)
    try:
        while crew.is_busy:
            crew.staff()
            for worker in crew.speakers():
                yield from crew.hear(worker)
        crew.dismiss()
    finally:
        crew.kill()


class _Crew(Generic[Task, Result]):
    """The processes, and the tasks that none of them works on."""

    def __init__(
        self, prepare: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task], count: int
    ) -> None:
        self._prepare = prepare
        self._count = count
        self._queue = deque((task, 1) for task in tasks)
        self._workers: list[_Worker[Task]] = []

    @property
    def is_busy(self) -> bool:
        return bool(self._queue) or any(worker.task is not None for worker in self._workers)

    def staff(self) -> None:
        """See that there are as many processes as can be used, and that none is idle."""
        while len(self._workers) < min(self._count, len(self._queue) + self._at_work):
            self._workers.append(_hire(self._prepare))
        for worker in self._workers:
            if worker.ready and worker.task is None and self._queue:
                _assign(worker, *self._queue.popleft())

    def speakers(self) -> list[_Worker[Task]]:
        """Wait for the processes that have something to say, or never will again."""
        pipes = wait([worker.pipe for worker in self._workers])
        return [worker for worker in self._workers if worker.pipe in pipes]

    def hear(self, worker: _Worker[Task]) -> Iterator[tuple[Task, Result | Lost]]:
        """Take in what a process says."""
        try:
            answer: tuple[Result] | tuple[()] | Exception = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if isinstance(answer, Exception):
            raise answer
        task, worker.task = worker.task, None
        if task is None or not answer:
            worker.ready = True
        else:
            yield task, answer[0]

    def dismiss(self) -> None:
        """Let all processes end by themselves."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_SECONDS_TO_END)

    def kill(self) -> None:
        """End all processes now: what they leave half-written is swept up later."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()

    @property
    def _at_work(self) -> int:
        return sum(worker.task is not None for worker in self._workers)

    def _bury(self, worker: _Worker[Task]) -> Iterator[tuple[Task, Lost]]:
        """Give the task of a process that has died to another, or up."""
        self._workers.remove(worker)
        cause = _cause_of_death(worker)
        if worker.task is None:
            return
        if worker.attempt < _ATTEMPTS:
            self._queue.appendleft((worker.task, worker.attempt + 1))
        else:
            yield worker.task, Lost(cause)


def _hire(prepare: Callable[[], Callable[[Any], Any]]) -> _Worker[Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, prepare), daemon=True)
    with _interrupts_ignored():
        process.start()
    # Held by the process alone, the other end tells by closing that the process is no more.
    theirs.close()
    return _Worker(process, ours)


def _assign(worker: _Worker[Task], task: Task, attempt: int) -> None:
    worker.task, worker.attempt = task, attempt
    # Should the process have died in between, its silence is heard next.
    with suppress(OSError):
        worker.pipe.send(task)


def _cause_of_death(worker: _Worker[Any]) -> str:
    worker.process.join()
    code = worker.process.exitcode or 0
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if not worker.ready:
        raise RunError(
            f"a worker process ended before it could begin ({cause}), perhaps for lack of memory; "
            "use fewer --workers (and a script of your own must guard its main part with "
            'if __name__ == "__main__")'
        )
    return cause


def _serve(pipe: Connection, prepare: Callable[[], Callable[[Any], Any]]) -> None:
    """Do tasks until there are no more; the process's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work = prepare()
        pipe.send(())
        while True:
            try:
                task = pipe.recv()
            except EOFError:
                return
            pipe.send((work(task),))
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
    """Let a process that is started be deaf to Ctrl-C from its first moment: we end it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
