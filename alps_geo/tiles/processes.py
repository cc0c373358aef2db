"""Tiles, and maps over other items, in several processes, any of which may die."""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from alps_geo.errors import RunError
from alps_geo.tiles.contract import Outcome
from alps_geo.tiles.worker_processes import (
    Prepare,
    WorkerProcess,
    assign,
    cause_of_death,
    kill_all,
    start_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from alps_geo.events import Tally
    from alps_geo.tiles.contract import Stage
    from alps_geo.tiles.jobs import Task as TileTask

Task = TypeVar("Task")
Item = TypeVar("Item")
Result = TypeVar("Result")

_ATTEMPTS = 2

_AHEAD = 2
"""Items for each process that are in work or done before the first of them is taken."""

# Long enough for an idle process to end by itself, and far too short to look like hanging.
_SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class ProcessExecutor:
    """Works on tiles in processes, each with its own models.

    Attributes
    ----------
    workers : int
        Number of processes.

    Notes
    -----
    Processes that a map has ended with wait for the next one, and end with the executor: starting
    one takes a second. Those of tiles end with them, for their models are large.
    """

    workers: int
    _idle: list[WorkerProcess[Any]] = field(
        default_factory=list, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        weakref.finalize(self, kill_all, self._idle)

    def run(
        self,
        stage: Stage[object],
        tasks: Sequence[TileTask],
        tally: Tally,  # noqa: ARG002 (models are loaded in other processes)
        working: Callable[[Mapping[str, TileTask | None]], None],
    ) -> Generator[tuple[TileTask, Outcome], None, None]:
        """Work on tiles; see `alps_geo.tiles.executors.Executor`."""
        # Models are loaded before the first task: a lack of memory for them is blamed on no tile.
        with closing(in_processes(stage.load, tasks, self.workers, working)) as results:
            for task, result in results:
                yield task, _failed(result) if isinstance(result, WorkerDied) else result

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Apply a function to items; see `alps_geo.tiles.executors.Executor`."""
        return map_in_processes(prepare, items, self.workers, self._idle)


def _failed(died: WorkerDied) -> Outcome:
    reason = (
        f"the process at work on it died twice ({died.cause}), perhaps for lack of memory: "
        "use fewer --workers or a smaller --tile-size"
    )
    return Outcome(computed=False, reason=reason)


@dataclass(frozen=True)
class WorkerDied:
    """Result of a task whose process died, and the second process too.

    Attributes
    ----------
    cause : str
        How the last one ended, such as "SIGKILL".
    """

    cause: str


def in_processes(
    prepare: Callable[[], Callable[[Task], Result]],
    tasks: Sequence[Task],
    count: int,
    working: Callable[[Mapping[str, Task]], None] = lambda _: None,
) -> Generator[tuple[Task, Result | WorkerDied], None, None]:
    """Run tasks in processes.

    Parameters
    ----------
    prepare : callable
        Called once in every process; returns the function that runs tasks there. It must be
        picklable, and so must tasks and results.
    tasks : sequence
        The tasks.
    count : int
        Number of processes.
    working : callable
        Called with the tasks that processes have, by the names of these, after each change.

    Yields
    ------
    tuple of (Task, Result or WorkerDied)
        In the order in which tasks end. Close the iterator to end all processes at once.

    Raises
    ------
    AlpsGeoError
        As a process raised it.
    RunError
        If a process cannot start.
    RuntimeError
        For any other exception of a process, with its traceback as text.
    """
    pool = _Pool(prepare, tasks, count)
    try:
        while pool.is_busy:
            pool.start()
            pool.assign()
            working(pool.tasks)
            yield from pool.results()
        pool.close()
    finally:
        pool.kill()


def map_in_processes(
    prepare: Callable[[], Callable[[Item], Result]],
    items: Iterable[Item],
    count: int,
    idle: list[WorkerProcess[Any]],
) -> Generator[Result, None, None]:
    """Apply a function to items in processes.

    Parameters
    ----------
    prepare, count
        As for `in_processes`.
    items : iterable
        Drawn only a few for each process ahead of the results.
    idle : list
        Processes of an earlier map, which are taken first. Those of this one are put there when it
        has come to its end.

    Yields
    ------
    Result
        In the order of the items. Close the iterator to end all processes at once.

    Raises
    ------
    AlpsGeoError, RuntimeError
        As `in_processes`.
    RunError
        If a process cannot start, or if that of an item died twice.
    """
    pool = _Pool(partial(_numbered, prepare), (), count, idle)
    coming = enumerate(items)
    found: dict[int, Result] = {}
    given = taken = 0
    try:
        while True:
            drawn = list(islice(coming, _AHEAD * count - (given - taken)))
            given += len(drawn)
            pool.add(drawn)
            if given == taken:
                break
            # With a result at hand, processes are only given more to do before it is taken.
            for (number, _), result in pool.step(block=taken not in found):
                found[number] = _alive(result)
            if taken in found:
                yield found.pop(taken)
                taken += 1
        pool.rest()
    finally:
        pool.kill()


def _numbered(
    prepare: Callable[[], Callable[[Item], Result]],
) -> Callable[[tuple[int, Item]], Result]:
    """Prepare the function of items that come with their numbers."""
    work = prepare()
    return lambda task: work(task[1])


def _alive(result: Result | WorkerDied) -> Result:
    if isinstance(result, WorkerDied):
        raise RunError(
            f"a worker process died twice at the same work ({result.cause}), perhaps for lack of "
            "memory: use fewer --workers; the same command goes on with the tiles that are done"
        )
    return result


class _Pool(Generic[Task, Result]):
    """Processes, and the queue of tasks."""

    def __init__(
        self,
        prepare: Callable[[], Callable[[Task], Result]],
        tasks: Sequence[Task],
        count: int,
        idle: list[WorkerProcess[Any]] | None = None,
    ) -> None:
        self._prepare = prepare
        self._count = count
        self._idle = [] if idle is None else idle
        self._queue = deque((task, 1) for task in tasks)
        self._workers: list[WorkerProcess[Task]] = []

    @property
    def is_busy(self) -> bool:
        return bool(self._queue) or any(worker.task is not None for worker in self._workers)

    @property
    def tasks(self) -> dict[str, Task]:
        """Tasks that processes have, by the names of these."""
        found = ((f"process {each.process.pid}", each.task) for each in self._workers)
        return {name: task for name, task in found if task is not None}

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue more tasks."""
        self._queue.extend((task, 1) for task in tasks)

    def step(self, *, block: bool = True) -> Iterator[tuple[Task, Result | WorkerDied]]:
        """Assign tasks, and yield the results that are there; wait for one if `block`."""
        self.start()
        self.assign()
        yield from self.results(block=block)

    def results(self, *, block: bool = True) -> Iterator[tuple[Task, Result | WorkerDied]]:
        """Yield the results that are there; wait for one if `block`."""
        for worker in self.poll(None if block else 0):
            yield from self.receive(worker)

    def start(self) -> None:
        """Start as many processes as have tasks."""
        while len(self._workers) < min(self._count, len(self._queue) + self._assigned):
            worker = self._idle.pop() if self._idle else start_process()
            self._workers.append(worker)
            # If the process has died in between, the next poll finds its pipe closed.
            with suppress(OSError):
                worker.pipe.send(Prepare(self._prepare))

    def assign(self) -> None:
        """Assign a task to every idle process."""
        for worker in self._workers:
            if worker.ready and worker.task is None and self._queue:
                assign(worker, *self._queue.popleft())

    def poll(self, seconds: float | None) -> list[WorkerProcess[Task]]:
        """Wait until some processes have sent a message or died, and list them.

        Parameters
        ----------
        seconds : float, optional
            The longest time to wait; None for any.
        """
        pipes = wait([worker.pipe for worker in self._workers], seconds)
        return [worker for worker in self._workers if worker.pipe in pipes]

    def receive(self, worker: WorkerProcess[Task]) -> Iterator[tuple[Task, Result | WorkerDied]]:
        """Receive a message, and yield the result that it brings."""
        try:
            message: tuple[Result] | tuple[()] | Exception = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._reap(worker)
            return
        if isinstance(message, Exception):
            raise message
        task, worker.task = worker.task, None
        if task is None or not message:
            worker.ready = True
        else:
            yield task, message[0]

    def close(self) -> None:
        """Wait for idle processes to end by themselves."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_SECONDS_TO_END)

    def rest(self) -> None:
        """Let the processes, which have no task any more, wait for the next pool."""
        rested = [worker for worker in self._workers if worker.ready]
        self._idle += [WorkerProcess(each.process, each.pipe, has_rested=True) for each in rested]
        self._workers = [worker for worker in self._workers if not worker.ready]

    def kill(self) -> None:
        """End all processes now; files that they leave half-written are swept up later."""
        kill_all(self._workers)

    @property
    def _assigned(self) -> int:
        return sum(worker.task is not None for worker in self._workers)

    def _reap(self, worker: WorkerProcess[Task]) -> Iterator[tuple[Task, WorkerDied]]:
        """Remove a dead process; its task is queued once more, or given up."""
        self._workers.remove(worker)
        cause = cause_of_death(worker)
        if worker.task is None:
            return
        if worker.attempt < _ATTEMPTS:
            self._queue.appendleft((worker.task, worker.attempt + 1))
        else:
            yield worker.task, WorkerDied(cause)
