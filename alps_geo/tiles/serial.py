"""Tiles in this process: the next are read and the last is written while one is computed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from alps_geo.features.mapping import HERE
from alps_geo.tiles.contract import Outcome, TaskError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from typing import Any

    from alps_geo.events import Tally
    from alps_geo.tiles.contract import Stage, Worker
    from alps_geo.tiles.jobs import Task

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class SerialExecutor:
    """Works on one tile after the other; on a GPU, images of several are encoded together."""

    def run(
        self,
        stage: Stage[object],
        tasks: Sequence[Task],
        tally: Tally,
        working: Callable[[Mapping[str, Task | None]], None],
    ) -> Generator[tuple[Task, Outcome], None, None]:
        """Work on tiles; see `alps_geo.tiles.executors.Executor`."""
        worker = stage.load_with_note(tally)
        size = worker.images_at_once
        groups = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            coming = [reader.submit(worker.read, task) for task in groups[0]]
            written: Future[tuple[Task, Outcome]] | None = None
            for group, following in zip(groups, (*groups[1:], ()), strict=True):
                read, coming = coming, [reader.submit(worker.read, task) for task in following]
                start = perf_counter()
                encoded = _encode_together(worker, group, read) if size > 1 else [None]
                share = (perf_counter() - start) / len(group)
                for task, pixels, image in zip(group, read, encoded, strict=True):
                    working({"": task})
                    start = perf_counter()
                    try:
                        result, outcome = worker.compute(task, pixels.result(), image)
                    except TaskError as error:
                        yield task, Outcome(computed=False, reason=str(error))
                        continue
                    outcome = replace(outcome, seconds=share + perf_counter() - start)
                    if written is not None:
                        yield written.result()
                    written = writer.submit(_save, worker, task, result, outcome)
            if written is not None:
                yield written.result()

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Apply a function to items; see `alps_geo.tiles.executors.Executor`."""
        return HERE.map(prepare, items)


def _encode_together(
    worker: Worker, tasks: Sequence[Task], read: Sequence[Future[Any]]
) -> list[Any]:
    """Encode the tasks that could be read; None for the others, and for those without data.

    None for all if memory does not suffice: then each is tried by itself.
    """
    tiles = {
        index: (task, pixels.result())
        for index, (task, pixels) in enumerate(zip(tasks, read, strict=True))
        if pixels.exception() is None
    }
    found: dict[int, Any] = {}
    with suppress(MemoryError):
        found = dict(zip(tiles, worker.encode(list(tiles.values())), strict=True))
    return [found.get(index) for index in range(len(read))]


def _save(worker: Worker, task: Task, result: Any, outcome: Outcome) -> tuple[Task, Outcome]:
    worker.save(task, result)
    return task, outcome
