"""Addresses of runs in object stores, and the folder of this machine where their results are made.

>>> is_address("s3://bucket/run"), is_address("results")
(True, False)
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.files import run_errors, write_bytes
from alps_geo.runs.folder import RECORD, TILES, RunFolder

if TYPE_CHECKING:
    from alps_geo.files.storage import ObjectStore

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""A scheme; one letter alone would be a drive of Windows."""


@dataclass(frozen=True)
class RunAddress:
    """A run in an object store.

    Attributes
    ----------
    text : str
        Its address, such as ``s3://bucket/run``.
    work : pathlib.Path or None
        Folder of this machine where its results are made; by default one in the user's cache.
    """

    text: str
    work: Path | None = None

    def __str__(self) -> str:
        return self.text.rstrip("/")

    def __truediv__(self, name: str) -> RunAddress:
        return RunAddress(f"{self}/{name}")


@dataclass(frozen=True)
class FileAddress:
    """A file in an object store.

    Attributes
    ----------
    folder : str
        Address of its folder, such as ``s3://bucket/models``.
    name : str
        Its name there.
    """

    folder: str
    name: str

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"

    @classmethod
    def of(cls, text: str) -> FileAddress:
        """Divide an address.

        Raises
        ------
        RunError
            If it names no file.
        """
        folder, _, name = text.rpartition("/")
        if not name or folder.endswith("/"):
            raise RunError(
                f"{text} names no file, expected the address of one, such as s3://bucket/model.npz"
            )
        return cls(folder, name)


def fit_place(model: Path | FileAddress) -> Path | RunAddress:
    """Return the place of the tiles of a fit, next to the model that it writes."""
    if isinstance(model, FileAddress):
        return RunAddress(f"{model}.run")
    return model.with_name(f"{model.name}.run")


def is_address(text: str) -> bool:
    """Return True for an address such as ``s3://bucket/run``, False for a path."""
    return _ADDRESS.match(text) is not None


def local_path(text: str) -> Path:
    """Return a path of this machine.

    Raises
    ------
    RunError
        If the text is the address of something in a store.
    """
    if is_address(text):
        raise RunError(f"{text} {NOT_LOCAL}")
    return Path(text)


NOT_LOCAL = (
    "is an address in a store, expected a path of this machine; the tools of the store fetch a "
    "finished run, as aws s3 sync s3://bucket/run DIR does"
)
"""End of the error for users who give an address where only a path will do."""


def open_folder(out: Path | RunAddress) -> RunFolder:
    """Return the run folder of a path, or of an address with its folder of this machine.

    Raises
    ------
    RunError
        As `at_address`, or if the folder of this machine holds something else.
    """
    if not isinstance(out, RunAddress):
        return RunFolder(Path(out))
    folder = at_address(out)
    _claim_work(folder, str(out))
    return folder


def at_address(address: RunAddress) -> RunFolder:
    """Return the run folder of an address, without making its folder of this machine.

    Raises
    ------
    RunError
        If the store cannot be read, if there is none of that kind, or if a package is absent.
    """
    text = str(address)
    store = store_at(text)
    # Asked before anything that takes time.
    store.read(f"{TILES}/{RECORD}")
    return RunFolder(address.work or _default_work(text), store)


def store_at(text: str) -> ObjectStore:
    """Return the store of what lies below an address; nothing is asked of it yet.

    Raises
    ------
    RunError
        If a package is absent.
    """
    if find_spec("fsspec") is None:
        raise RunError(
            f"{text} is an address in a store, which needs packages that are not installed; "
            "pip install 'alps-geo[cloud]' installs them"
        )
    from alps_geo.runs.fsspec import ObjectStorage

    return ObjectStorage(text)


def _default_work(text: str) -> Path:
    import pooch

    name = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[-40:]
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Path(pooch.os_cache("alps-geo")) / "runs" / f"{name}-{digest}"


def _claim_work(folder: RunFolder, text: str) -> None:
    """Note the address in a folder of this machine, where everything may be replaced from now on.

    Raises
    ------
    RunError
        If it holds something else.
    """
    note = folder.address_path
    with run_errors(note):
        if note.exists():
            found = note.read_text(encoding="utf-8")
            if found == text:
                return
            raise RunError(
                f"{folder.path} is where results of {found} are made; choose another --work"
            )
        # A process that was killed here may have left a hidden folder.
        if folder.path.exists() and any(
            path.is_file() and not path.match("*.partial/*") for path in folder.path.rglob("*")
        ):
            raise RunError(
                f"{folder.path} is not empty, expected a new folder for the work on {text}; choose "
                "another --work"
            )
    write_bytes(note, text.encode())
