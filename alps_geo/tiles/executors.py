"""The contract of executors, which work on tiles and map functions, and the choice of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from alps_geo.errors import RunError, SettingsError
from alps_geo.settings.scheduler import SchedulerAddress
from alps_geo.tiles.crew import address_in
from alps_geo.tiles.processes import ProcessExecutor
from alps_geo.tiles.serial import SerialExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from alps_geo.events import Tally
    from alps_geo.tiles.contract import Outcome, Settings, Stage
    from alps_geo.tiles.jobs import Task

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """A way to work on tiles, and on other items: in this process, in several, or elsewhere.

    Wherever tiles are worked on, ``stage.load()`` gives a `Worker`, and calling it with a task
    does all the work and stores the result. Stages, tasks and outcomes pickle.
    """

    def run(
        self,
        stage: Stage[object],
        tasks: Sequence[Task],
        tally: Tally,
        working: Callable[[Mapping[str, Task | None]], None],
    ) -> Generator[tuple[Task, Outcome], None, None]:
        """Work on tiles.

        Parameters
        ----------
        stage : Stage
            The work.
        tasks : sequence of Task
            At least one tile.
        tally : Tally
            Told when models are loaded in this process.
        working : callable
            Called from time to time with the tile that each process or worker is at, by its name,
            "" for this process; None where a worker waits for one.

        Yields
        ------
        tuple of (Task, Outcome)
            Each task once, in the order in which they end. Closing the generator ends all work.

        Raises
        ------
        AlpsGeoError
            If no tile can be worked on, such as for lack of a model.
        """
        ...

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Apply a function to items.

        Parameters
        ----------
        prepare : callable
            Called once wherever items are worked on; returns the function. It pickles, and so do
            items and results.
        items : iterable
            Drawn only a bounded number ahead of the results.

        Yields
        ------
        Result
            That of each item, in the order of the items. Closing the generator ends all work.

        Raises
        ------
        AlpsGeoError
            As the function raised it.
        RunError
            If the process at work on an item died, and the one after it too.
        """
        ...


def choose_executor(settings: Settings) -> Executor:
    """Choose the executor of a run: this process for one worker, else processes or Dask.

    It is chosen before scenes are opened, so that a wrong address is told at once.

    Raises
    ------
    SettingsError
        If the scheduler file is none.
    RunError
        If distributed is needed and not installed.
    """
    workers = settings.workers
    if settings.dask is not None:
        return _dask_executor(settings.dask, settings.wait)
    return SerialExecutor() if workers == 1 else ProcessExecutor(workers)


def _dask_executor(address: str, wait: float) -> Executor:
    scheduler = SchedulerAddress.read(address)
    try:
        if scheduler.file is not None:
            address_in(Path(scheduler.file))
    except ValueError as error:
        raise SettingsError(
            f"dask is {address!r}, and {error}: give the path that `dask scheduler "
            "--scheduler-file` was started with, once it is there, or tcp://HOST:PORT"
        ) from error
    try:
        from alps_geo.tiles.dask_executor import DaskExecutor
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("dask", "distributed"):
            raise
        raise RunError(
            f"--dask {address} needs distributed, which is not installed: "
            "pip install 'alps-geo[dask]'"
        ) from error
    return DaskExecutor(scheduler, wait)


def reachable(path: str | Path, settings: Settings) -> Path:
    """Return a path of a run, absolute if workers work on it that were started elsewhere."""
    return Path(path) if settings.dask is None else Path(path).absolute()
