"""The tile stage: every tile of a run that is not stored yet is worked on, once."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.runs.failures import FailedTile
from alps_geo.tiles.executors import choose_executor
from alps_geo.tiles.jobs import find_tile
from alps_geo.tiles.stage import Outcome

if TYPE_CHECKING:
    from collections.abc import Generator

    from alps_geo.events import Tally
    from alps_geo.tiles.executors import Executor
    from alps_geo.tiles.jobs import Task
    from alps_geo.tiles.stage import TileStage


def label_tiles(
    stage: TileStage, tally: Tally, executor: Executor | None = None, *, strict: bool
) -> list[FailedTile]:
    """Store the fragments of every tile that is not stored yet.

    Parameters
    ----------
    stage : TileStage
        Scenes, settings and models.
    tally : Tally
        Counts the tiles.
    executor : Executor, optional
        Works on the tiles; by default the one for the ``workers`` of the settings.
    strict : bool
        Whether to stop at the first tile that fails.

    Returns
    -------
    list of FailedTile
        Tiles that cannot be read, or that memory did not suffice for twice, by scene and position.

    Raises
    ------
    AlpsGeoError
        If the model or the run folder cannot be used, if no tile at all can be labelled, or, if
        `strict`, if one cannot.
    """
    jobs = stage.jobs
    failures: dict[Task, str] = {}
    executor = executor or choose_executor(stage.settings)
    with closing(_outcomes(stage, tally, executor)) as outcomes:
        for task, outcome in outcomes:
            job, tile = find_tile(jobs, task)
            if outcome.reason is not None:
                failures[task] = outcome.reason
                job.store.fail(FailedTile.of(job.name, tile, outcome.reason), tile)
                if strict:
                    kept = "stopped there, as --strict says; tiles that are done are kept"
                    raise SceneError(f"{outcome.reason} ({kept})")
            tally.count(job.name, computed=outcome.computed)
    failed = [
        FailedTile.of(job.name, tile, failures[task])
        for task in sorted(failures)
        for job, tile in [find_tile(jobs, task)]
    ]
    if failed and len(failed) == sum(len(job.grid) for job in jobs):
        more = f" (and so with all {len(failed)} tiles)" if len(failed) > 1 else ""
        raise SceneError(f"{failed[0].reason}{more}")
    return failed


def _outcomes(
    stage: TileStage, tally: Tally, executor: Executor
) -> Generator[tuple[Task, Outcome], None, None]:
    """Yield stored tiles, then work on the others."""
    left: list[Task] = []
    for index, job in enumerate(stage.jobs):
        for tile in job.grid:
            if job.store.holds(tile):
                yield (index, tile.row, tile.col), Outcome(computed=False)
            else:
                left.append((index, tile.row, tile.col))
    if not left:
        return
    tally.tell("tiles")
    with closing(executor.run(stage, left, tally)) as outcomes:
        yield from outcomes
