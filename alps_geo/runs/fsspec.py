"""Storage of object stores: S3 and all else that fsspec has a file system for.

Requests that fail are sent again by the libraries below, after pauses that grow and for a number of
times that the user's own settings of them decide, such as ``AWS_MAX_ATTEMPTS``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from fsspec.core import split_protocol, url_to_fs

from alps_geo.errors import RunError, StoreError, one_line
from alps_geo.files.storage import each_at_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fsspec import AbstractFileSystem

_S3 = ("s3", "s3a")

_S3_ROUNDS = 2
"""Rounds of s3fs, in each of which botocore sends a request some times: 5 by default.

s3fs has as many of its own, and one more loop of them around reading, so that a store that swallows
requests would be waited for half an hour.
"""

_KEPT = "what is done is kept, and the same command goes on from there"


@dataclass(frozen=True)
class ObjectStorage:
    """Files below an address of an object store.

    Attributes
    ----------
    address : str
        The address, such as ``s3://bucket/run``.
    """

    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def is_remote(self) -> bool:
        """True: each file is a request over the network."""
        return True

    def within(self, folder: str) -> ObjectStorage:
        """Return the storage of a folder in this one."""
        return ObjectStorage(f"{self.address}/{folder}")

    def read(self, name: str) -> bytes | None:
        """Read an object; None if there is none."""
        # One request: s3fs would ask for the size first, to read large objects in parts.
        options = {"max_concurrency": 1} if self._is_s3 else {}
        with self._errors(name, "read"):
            system, root = _opened(self.address)
            try:
                content: bytes = system.cat_file(f"{root}/{name}", **options)
            except FileNotFoundError as error:
                if _has_no_bucket(error):
                    raise
                return None
            return content

    def put(self, name: str, data: bytes) -> None:
        """Put an object, in place of one of that name."""
        with self._errors(name, "written"):
            system, root = _opened(self.address)
            system.pipe_file(f"{root}/{name}", data)

    def put_new(self, name: str, data: bytes) -> bool:
        """Put an object, unless there is one of that name: then return False.

        Of several that try at once one succeeds, if the store knows conditions.
        """
        with self._errors(name, "written"):
            system, root = _opened(self.address)
            try:
                system.pipe_file(f"{root}/{name}", data, mode="create")
            except FileExistsError:
                return False
            except (FileNotFoundError, PermissionError):
                raise
            except (OSError, NotImplementedError):
                # The store knows no conditions, or two were put at once.
                if self.exists(name):
                    return False
                system.pipe_file(f"{root}/{name}", data)
            return True

    def put_file(self, name: str, path: Path) -> None:
        """Put a file of this machine, a large one in parts that appear together."""
        with self._errors(name, "written"):
            system, root = _opened(self.address)
            system.put_file(str(path), f"{root}/{name}")

    def exists(self, name: str) -> bool:
        """Return True if there is an object of that name."""
        with self._errors(name, "read"):
            system, root = _opened(self.address)
            try:
                system.info(f"{root}/{name}")
            except FileNotFoundError:
                return False
            return True

    def age(self, name: str) -> float | None:
        """Return the seconds since an object was put, by the clock of the store; None if absent."""
        with self._errors(name, "read"):
            system, root = _opened(self.address)
            try:
                put: datetime = system.modified(f"{root}/{name}")
            except FileNotFoundError:
                return None
            return max(0.0, (datetime.now(UTC) - put).total_seconds())

    def names(self, folder: str = "") -> list[str]:
        """List the objects in a folder and below, by their names in the folder."""
        with self._errors(folder, "listed"):
            system, root = _opened(self.address)
            path = f"{root}/{folder}".rstrip("/")
            top = f"{path}/"
            names = (str(each).removeprefix(top) for each in system.find(path) if each != path)
            # Consoles of stores put objects that stand for folders.
            return sorted(name for name in names if not name.endswith("/"))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, as far as they are there, several at a time."""
        each_at_once(self._remove, names)

    def _remove(self, name: str) -> None:
        with self._errors(name, "removed"):
            system, root = _opened(self.address)
            try:
                system.rm_file(f"{root}/{name}")
            except FileNotFoundError:
                return

    @property
    def _is_s3(self) -> bool:
        return split_protocol(self.address)[0] in _S3

    @contextmanager
    def _errors(self, name: str, done: str) -> Iterator[None]:
        """Turn all that a store or its library raises into one line for the user."""
        try:
            yield
        except Exception as error:
            if isinstance(error, RunError):
                raise
            where = f"{self.address}/{name}" if name else self.address
            reason = _reason(error, "written" if done == "removed" else done, self._is_s3)
            # Without the number of an error of the system, which libraries choose by likeness.
            told = (isinstance(error, OSError) and error.strerror) or one_line(error)
            raise StoreError(f"{where}: cannot be {done} ({told}); {reason}") from error


@cache
def _opened(address: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an address, and the path in it, once in each process."""
    scheme = split_protocol(address)[0]
    # Listings are of the moment; the local file system makes no folders unless told to.
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme in ("file", "local"):
        options["auto_mkdir"] = True
    try:
        system, root = url_to_fs(address, **options)
    except ImportError as error:
        raise RunError(
            f"{address}: {scheme}:// needs a package that is not installed ({one_line(error)}); "
            + (
                "pip install 'alps-geo[cloud]' installs it"
                if scheme in _S3
                else "install it next to alps-geo"
            )
        ) from error
    except ValueError as error:
        raise RunError(
            f"{address}: cannot be opened ({one_line(error)}); expected a folder, or an address "
            "that fsspec knows, such as s3://bucket/run"
        ) from error
    if scheme in _S3:
        system.retries = _S3_ROUNDS
    return system, str(root).rstrip("/")


def _reason(error: Exception, done: str, is_s3: bool) -> str:
    """Say what was expected of the user for an error, and what to do."""
    kinds = {type(each).__name__ for each in _causes(error)}
    if any("Credential" in kind or "Token" in kind for kind in kinds):
        how = (
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of the machine"
            if is_s3
            else "as the tools of the store take them"
        )
        return f"expected credentials for the store: {how}; {_KEPT}"
    if isinstance(error, PermissionError):
        rights = {
            "read": "read objects (s3:GetObject)",
            "listed": "list objects (s3:ListBucket)",
            "written": "put and remove objects (s3:PutObject, s3:DeleteObject)",
        }
        what = rights[done] if is_s3 else f"{rights[done].partition(' (')[0]}"
        return f"expected credentials that may {what} there; {_KEPT}"
    if isinstance(error, FileNotFoundError):
        return "expected a bucket that exists: make it, or correct the address"
    if isinstance(error, NotImplementedError):
        return "expected a store that objects can be put into, such as s3://bucket/run"
    endpoint = ", the network and AWS_ENDPOINT_URL" if is_s3 else " and the network"
    return f"check the address{endpoint}; {_KEPT}"


def _has_no_bucket(error: BaseException) -> bool:
    """Return True if an S3 store says that there is no such bucket, not only no such object."""
    answers = (getattr(each, "response", None) for each in _causes(error))
    return any(
        isinstance(answer, dict) and answer.get("Error", {}).get("Code") == "NoSuchBucket"
        for answer in answers
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was raised for."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__
