"""Dask: connections to a scheduler, workers of this machine, and the work on each worker.

The work is shipped once to every worker, by a plugin that loads the models there; tasks are the
keys of tiles.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import warnings
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, as_completed, get_worker
from distributed.comm.addressing import parse_address
from distributed.comm.core import CommClosedError
from distributed.comm.registry import get_backend
from distributed.protocol.pickle import dumps
from distributed.security import Security
from distributed.versions import VersionMismatchWarning

from alps_geo.errors import RunError, one_line
from alps_geo.tiles.crew import (
    KEPT,
    DiedError,
    MissedError,
    SchedulerLostError,
    WorkerInfo,
    address_in,
)
from alps_geo.tiles.shipped import Shipment, ShippedWork, versions
from alps_geo.tiles.worker_processes import signals_left_to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from distributed import Future

    from alps_geo.settings.scheduler import SchedulerAddress

    Ticket = Future[Any]

_SECONDS_TO_CONNECT = 5.0
_SECONDS_TO_ANSWER = 30.0
_SECONDS_TO_CLOSE = 5.0

# By the scheduler, of a task that has raised an exception.
_RETRIES = 1

_GPU = "GPU"

_NO_CONNECTION = (OSError, ValueError, ImportError, RuntimeError, TypeError, LookupError)
"""Exceptions of a client that finds nobody at an address, or somebody else."""


class _Plugin(WorkerPlugin):
    """Brings work to a worker; if `is_told`, the scheduler hears of the tile that is worked on."""

    def __init__(self, name: str, work: ShippedWork, *, is_told: bool) -> None:
        self.name = name
        self.work = work
        self.is_told = is_told

    def setup(self, worker: Any) -> None:
        """Tell the work the worker's name."""
        self.work.begin(str(worker.name), worker.address)
        if self.is_told:
            # Metrics go with each sign of life of a worker, so that this takes no message.
            worker.metrics[self.name] = lambda _: self.work.item

    def teardown(self, worker: Any) -> None:
        """Tell nobody any more."""
        worker.metrics.pop(self.name, None)


def _versions_there() -> tuple[tuple[str, str], ...]:
    return versions()


def _load(name: str) -> str:
    return _work_of(name).load()


def _do(name: str, item: Any) -> tuple[str, Any]:
    return _work_of(name).do(item)


def _work_of(name: str) -> ShippedWork:
    plugin: Any = get_worker().plugins[name]
    work: ShippedWork = plugin.work
    return work


def started_here(workers: int, *, until: object) -> str:
    """Start workers on this machine with a scheduler in this process; return its address.

    They end with an object, or with this process.

    Raises
    ------
    RunError
        If they cannot be started.
    """
    try:
        with signals_left_to_us():
            started = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                # Any free port: another program may have the usual one.
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
    except (RuntimeError, OSError) as error:
        raise RunError(
            f"Dask workers cannot be started here ({one_line(error)}): use fewer (and a script "
            'of your own must guard its main part with if __name__ == "__main__")'
        ) from error
    close = weakref.finalize(until, started.close)
    # At the end of the process those of weakref come after those of distributed, whose loops
    # have ended by then; the last that is registered comes first.
    close.atexit = False
    atexit.register(close)
    return str(started.scheduler_address)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the loggers of distributed quiet here, and those that it uses.

    Its news reaches the user as notes.
    """
    libraries = ("distributed", "tornado", "asyncio")
    names = [name for name in logging.root.manager.loggerDict if name.startswith(libraries)]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def connected(address: SchedulerAddress, local: str = "") -> Client:
    """Connect to a scheduler; raise RunError if none answers in time."""
    try:
        url = local or address.url or address_in(Path(str(address.file)))
        # A client waits without end for one who takes the connection and says nothing. In a thread,
        # for a notebook's own has a loop that runs.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _check_scheduler(url)).result()
        with warnings.catch_warnings():
            # Versions that decide results are compared elsewhere.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            return Client(url, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except _NO_CONNECTION as error:
        raise RunError(
            f"no Dask scheduler answers at {address} ({one_line(error)}): start one by "
            f"`dask scheduler`, or give the address that it prints; {KEPT}"
        ) from error


async def _check_scheduler(url: str) -> None:
    """Ask who answers at an address; raise an exception of `_NO_CONNECTION` if no scheduler."""
    security = Security().get_connection_args("client")
    scheme, place = parse_address(url)
    connector = get_backend(scheme).get_connector()
    try:
        async with asyncio.timeout(_SECONDS_TO_CONNECT):
            # Not by `connect`, which leaves connections open on which nobody answers.
            comm = await connector.connect(place, **security)
            try:
                ours = comm.handshake_info()
                await comm.write(ours)
                comm.handshake_options = comm.handshake_configuration(ours, await comm.read())
                await comm.write({"op": "identity", "reply": True})
                found = await comm.read()
            finally:
                comm.abort()
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {_SECONDS_TO_CONNECT:g} s") from error
    except CommClosedError as error:
        raise ConnectionError(one_line(error.__cause__ or error)) from error
    except MemoryError as error:
        # Another protocol's first bytes, read as the length of a message.
        raise ValueError("another program answers") from error
    if found["type"] != "Scheduler":
        raise ValueError(f"it is the address of a {found['type'].lower()}")


class DaskLink:
    """One connection to a scheduler; see `alps_geo.tiles.crew.Link`."""

    def __init__(self, client: Client, shipment: Shipment, *, is_told: bool) -> None:
        self._client = client
        self._name = f"alps-geo-{uuid4().hex[:12]}"
        self._plugin = _Plugin(self._name, ShippedWork(dumps(shipment)), is_told=is_told)
        self._scheduler = ""
        self._is_shipped = False
        self._numbers = count()
        self._given = as_completed(loop=client.loop)

    def begin(self) -> None:
        """Ship the work to the workers that are there and to all that will come.

        Raises
        ------
        RunError
            If one of them cannot run alps-geo.
        SchedulerLostError
            If nobody answers.
        """
        with _losses():
            found = self._client.run(_versions_there, on_error="return")
        for address, error in found.items():
            # Of a function that cannot be read there only the text comes back.
            if isinstance(error, Exception):
                raise RunError(
                    f"worker {address} cannot run alps-geo ({one_line(error)}): install the same "
                    f"version there, or stop that worker; {KEPT}"
                )
        with _losses():
            self._client.register_plugin(self._plugin)
        self._is_shipped = True

    def workers(self) -> Mapping[str, WorkerInfo]:
        """Return all workers by address; raise SchedulerLostError if nobody answers."""
        if self._client.status != "running":
            raise SchedulerLostError
        with _losses():
            scheduler: Any = self._client.scheduler
            found = self._client.sync(
                scheduler.identity, callback_timeout=_SECONDS_TO_ANSWER, n_workers=-1
            )
        if self._scheduler not in ("", found["id"]):
            raise SchedulerLostError
        self._scheduler = found["id"]
        return {
            address: WorkerInfo(
                str(worker["name"]),
                worker["status"] == "running",
                bool(worker["resources"].get(_GPU)),
                _item(worker["metrics"].get(self._name)),
            )
            for address, worker in found["workers"].items()
        }

    def load(self, address: str) -> Ticket:
        """Ask a worker to load the work; return the ticket."""
        return self._submit(_load, self._name, workers=[address], priority=1)

    def give(self, item: object, workers: Collection[str], *, on_gpu: bool) -> Ticket:
        """Ask some workers, any for none, to work on an item; return the ticket."""
        return self._submit(
            _do,
            self._name,
            item,
            workers=sorted(workers) or None,
            resources={_GPU: 1} if on_gpu else None,
            retries=_RETRIES,
        )

    def _submit(self, function: Callable[..., Any], *args: object, **options: Any) -> Ticket:
        key = f"{self._name}-{next(self._numbers)}"
        with _losses():
            future = self._client.submit(function, *args, key=key, pure=False, **options)
            self._given.add(future)
        return future

    def ended(self) -> list[tuple[Ticket, Any]]:
        """Return tickets of tasks that have ended, with their results or exceptions."""
        return [(each, _outcome(each)) for each in self._given.next_batch(block=False)]

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        """Withdraw tasks."""
        if tickets:
            with _losses():
                self._client.cancel(list(tickets), force=True)

    def close(self) -> None:
        """Withdraw the work, as far as the scheduler answers, and close the connection."""
        with suppress(*_LOSSES):
            if self._client.status == "running":
                left = [each for each in self._given.futures if not each.done()]
                self._client.cancel(left, force=True)
                if self._is_shipped:
                    self._client.unregister_worker_plugin(self._name)
        with suppress(*_LOSSES):
            self._client.close(timeout=_SECONDS_TO_CLOSE)


_LOSSES = (OSError, CancelledError, AttributeError, RuntimeError, AssertionError)
"""Exceptions of a client whose scheduler is gone, or is going in this moment."""


def _item(metric: Any) -> Any:
    """Return an item as it was before it went over the network, as a list."""
    return None if metric is None else tuple(metric)


@contextmanager
def _losses() -> Iterator[None]:
    """Turn exceptions of a client without a scheduler into SchedulerLostError."""
    try:
        yield
    except _LOSSES as error:
        raise SchedulerLostError from error


def _outcome(future: Ticket) -> Any:
    """Return the result of a task that has ended, or its exception."""
    try:
        if future.status == "finished":
            return future.result(timeout=_SECONDS_TO_ANSWER)
        error = future.exception(timeout=_SECONDS_TO_ANSWER) if future.status == "error" else None
    except (OSError, CancelledError):
        error = None
    if isinstance(error, KilledWorker):
        return DiedError(
            f"the worker at work on it died, {error.allowed_failures + 1} times in all, perhaps "
            "for lack of memory: give workers more, or use a smaller --tile-size"
        )
    return error or MissedError()
