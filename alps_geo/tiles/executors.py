"""The contract of executors, which work on tiles, and the choice of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from alps_geo.tiles.processes import ProcessExecutor
from alps_geo.tiles.serial import SerialExecutor

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from alps_geo.events import Tally
    from alps_geo.tiles.contract import Outcome, Settings, Stage
    from alps_geo.tiles.jobs import Task


class Executor(Protocol):
    """A way to work on tiles: in this process, in several, or elsewhere.

    Wherever tiles are worked on, ``stage.load()`` gives a `Worker`, and calling it with a task
    does all the work and stores the result. Stages, tasks and outcomes pickle.
    """

    def run(
        self, stage: Stage[object], tasks: Sequence[Task], tally: Tally
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


def choose_executor(settings: Settings) -> Executor:
    """Choose the executor of a run: this process for one worker, else processes."""
    workers = settings.workers
    return SerialExecutor() if workers == 1 else ProcessExecutor(workers)
