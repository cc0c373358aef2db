"""The tile stage: every tile or image of a run that is not stored yet is worked on, once."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from alps_geo.errors import SceneError
from alps_geo.events import TileNews
from alps_geo.tiles.contract import Outcome, Unlogged

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from alps_geo.events import Tally
    from alps_geo.tiles.contract import Log, Stage
    from alps_geo.tiles.executors import Executor
    from alps_geo.tiles.jobs import Task

Failed = TypeVar("Failed")

UNLOGGED = Unlogged()


def label_tiles(
    stage: Stage[Failed],
    tally: Tally,
    executor: Executor,
    *,
    strict: bool,
    log: Log = UNLOGGED,
    a_share: bool = False,
) -> list[Failed]:
    """Store the results of every task of a stage that are not stored yet.

    Parameters
    ----------
    stage : Stage
        Tiles or images, settings and models.
    tally : Tally
        Counts the tasks.
    executor : Executor
        Works on the tasks; `alps_geo.tiles.executors.choose_executor` has that of the settings.
    strict : bool
        True to stop at the first task that fails.
    log : Log
        Told which tasks are worked on, and which were computed; nobody by default.
    a_share : bool
        True if other processes work on other tasks: then it is no error that none can be done.

    Returns
    -------
    list of Failed
        Tasks whose pixels cannot be read, or that memory did not suffice for twice, in order.

    Raises
    ------
    AlpsGeoError
        If the model or the run folder cannot be used, if no task at all can be done, or, if
        `strict`, if one cannot.
    """
    done, failures = 0, {}
    with closing(_outcomes(stage, tally, executor, log)) as outcomes:
        for task, outcome in outcomes:
            _take(stage, tally, task, outcome, strict=strict)
            if outcome.reason is not None:
                failures[task] = outcome.reason
            if outcome.computed:
                log.made(stage.scene_of(task), task[1:], outcome.machine, outcome.worker)
            done += 1
    if failures and len(failures) == done and not a_share:
        more = f" (and so with all {done} tiles)" if done > 1 else ""
        raise SceneError(f"{failures[min(failures)]}{more}")
    return [stage.failure(task, failures[task]) for task in sorted(failures)]


def _take(
    stage: Stage[object], tally: Tally, task: Task, outcome: Outcome, *, strict: bool
) -> None:
    """Note the failure of a task, if it failed, and count it."""
    if outcome.reason is not None:
        stage.note_failure(task, outcome.reason)
        if strict:
            kept = "stopped there, as --strict says; tiles that are done are kept"
            raise SceneError(f"{outcome.reason} ({kept})")
    news = TileNews(stage.title_of(task), outcome.seconds, outcome.reason, outcome.worker)
    tally.count(stage.scene_of(task), news, computed=outcome.computed)


def _outcomes(
    stage: Stage[object], tally: Tally, executor: Executor, log: Log
) -> Generator[tuple[Task, Outcome], None, None]:
    """Yield stored tasks, then work on the others."""
    left: list[Task] = []
    is_stored = stage.stored()
    for task in stage.tasks():
        if is_stored(task):
            yield task, Outcome(computed=False)
        else:
            left.append(task)
    if not left:
        return
    tally.tell("tiles")

    def working(now: Mapping[str, Task | None]) -> None:
        titles = {
            name: "" if task is None else f"{stage.scene_of(task)}, {stage.title_of(task)}"
            for name, task in now.items()
        }
        log.working(titles)

    with closing(executor.run(stage, left, tally, working)) as outcomes:
        yield from outcomes
