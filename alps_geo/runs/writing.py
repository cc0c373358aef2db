"""Results of a run, put into their places together, and removed."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from alps_geo.files import remove_result, replacing, run_errors
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.workers import forget_workers
from alps_geo.segments.painting import StoredPainting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from alps_geo.runs.plan import Plan


@contextmanager
def replaced(
    folder: RunFolder, plan: Plan, check: Callable[[set[str]], None] = lambda _: None
) -> Iterator[RunFolder]:
    """Write the results of a run, all of them or none.

    Parameters
    ----------
    folder : RunFolder
        The folder, held by this process.
    plan : Plan
        The run.
    check : callable
        Called with the results when all are written, before any takes its place; it raises if that
        must not happen.

    Yields
    ------
    RunFolder
        Hidden folder to write them and the record to. When the block ends, they take the places of
        those that are there, the record last; when it fails, they go.

    Raises
    ------
    RunError
        If the folder cannot be written.
    """
    with replacing(folder.record_path) as part:
        yield RunFolder(part.parent)
        check(set(plan.files))
        with run_errors(folder.path):
            remove_results(folder, plan.files)
    # From here on the record says which machines made the tiles.
    with run_errors(folder.path):
        forget_workers(folder)


def remove_results(folder: RunFolder, names: Iterable[str]) -> None:
    """Remove results and the files that GDAL and SQLite keep next to them.

    Paths that lead out of the folder are skipped; folders that become empty go too.

    Parameters
    ----------
    folder : RunFolder
        The folder.
    names : iterable of str
        The results, relative to it.
    """
    root = folder.path.resolve()
    paths = [root / name for name in names]
    for path in (path.resolve() for path in paths):
        if path.is_relative_to(root):
            remove_result(path)
    for parent in {path.parent for path in paths} - {root}:
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def sweep(folder: RunFolder, plan: Plan) -> None:
    """Remove half-written files that killed processes left, and painted cores, used up by now."""
    folders = [folder.path, folder.tiles_path, folder.workers_path]
    folders += [folder.scene_folder(scene.name) for scene in plan.scenes]
    folders += [folder.tiles_path / scene.tiles_folder for scene in plan.scenes]
    for path in folders:
        for left in sorted(path.glob(".*.partial")):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
    for scene in plan.scenes:
        StoredPainting(folder.segments_folder(scene.name)).remove()
