"""Workers of a scheduler that come and go: who is given tasks, and when to wait or give up.

The library that reaches them is behind a `Link`.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from alps_geo.errors import AlpsGeoError, RunError, reason_of
from alps_geo.tiles.shipped import UnfitWorkerError, WorkError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping
    from pathlib import Path

    from alps_geo.tiles.feed import Feed

Ticket = TypeVar("Ticket")

KEPT = "tiles that are done are kept, and the same command goes on with the others"

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_RESULTS = 0.02

# One is worked on and others lie ready; with more, more are blamed for the death of a worker.
_TASKS_OF_WORKER = 3

_MOST_MISSED = 5
"""Times that a result may go missing on its way."""

_MOST_ENDED = 3
"""Workers that end while they load, before it is said to be no accident."""


class SchedulerLostError(Exception):
    """The connection to the scheduler has ended."""


class MissedError(Exception):
    """A task that was withdrawn, or whose result is gone: it can be given again."""


class DiedError(Exception):
    """A task whose workers died, several of them; the message says how many."""


@dataclass(frozen=True)
class Failed:
    """Result of an item that could not be worked on.

    Attributes
    ----------
    reason : str
        The reason.
    details : str
        Traceback of an unexpected exception, else empty.
    """

    reason: str
    details: str = ""


@dataclass(frozen=True)
class WorkerInfo:
    """A worker as its scheduler knows it.

    Attributes
    ----------
    name : str
        Its name.
    is_running : bool
        True if it takes tasks.
    has_gpu : bool
        True if it announces GPUs.
    item : object
        The item that it works on, of those that are told of; else None.
    """

    name: str
    is_running: bool
    has_gpu: bool
    item: Any = None


class Link(Protocol[Ticket]):
    """A connection to a scheduler. Its tickets stand for tasks, and can be hashed."""

    def workers(self) -> Mapping[str, WorkerInfo]:
        """Return all workers by address; raise SchedulerLostError if nobody answers."""
        ...

    def load(self, address: str) -> Ticket:
        """Ask a worker to load the work; return the ticket."""
        ...

    def give(self, item: object, workers: Collection[str], *, on_gpu: bool) -> Ticket:
        """Ask some workers, any for none, to work on an item; return the ticket."""
        ...

    def ended(self) -> list[tuple[Ticket, Any]]:
        """Return tickets of tasks that have ended, with their results or exceptions."""
        ...

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        """Withdraw tasks."""
        ...


@dataclass(frozen=True)
class CrewRules:
    """Rules for the workers of one connection.

    Attributes
    ----------
    wait : float
        Seconds to wait where no worker is fit.
    tell : callable
        Tells the user a note.
    is_strict : bool
        True if an unfit worker ends the run at its beginning, where nothing has been done yet.
    on_gpu : bool
        True to leave the work to workers with GPUs, where there are some.
    working : callable or None
        Called with the items that workers are at, by the names of these, None for one that waits
        for an item; None to tell nobody.
    """

    wait: float
    tell: Callable[[str], None]
    is_strict: bool = False
    on_gpu: bool = False
    working: Callable[[Mapping[str, Any]], None] | None = None


@dataclass(frozen=True)
class _Taken:
    """An item that a worker has, and the workers that may have it: any for none."""

    index: int
    item: Any
    workers: frozenset[str]


class Crew(Generic[Ticket]):
    """Workers of one connection to a scheduler, and the tasks that they have."""

    def __init__(self, link: Link[Ticket], rules: CrewRules) -> None:
        self._link, self._rules = link, rules
        self._workers: Mapping[str, WorkerInfo] = {}
        self._fit: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._loading: dict[Ticket, str] = {}
        self._taken: dict[Ticket, _Taken] = {}
        self._missed: Counter[int] = Counter()
        # Tasks that lay ready on workers that died are blamed like the one that killed them.
        self._suspects: deque[tuple[int, Any]] = deque()
        self._accused: set[int] = set()
        self._ended = 0
        self._on_gpu = self._has_begun = False
        self._next_look = 0.0
        self._idle_since: float | None = None

    def results(
        self, feed: Feed[Any], limit: Callable[[], int | None]
    ) -> Generator[tuple[int, Any], None, None]:
        """Have all items worked on.

        Parameters
        ----------
        feed : Feed
            The items.
        limit : callable
            Returns the limit of the index of items to be given now; None for none.

        Yields
        ------
        tuple of (int, object)
            Index of an item, and its result or `Failed`, in the order in which they end.

        Raises
        ------
        SchedulerLostError
            If the connection ends; `left` has the items that workers had.
        AlpsGeoError
            As a worker raised it, or if no worker is fit in time.
        """
        while feed or self._taken or self._suspects:
            if monotonic() >= self._next_look:
                self._look(feed)
                self._next_look = monotonic() + _SECONDS_BETWEEN_LOOKS
            self._has_begun |= bool(self._fit) and not self._loading
            if self._has_begun:
                self._give(feed, limit())
            found = self._link.ended()
            if not found:
                sleep(_SECONDS_BETWEEN_RESULTS)
            for ticket, result in found:
                if ticket in self._loading:
                    self._loaded(self._loading.pop(ticket), result)
                elif ticket in self._taken:
                    yield from self._received(self._taken.pop(ticket), result, feed)

    def left(self) -> list[tuple[int, Any]]:
        """Return the items without a result that were taken from the feed, with their indices."""
        taken = [(taken.index, taken.item) for taken in self._taken.values()]
        return [*taken, *self._suspects]

    def _look(self, feed: Feed[Any]) -> None:
        """Look who is there: workers that have come load, tasks of those gone are given again."""
        self._workers = self._link.workers()
        if self._rules.working is not None:
            self._rules.working(
                {
                    worker.name: worker.item
                    for address, worker in self._workers.items()
                    if worker.item is not None or address in self._fit
                }
            )
        if not self._has_begun:
            has_gpu = any(worker.has_gpu for worker in self._workers.values())
            self._on_gpu = self._rules.on_gpu and has_gpu
        self._fit &= self._workers.keys()
        gone = [each for each, address in self._loading.items() if address not in self._workers]
        for ticket in gone:
            del self._loading[ticket]
        self._ended += len(gone)
        known = {*self._fit, *self._unfit, *self._loading.values()}
        for address in self._usable() - known:
            self._loading[self._link.load(address)] = address
        stranded = [
            ticket
            for ticket, taken in self._taken.items()
            if taken.workers and taken.workers.isdisjoint(self._workers)
        ]
        feed.put_back((each.index, each.item) for each in map(self._taken.pop, stranded))
        self._link.withdraw([*gone, *stranded])
        self._check_fit()

    def _usable(self) -> set[str]:
        return {
            address
            for address, worker in self._workers.items()
            if worker.is_running and (worker.has_gpu or not self._on_gpu)
        }

    def _check_fit(self) -> None:
        """Tell the user if no worker is fit; raise RunError if none has been for too long."""
        if self._ended >= _MOST_ENDED and not self._fit:
            raise RunError(
                f"{self._ended} Dask workers ended while they loaded the models, perhaps for lack "
                f"of memory: give them more, or look into their logs; {KEPT}"
            )
        if self._loading or self._fit & self._usable():
            self._idle_since = None
            return
        wait = self._rules.wait
        if self._idle_since is None:
            self._idle_since = monotonic()
            self._rules.tell(f"no Dask worker is there: waiting up to {wait:g} s for one")
        if monotonic() - self._idle_since >= wait:
            unfit = "".join(f"; {reason}" for reason in list(self._unfit.values())[:1])
            raise RunError(
                f"no Dask worker came within {wait:g} s{unfit}: start some by `dask worker`, or "
                f"give a longer --wait; {KEPT}"
            )

    def _give(self, feed: Feed[Any], limit: int | None) -> None:
        fit = self._fit & self._usable()
        # Where all are fit, the scheduler is free to choose.
        workers = frozenset(fit) if self._unfit.keys() & self._workers.keys() else frozenset[str]()
        while len(self._taken) < _TASKS_OF_WORKER * len(fit):
            following = self._suspect() or feed.take(limit)
            if following is None:
                return
            ticket = self._link.give(following[1], workers, on_gpu=self._on_gpu)
            self._taken[ticket] = _Taken(*following, workers)

    def _suspect(self) -> tuple[int, Any] | None:
        """Return a suspect, unless a worker has one: so that one is not blamed for the other."""
        if any(taken.index in self._accused for taken in self._taken.values()):
            return None
        return self._suspects.popleft() if self._suspects else None

    def _loaded(self, address: str, result: object) -> None:
        """Note that a worker has loaded the work, or cannot."""
        if isinstance(result, UnfitWorkerError):
            self._exclude(address, result)
        elif isinstance(result, (DiedError, MissedError)):
            self._ended += 1
        elif isinstance(result, Exception):
            raise result
        else:
            self._fit.add(address)

    def _exclude(self, address: str, error: UnfitWorkerError) -> None:
        if self._rules.is_strict and not self._has_begun:
            raise RunError(f"{error}, or stop that worker; {KEPT}")
        if address not in self._unfit:
            self._rules.tell(f"{error}; it is given no tiles")
        self._unfit[address] = str(error)
        self._fit.discard(address)

    def _received(
        self, taken: _Taken, result: Any, feed: Feed[Any]
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield the result of an item, unless it is to be given again."""
        if isinstance(result, UnfitWorkerError):
            self._exclude(result.address, result)
            feed.put_back([(taken.index, taken.item)])
        elif isinstance(result, MissedError) and self._missed[taken.index] < _MOST_MISSED:
            self._missed[taken.index] += 1
            feed.put_back([(taken.index, taken.item)])
        elif isinstance(result, DiedError) and taken.index not in self._accused:
            self._accused.add(taken.index)
            self._suspects.append((taken.index, taken.item))
        elif isinstance(result, WorkError):
            yield taken.index, Failed(*result.args)
        elif isinstance(result, AlpsGeoError):
            raise result
        elif isinstance(result, Exception):
            yield taken.index, Failed(str(result))
        else:
            yield taken.index, result


def address_in(file: Path) -> str:
    """Read the address of a scheduler in its scheduler file.

    Raises
    ------
    ValueError
        If there is no such file, or it is none of a scheduler.
    """
    try:
        address = str(json.loads(file.read_text(encoding="utf-8"))["address"])
    except FileNotFoundError as error:
        raise ValueError("there is no such scheduler file") from error
    except OSError as error:
        raise ValueError(f"that scheduler file cannot be read ({reason_of(error)})") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError("that is no scheduler file") from error
    if "://" not in address:
        raise ValueError("that is no scheduler file")
    return address
