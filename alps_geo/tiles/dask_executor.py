"""Tiles, and maps over other items, on the workers of a Dask scheduler.

Any of them may die, come late or be cut off, and the scheduler may come back as another one. The
library is behind `alps_geo.tiles.dask`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

from alps_geo.errors import RunError
from alps_geo.tiles.contract import Outcome
from alps_geo.tiles.crew import KEPT, Crew, CrewRules, Failed, SchedulerLostError
from alps_geo.tiles.dask import DaskLink, connected, quiet, started_here
from alps_geo.tiles.feed import Feed, InOrder
from alps_geo.tiles.shipped import PreparedLater, Shipment, nothing_needed, shown_token

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from distributed import Client

    from alps_geo.events import Tally
    from alps_geo.settings.scheduler import SchedulerAddress
    from alps_geo.tiles.contract import Stage
    from alps_geo.tiles.jobs import Task

Item = TypeVar("Item")
Result = TypeVar("Result")

_SECONDS_BETWEEN_TRIES = 1.0

_MOST_AHEAD = 64
"""Results of `map` that may lie ready while an earlier one is waited for."""

_MOST_LOST = 20
"""Times that a scheduler may come back."""


@dataclass(frozen=True)
class DaskExecutor:
    """Works on tiles on the workers of a Dask scheduler, one at a time in each.

    Attributes
    ----------
    address : SchedulerAddress
        The scheduler.
    wait : float
        Seconds to wait for a worker where there is none, and for a lost scheduler.
    """

    address: SchedulerAddress
    wait: float = 60.0

    def run(
        self,
        stage: Stage[object],
        tasks: Sequence[Task],
        tally: Tally,
        working: Callable[[Mapping[str, Task | None]], None],
    ) -> Generator[tuple[Task, Outcome], None, None]:
        """Work on tiles; see `alps_geo.tiles.executors.Executor`."""

        def tell(note: str) -> None:
            tally.tell("tiles", note=note)

        shipped = stage.shipped()
        with shown_token(shipped.shared) as token:
            shipment = Shipment(shipped.load, shipped.check, token)
            rules = CrewRules(self.wait, tell, is_strict=True, on_gpu=True, working=working)
            with closing(self._results(shipment, rules, Feed(tasks), lambda: None)) as results:
                for index, result in results:
                    if isinstance(result, Failed):
                        yield tasks[index], Outcome(computed=False, reason=result.reason)
                    else:
                        worker, outcome = result
                        yield tasks[index], replace(outcome, worker=worker)

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Apply a function to items; see `alps_geo.tiles.executors.Executor`."""
        ordered = InOrder[Result]()
        # Errors of the function, and of making it, are those of items: no worker is to blame.
        shipment = Shipment(partial(PreparedLater, prepare), nothing_needed)
        rules = CrewRules(self.wait, lambda _: None)

        def limit() -> int:
            return ordered.following + _MOST_AHEAD

        with closing(self._results(shipment, rules, Feed(items), limit)) as results:
            for index, result in results:
                if isinstance(result, Failed):
                    raise (
                        RuntimeError(result.details) if result.details else RunError(result.reason)
                    )
                yield from ordered.add(index, result[1])

    def _results(
        self,
        shipment: Shipment,
        rules: CrewRules,
        feed: Feed[Any],
        limit: Callable[[], int | None],
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield indices of items with their results, whatever becomes of workers and scheduler."""
        with quiet():
            told = rules.working is not None
            link = DaskLink(connected(self.address, self._local_url), shipment, is_told=told)
            for following in count():
                crew = Crew(link, replace(rules, is_strict=rules.is_strict and not following))
                try:
                    link.begin()
                    yield from crew.results(feed, limit)
                    return
                except SchedulerLostError as error:
                    if following >= _MOST_LOST:
                        raise RunError(
                            f"the connection to the Dask scheduler {self.address} broke "
                            f"{_MOST_LOST} times: look into its log; {KEPT}"
                        ) from error
                    feed.put_back(crew.left())
                    rules.tell(
                        f"the Dask scheduler {self.address} is gone: waiting up to {self.wait:g} s "
                        "for it to come back"
                    )
                finally:
                    link.close()
                link = DaskLink(self._connected_again(), shipment, is_told=told)

    def _connected_again(self) -> Client:
        """Connect to a scheduler that comes back in time."""
        end = monotonic() + self.wait
        while True:
            try:
                return connected(self.address)
            except RunError:
                if monotonic() > end:
                    raise
            sleep(_SECONDS_BETWEEN_TRIES)

    @cached_property
    def _local_url(self) -> str:
        """Address of the scheduler of workers on this machine; empty for another scheduler."""
        workers = self.address.workers
        return started_here(workers, until=self) if workers else ""
