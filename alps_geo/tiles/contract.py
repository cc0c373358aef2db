"""The contract of stages, whose tasks executors work on: a tile of a scene, or a whole image."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from alps_geo.errors import ModelError, SceneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from alps_geo.events import Tally
    from alps_geo.files.storage import Storage
    from alps_geo.masks.generator import Models, Weights
    from alps_geo.tiles.jobs import Task

Value = TypeVar("Value")
Failed = TypeVar("Failed", covariant=True)


@dataclass(frozen=True)
class Outcome:
    """Outcome of the work on a task.

    Attributes
    ----------
    computed : bool
        True if the model ran.
    reason : str or None
        Reason of the failure; None without one.
    seconds : float or None
        Time that the task took, less that of reading and storing where these go on next to the
        work on another one; None if nothing was done.
    machine : str
        Device and torch that the model ran on; empty if it did not.
    worker : str or None
        Name of the worker that did it; None for a process on this machine.
    """

    computed: bool
    reason: str | None = None
    seconds: float | None = None
    machine: str = ""
    worker: str | None = None


class TaskError(Exception):
    """A task that has failed; the message is the reason."""


class Log(Protocol):
    """A log of the tiles of a run; see `alps_geo.runs.workers.WorkLog`."""

    def working(self, now: Mapping[str, str]) -> None:
        """Note the tile that each process or worker is at, "" if it waits; "" is this process."""
        ...

    def made(self, scene: str, place: tuple[int, int], machine: str, worker: str | None) -> None:
        """Note a tile that was made, with its row and column, the device and the worker."""
        ...


class Unlogged:
    """A log that nobody reads."""

    def working(self, now: Mapping[str, str]) -> None:
        """Take no note."""

    def made(self, scene: str, place: tuple[int, int], machine: str, worker: str | None) -> None:
        """Take no note."""


class Settings(Protocol):
    """Settings of a stage, as far as executors know them."""

    @property
    def workers(self) -> int:
        """Number of processes."""
        ...

    @property
    def dask(self) -> str | None:
        """Address of a Dask scheduler; None for processes on this machine."""
        ...

    @property
    def wait(self) -> float:
        """Seconds to wait for a worker of Dask."""
        ...


class Stage(Protocol[Failed]):
    """Tasks, settings and unloaded models of a stage; can be pickled.

    `Failed` is the type of its failures.
    """

    def tasks(self) -> Iterator[Task]:
        """Yield all tasks in their order."""
        ...

    def stored(self) -> Callable[[Task], bool]:
        """Return a test of many tasks that is as `is_stored` was when this was called."""
        ...

    def is_stored(self, task: Task) -> bool:
        """Return True if the result of a task is stored, and undamaged."""
        ...

    def scene_of(self, task: Task) -> str:
        """Return the name of the scene that a task is of, for events."""
        ...

    def title_of(self, task: Task) -> str:
        """Return the name of a task inside its scene, for events."""
        ...

    def failure(self, task: Task, reason: str) -> Failed:
        """Describe the failure of a task."""
        ...

    def note_failure(self, task: Task, reason: str) -> None:
        """Note the failure of a task in the run folder.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        ...

    def forget_failures(self, tasks: Iterable[Task]) -> None:
        """Remove the notes of failures of tasks, as far as there are any."""
        ...

    @property
    def shared(self) -> Storage:
        """Storage of results, which all machines at work have to see."""
        ...

    def shipped(self) -> Stage[Failed]:
        """Return the stage as other machines need it: with absolute paths.

        Raises
        ------
        ModelError
            If weights are absent or cannot be read.
        """
        ...

    def check(self) -> None:
        """Check on another machine that inputs can be read there, and weights are the same.

        Raises
        ------
        AlpsGeoError
            If they cannot, or are not.
        """
        ...

    def load(self) -> Worker:
        """Load the models.

        Raises
        ------
        ModelError
            If a model cannot be used, or memory does not suffice for it.
        """
        ...

    def load_with_note(self, tally: Tally) -> Worker:
        """Load the models, and tell the user so; raises as `load`."""
        ...


class Worker(Protocol):
    """A stage with its models loaded; each process has its own."""

    @property
    def images_at_once(self) -> int:
        """Tasks to give to `encode` at once: one, or more where that is faster."""
        ...

    def __call__(self, task: Task) -> Outcome:
        """Do all the work of a task and store its result."""
        ...

    def read(self, task: Task) -> Any:
        """Read the pixels of a task.

        Raises
        ------
        TaskError
            If they cannot be read, or memory does not suffice twice.
        """
        ...

    def encode(self, tiles: Sequence[tuple[Task, Any]]) -> Sequence[Any]:
        """Encode the images of tasks together, each as `compute` would alone.

        None stands for an image that `compute` has to encode itself, or that holds no data.

        Raises
        ------
        MemoryError
            If memory does not suffice for one of them.
        """
        ...

    def compute(self, task: Task, pixels: Any, encoded: Any = None) -> tuple[Any, Outcome]:
        """Compute the result of a task from its pixels, and from its image if it is encoded.

        Raises
        ------
        TaskError
            If memory does not suffice twice.
        """
        ...

    def save(self, task: Task, result: Any) -> None:
        """Store the result of a task.

        Raises
        ------
        RunError
            If the run folder cannot be written.
        """
        ...


def load_with_note(load: Callable[[], Value], model: str, tally: Tally) -> Value:
    """Load models by a function, and tell the user so.

    Parameters
    ----------
    load : callable
        Loads the models.
    model : str
        Name of the model.
    tally : Tally
        Told before and after.
    """
    tally.tell(f"load {model}")
    loaded = load()
    tally.tell("tiles")
    return loaded


def check_weights(models: Models, expected: Weights | None) -> None:
    """Check that the weights of models are those of another machine.

    Raises
    ------
    ModelError
        If they are absent or differ.
    """
    if expected is not None and models.weights() != expected:
        raise ModelError(
            f"the weights of {expected.model} are of another content there: copy the same file"
        )


def retry_once(function: Callable[[], Value]) -> Value:
    """Call a function, and again after a MemoryError.

    Raises
    ------
    TaskError
        If it does not suffice again, or if the scene cannot be read.
    """
    # Only after the handler is the failed attempt's memory free again.
    with suppress(MemoryError):
        return _once(function)
    try:
        return _once(function)
    except MemoryError as error:
        raise TaskError(
            f"memory does not suffice ({error}): "
            "free some, or use fewer --workers or a smaller --tile-size"
        ) from error


def _once(function: Callable[[], Value]) -> Value:
    """Call a function; an unreadable scene is a failed task."""
    try:
        return function()
    except SceneError as error:
        raise TaskError(str(error)) from error
