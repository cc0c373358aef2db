"""Files of cluster models that users name, on this machine or in an object store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.clusters.model import ClusterModel
from alps_geo.errors import RunError
from alps_geo.files import replacing, run_errors
from alps_geo.files.storage import LocalStorage
from alps_geo.outputs.names import MODEL
from alps_geo.runs.address import FileAddress, is_address, store_at
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.reading import holds_run
from alps_geo.runs.run import read_model
from alps_geo.runs.store import stored_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.files.storage import Storage


def given_model(text: str) -> ClusterModel:
    """Read the cluster model of a path or an address.

    Raises
    ------
    RunError
        If it cannot be read, or is no cluster model of this version.
    """
    if not is_address(text):
        return read_model(Path(text))
    address = FileAddress.of(text)
    content = store_at(address.folder).read(address.name)
    if content is None:
        raise RunError(
            f"{text}: there is no such file; expected a cluster model that alps-geo fit wrote, or "
            "the clusters.npz of a finished run"
        )
    return ClusterModel.from_bytes(content, text)


def check_model_place(out: Path | FileAddress, inputs: Sequence[str], *, overwrite: bool) -> None:
    """Raise RunError unless a fitted model can be written to a path or an address.

    It replaces another model, and any other file only with `overwrite`; never one of the `inputs`,
    nor the model of a run, which goes with its results.
    """
    if isinstance(out, FileAddress):
        holds, folder = _run_in_store(out), out.folder
        files: Storage = store_at(folder)
    else:
        _check_path(out, inputs)
        holds, folder = _run_next_to(out), str(out.parent)
        files = LocalStorage(out.parent)
    if holds:
        raise RunError(
            f"{out} holds the clusters of the run in {folder}, which go with its results; "
            "choose another --out for the cluster model"
        )
    if not overwrite and _is_strange(files, out.name):
        raise RunError(
            f"{out} is there already, and is no cluster model of this version; "
            "choose another --out, or replace it with --overwrite"
        )


def write_model(out: Path | FileAddress, model: ClusterModel, note: Callable[[], None]) -> None:
    """Write a fitted model whole or not at all.

    Parameters
    ----------
    out : pathlib.Path or FileAddress
        Its place.
    model : ClusterModel
        The model.
    note : callable
        Writes the record of the fit. On a disk it is called before the model is in its place, so
        that a full disk leaves neither.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    if isinstance(out, FileAddress):
        store_at(out.folder).put(out.name, model.to_bytes())
        note()
        return
    with replacing(out) as part:
        with run_errors(out):
            part.write_bytes(model.to_bytes())
        note()


def _check_path(out: Path, inputs: Sequence[str]) -> None:
    if out.is_dir():
        raise RunError(
            f"{out} is a folder, expected a file for the cluster model, such as {out / 'model.npz'}"
        )
    if out.resolve() in {Path(given).resolve() for given in inputs}:
        raise RunError(f"{out} is a scene of this fit; choose another --out for the cluster model")


def _run_next_to(out: Path) -> bool:
    """Return True if a path is that of the model of a run."""
    folder = RunFolder(out.parent)
    return out.resolve() == folder.model_path.resolve() and holds_run(folder)


def _run_in_store(out: FileAddress) -> bool:
    """Return True if an address is that of the model of a run."""
    if out.name != MODEL:
        return False
    plan = stored_plan(store_at(out.folder))
    return plan is not None and not plan.is_fit


def _is_strange(files: Storage, name: str) -> bool:
    """Return True if a file is there that is no cluster model, or cannot be read."""
    content = files.read(name)
    if content is None:
        return files.exists(name)
    try:
        ClusterModel.from_bytes(content, name)
    except RunError:
        return True
    return False
