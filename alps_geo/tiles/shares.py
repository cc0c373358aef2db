"""Shares of the tasks of a run, for processes that know nothing of each other.

Any number of them may have the same share: a task whose result is there when its turn comes is
left alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Generic, TypeVar

from alps_geo.tiles.contract import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from alps_geo.events import Tally
    from alps_geo.files.storage import Storage
    from alps_geo.tiles.contract import Stage, Worker
    from alps_geo.tiles.jobs import Task

Failed = TypeVar("Failed")

RUNS_EACH = 64
"""Runs of neighbouring tasks in a share, at least, if there are enough tasks."""

LONGEST_RUN = 16
"""Tasks in a run, at most: more save hardly any reading."""


@dataclass(frozen=True)
class Share:
    """One of equal parts of the tasks of a run.

    Attributes
    ----------
    number, count : int
        The part, from 1 on, and the number of parts.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"shard {self.number}/{self.count}"

    def of(self, tasks: Sequence[Task]) -> list[Task]:
        """Choose the tasks of this share, the same in each process.

        >>> len(Share(2, 3).of([(0, row, col) for row in range(8) for col in range(6)]))
        16
        """
        return [task for run in self.runs(tasks) for task in run]

    def runs(self, tasks: Sequence[Task]) -> list[Sequence[Task]]:
        """Choose the tasks of this share, in runs of neighbours.

        Neighbours in a row of tiles read the same blocks of a file, so a share is made of runs of
        neighbours. Tiles without data take no time, and lie along the borders of scenes or in
        whole corners, so that long runs would make some shares short: one run of every `count` is
        drawn at random for each share.
        """
        length = max(1, min(LONGEST_RUN, len(tasks) // (self.count * RUNS_EACH)))
        chosen: list[Sequence[Task]] = []
        for turn, first in enumerate(range(0, len(tasks), length * self.count)):
            # Of all draws of Python's, only random() is the same in all of its versions.
            draw = Random(turn)
            keys = [draw.random() for _ in range(self.count)]
            seats = sorted(range(self.count), key=keys.__getitem__)
            start = first + seats[self.number - 1] * length
            chosen.append(tasks[start : start + length])
        return chosen


@dataclass(frozen=True)
class ShareStage(Generic[Failed]):
    """A share of the tasks of a stage.

    Attributes
    ----------
    stage : Stage
        All tasks.
    share : Share
        The share.
    seed : int
        Decides the order of the tasks; by default another one in each process. Several at work on
        the same tasks in one order would do all of them side by side, each at the same time as the
        others; in orders of their own they rarely meet.
    """

    stage: Stage[Failed]
    share: Share
    seed: int = field(default_factory=partial(secrets.randbits, 64))

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks of the share, run by run."""
        runs = self.share.runs(list(self.stage.tasks()))
        Random(self.seed).shuffle(runs)
        for run in runs:
            yield from run

    def is_stored(self, task: Task) -> bool:
        """Return True if the result of a task is stored."""
        return self.stage.is_stored(task)

    def stored(self) -> Callable[[Task], bool]:
        """Return a test of many tasks that is as `is_stored` was when this was called."""
        return self.stage.stored()

    def scene_of(self, task: Task) -> str:
        """Return the name of the scene that a task is of."""
        return self.stage.scene_of(task)

    def title_of(self, task: Task) -> str:
        """Return the name of a task inside its scene."""
        return self.stage.title_of(task)

    def failure(self, task: Task, reason: str) -> Failed:
        """Describe the failure of a task."""
        return self.stage.failure(task, reason)

    def note_failure(self, task: Task, reason: str) -> None:
        """Note the failure of a task in the run folder."""
        self.stage.note_failure(task, reason)

    def forget_failures(self, tasks: Iterable[Task]) -> None:
        """Remove the note of a failure of a task."""
        self.stage.forget_failures(tasks)

    @property
    def shared(self) -> Storage:
        """Storage of results, which all machines at work have to see."""
        return self.stage.shared

    def shipped(self) -> ShareStage[Failed]:
        """Return the share of the stage as other machines need it; raises as the stage does."""
        return replace(self, stage=self.stage.shipped())

    def check(self) -> None:
        """Check inputs and weights on another machine; raises as the stage does."""
        self.stage.check()

    def load(self) -> ShareWorker:
        """Load the models; raises as the stage does."""
        return ShareWorker(self.stage, self.stage.load())

    def load_with_note(self, tally: Tally) -> ShareWorker:
        """Load the models, and tell the user so."""
        return ShareWorker(self.stage, self.stage.load_with_note(tally))


@dataclass(frozen=True, eq=False)
class ShareWorker:
    """A stage with its models loaded, whose tasks others may do in the meantime.

    Attributes
    ----------
    stage : Stage
        The stage.
    worker : Worker
        The worker of the stage.
    """

    stage: Stage[object]
    worker: Worker

    @property
    def images_at_once(self) -> int:
        """Tasks to give to `encode` at once."""
        return self.worker.images_at_once

    def __call__(self, task: Task) -> Outcome:
        """Do all the work of a task, unless its result is stored by now."""
        return Outcome(computed=False) if self.stage.is_stored(task) else self.worker(task)

    def read(self, task: Task) -> Any:
        """Read the pixels of a task; None if its result is stored by now."""
        return None if self.stage.is_stored(task) else self.worker.read(task)

    def encode(self, tiles: Sequence[tuple[Task, Any]]) -> Sequence[Any]:
        """Encode the images of tasks together; None for those that are stored."""
        left = [tile for tile in tiles if tile[1] is not None]
        encoded = iter(self.worker.encode(left) if left else ())
        return [None if pixels is None else next(encoded) for _, pixels in tiles]

    def compute(self, task: Task, pixels: Any, encoded: Any = None) -> tuple[Any, Outcome]:
        """Compute the result of a task; None if it is stored.

        It is looked for once more: pixels were read while another task was computed. In a store
        this is a request, which takes a hundredth of the time of a tile; a listing would be late.
        """
        if pixels is None or self.stage.is_stored(task):
            return None, Outcome(computed=False)
        return self.worker.compute(task, pixels, encoded)

    def save(self, task: Task, result: Any) -> None:
        """Store the result of a task, if it was computed."""
        if result is not None:
            self.worker.save(task, result)
