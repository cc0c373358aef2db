"""Work that is shipped to other machines: checked there, loaded once, and done one by one."""

from __future__ import annotations

import pickle
import threading
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import rasterio

from alps_geo.errors import AlpsGeoError, RunError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alps_geo.files.storage import Storage

PACKAGES = ("alps-geo", "torch", "numpy")
"""Packages that decide the bytes of tiles; GDAL does too."""

# A file system of several machines may show a new file to the others some seconds later.
_SECONDS_TO_APPEAR = 10.0


# Models and the settings of GDAL belong to the process, and torch has threads of its own.
_one_at_a_time = threading.Lock()


class UnfitWorkerError(RunError):
    """A worker that cannot be given tasks: something differs there, or is not there.

    Attributes
    ----------
    address : str
        Address of the worker.
    """

    address = ""


class WorkError(Exception):
    """An exception of a worker that is no `AlpsGeoError`.

    Its arguments are its text in one line, with the name of the worker, and its traceback.
    """


@dataclass(frozen=True)
class Token:
    """A file of a run, by which a machine knows that it sees the same folder or store.

    Attributes
    ----------
    storage : Storage
        The storage of the file.
    name : str
        Its name there.
    text : str
        Its content.
    """

    storage: Storage
    name: str
    text: str

    def check(self) -> None:
        """Check that this machine sees the file.

        Raises
        ------
        UnfitWorkerError
            If it does not.
        """
        end = monotonic() + _SECONDS_TO_APPEAR
        while not self._is_seen():
            if monotonic() > end:
                raise UnfitWorkerError(
                    f"does not see the run folder of this run at {self.storage}: expected a "
                    "folder that all machines share under the same path; mount it there"
                )
            sleep(0.5)

    def _is_seen(self) -> bool:
        return self.storage.read(self.name) == self.text.encode()


@contextmanager
def shown_token(storage: Storage) -> Iterator[Token]:
    """Keep a file in a storage as long as the block lasts.

    Parameters
    ----------
    storage : Storage
        The storage, by its absolute path or address.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    text = uuid4().hex
    # The name is one of those that are swept up after a run that was killed.
    token = Token(storage, f".{text}.partial", text)
    storage.put(token.name, text.encode())
    try:
        yield token
    finally:
        storage.remove([token.name])


@dataclass(frozen=True)
class Shipment:
    """Work for other machines; pickles.

    Attributes
    ----------
    prepare : callable
        Called once on every worker; returns the function that works on a task there.
    check : callable
        Called before; raises an `AlpsGeoError` if something that tasks need is not there.
    token : Token or None
        Of the run folder; None where none is needed.
    """

    prepare: Callable[[], Callable[[Any], Any]]
    check: Callable[[], None]
    token: Token | None = None

    def load(self) -> Callable[[Any], Any]:
        """Check that all is there, and load the function that works on tasks.

        Raises
        ------
        UnfitWorkerError
            If something is not there.
        """
        if self.token is not None:
            self.token.check()
        try:
            self.check()
            return self.prepare()
        except UnfitWorkerError:
            raise
        except AlpsGeoError as error:
            raise UnfitWorkerError(f"cannot do this work: {error}") from error


def nothing_needed() -> None:
    """Check nothing, for work that needs nothing but what it is handed."""


class PreparedLater:
    """A function that is made when it is first called."""

    def __init__(self, prepare: Callable[[], Callable[[Any], Any]]) -> None:
        self._prepare = prepare

    @cached_property
    def _function(self) -> Callable[[Any], Any]:
        return self._prepare()

    def __call__(self, item: Any) -> Any:
        """Call it."""
        return self._function(item)


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return packages that decide the bytes of tiles, with their versions here.

    Builds of one version for other devices, such as 2.6.0+cu124, count as the same.
    """
    found = [(name, version(name).partition("+")[0]) for name in PACKAGES]
    return (*found, ("GDAL", rasterio.__gdal_version__))


def check_versions(expected: tuple[tuple[str, str], ...]) -> None:
    """Check that this machine has the versions of another.

    Parameters
    ----------
    expected : tuple of (str, str)
        Packages and their versions there.

    Raises
    ------
    UnfitWorkerError
        If one differs.
    """
    here = dict(versions())
    other = [
        f"{name} {here.get(name)} (here {wanted})"
        for name, wanted in expected
        if here.get(name) != wanted
    ]
    if other:
        raise UnfitWorkerError(
            f"has {', '.join(other)}: other versions may make other tiles; install the same there"
        )


class ShippedWork:
    """Work on a worker: pickled until it is first asked for, then loaded once.

    Parameters
    ----------
    content : bytes
        A pickled `Shipment`; the program on the worker may be too different to read it.

    Attributes
    ----------
    item : object
        The item that is worked on; None for none.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._versions = versions()
        self._function: Callable[[Any], Any] | None = None
        self.item: Any = None

    def begin(self, worker: str, address: str) -> None:
        """Take note of the worker; nothing is loaded yet, so that it can still answer."""
        self._worker = worker
        self._address = address

    def load(self) -> str:
        """Load the work, if that has not been done; return the name of the worker.

        Raises
        ------
        UnfitWorkerError
            If this worker cannot do it.
        """
        with _one_at_a_time:
            self._loaded()
        return self._worker

    def do(self, item: Any) -> tuple[str, Any]:
        """Work on an item, one at a time in each process.

        Returns
        -------
        tuple of (str, object)
            Name of the worker, and the result.

        Raises
        ------
        AlpsGeoError
            As the work raises it, with the name of the worker.
        WorkError
            For any other exception: its class may be unknown elsewhere.
        """
        with _one_at_a_time:
            function = self._loaded()
            self.item = item
            try:
                return self._worker, function(item)
            except AlpsGeoError as error:
                raise type(error)(f"{error} (on worker {self._worker})") from None
            except Exception as error:  # noqa: BLE001 (it is raised where the work comes from)
                reason = f"{type(error).__name__}: {one_line(error)} (on worker {self._worker})"
                raise WorkError(reason, traceback.format_exc()) from None
            finally:
                self.item = None

    def _loaded(self) -> Callable[[Any], Any]:
        if self._function is None:
            try:
                check_versions(self._versions)
                shipment: Shipment = pickle.loads(self._content)
                self._function = shipment.load()
            except UnfitWorkerError as error:
                raise self._unfit(str(error)) from None
            except Exception as error:  # noqa: BLE001 (a part of the program may be absent)
                raise self._unfit(
                    f"cannot load this work ({type(error).__name__}: {one_line(error)}): expected "
                    "the same program and memory for its models there"
                ) from None
        return self._function

    def _unfit(self, reason: str) -> UnfitWorkerError:
        error = UnfitWorkerError(f"worker {self._worker} {reason}")
        error.address = self._address
        return error
