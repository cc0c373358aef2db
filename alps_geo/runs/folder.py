"""The run folder: one file per tile, written whole or not at all, and what is already done.

::

    DIR/run.json                              what was run on what; moved into place last
    DIR/clusters.npz                          the cluster model
    DIR/gallery.html, suggest.png             what was asked to be seen of the clusters
    DIR/<scene>/labels.tif, ...               the results
    DIR/.run.json.partial/                    all results and the record, until all are written
    DIR/.tiles/run.json                       what is being run, from the first moment on
    DIR/.tiles/lock                           held while a run is at work here
    DIR/.tiles/<scene>.<key>/0003_0007.npz    the fragments of tile row 3, column 7
    DIR/.tiles/<scene>.<key>/0003_0007.json   why that tile failed
    DIR/.tiles/<scene>.segments/              the segments: see `alps_geo.segments.table`
    DIR/.tiles/change.json                    how the clusters are being changed, until they are
    DIR/.tiles/change.npz                     the cluster model that this leads to
    DIR/.tiles/polygons.json                  the contents of the polygons, as they were written

The files of the tiles are those of `alps_geo.runs.tile_store`.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from alps_geo.errors import RunError
from alps_geo.files import remove_result, replacing, run_errors, write_bytes
from alps_geo.outputs.names import GALLERY, SUGGESTION
from alps_geo.runs.claim import check_claim
from alps_geo.runs.run_files import RunFiles
from alps_geo.runs.stored_json import DamagedError, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alps_geo.runs.plan import Change, Plan

# A command that only looks holds the lock for a moment; that must not turn a run away.
_LOCK_SECONDS = 1.0


@dataclass(frozen=True)
class RunFolder(RunFiles):
    """A folder that holds the results of one run and the tiles they come from."""

    @contextmanager
    def claimed(
        self,
        plan: Plan,
        *,
        overwrite: bool,
        force: bool = False,
        inputs: Sequence[str] = (),
        check: Callable[[set[str]], None] = lambda _: None,
    ) -> Iterator[None]:
        """Hold the folder for a run, so that no other can use it, and ready it.

        What a killed run left half-written goes, and so do tiles that the run has no use for,
        notes of failures, and the results of another run. Its cluster model stays until there is
        another, for it may be the one that is to be applied.

        Parameters
        ----------
        plan : Plan
            What is to be run.
        overwrite : bool
            Whether another run's results, clusters that a user has changed, and files of somebody
            else, may be replaced.
        force : bool
            Whether tiles that are done are to be done again, and such clusters be replaced.
        inputs : sequence of str
            Files that the run reads, and that must not be replaced in any case.
        check : callable
            Called with the results that may be replaced or removed, relative to the folder, before
            anything is; it raises if that must not happen.

        Raises
        ------
        RunError
            If another process is running here, or if the folder cannot be written, or holds what
            may not be replaced.
        """
        check_claim(self, plan, inputs, overwrite=overwrite, force=force)
        with self._locked("stop it, or choose another --out"):
            check_claim(self, plan, inputs, overwrite=overwrite, force=force)
            check({*plan.files, *self._named_files()})
            with run_errors(self.path):
                self._clear(plan, force=force)
            write_bytes(self.plan_path, json.dumps(asdict(plan)).encode())
            yield

    @contextmanager
    def replaced(
        self, plan: Plan, check: Callable[[set[str]], None] = lambda _: None
    ) -> Iterator[RunFolder]:
        """Write the results of a run, all of them or none.

        Parameters
        ----------
        plan : Plan
            The run.
        check : callable
            As in `claimed`, called when all results are written.

        Yields
        ------
        RunFolder
            Where to write them, the record too: a hidden folder. When the block ends, they take
            the place of those that are here, the record last; when it fails, they go.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        with replacing(self.record_path) as part:
            yield RunFolder(part.parent)
            check(set(plan.files))
            with run_errors(self.path):
                self._remove_results(plan.files)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder while the results of a finished run are changed; nothing is removed.

        Raises
        ------
        RunError
            If another process is running here, or the folder cannot be written.
        """
        with self._locked("or stop it"):
            yield

    def begin_change(self, change: Change, model: bytes) -> None:
        """Note what the clusters are changed to: from here on the change is sure to be made.

        Raises
        ------
        RunError
            If the folder cannot be written; nothing is noted then.
        """
        with replacing(self.change_path) as part, run_errors(self.change_path):
            part.with_name(self.changed_model_path.name).write_bytes(model)
            part.write_text(json.dumps(asdict(change)), encoding="utf-8")

    def end_change(self) -> None:
        """Forget the change, which is made, or of a run that is about to be replaced."""
        self.change_path.unlink(missing_ok=True)
        self.changed_model_path.unlink(missing_ok=True)

    def sweep(self, plan: Plan) -> None:
        """Remove what killed processes left half-written."""
        folders = [self.path, self.tiles_path]
        folders += [self.scene_folder(scene.name) for scene in plan.scenes]
        folders += [self.tiles_path / scene.tiles_folder for scene in plan.scenes]
        for folder in folders:
            for left in sorted(folder.glob(".*.partial")):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()

    @contextmanager
    def _locked(self, remedy: str) -> Iterator[None]:
        # The kernel lets go of the lock when the process ends, however it does.
        lock = FileLock(self.lock_path)
        with run_errors(self.lock_path):
            self.tiles_path.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=_LOCK_SECONDS)
            except Timeout as error:
                raise RunError(
                    f"another run is at work in {self.path}; wait until it ends, {remedy}"
                ) from error
        try:
            yield
        finally:
            lock.release()

    def _clear(self, plan: Plan, *, force: bool) -> None:
        """Remove all that the run of this plan has no use for.

        The old plan goes after everything that it names, so that a clearing that is cut short is
        taken up again.
        """
        old, finished, named = self.plan(), self.record_path.exists(), self._named_files()
        # The record would describe results that are about to be replaced.
        self.record_path.unlink(missing_ok=True)
        self.end_change()
        if old is None or old.run != plan.run:
            stays = {self.model_path.name} & set(plan.files)
            self._remove_results([name for name in named if name not in stays])
        if old is not None or finished:
            for name in (GALLERY, SUGGESTION):
                (self.path / name).unlink(missing_ok=True)
        used = set() if force else {scene.tiles_folder for scene in plan.scenes}
        for folder in sorted(self.tiles_path.iterdir()):
            if folder.is_dir() and folder.name not in used:
                shutil.rmtree(folder)
        for name in sorted(used):
            for failure in sorted((self.tiles_path / name).glob("*.json")):
                failure.unlink()
        self.sweep(plan)

    def _named_files(self) -> Sequence[str]:
        """List the results that the run here has, or is to have."""
        plan = self.plan()
        if plan is not None:
            return plan.files
        with suppress(DamagedError):
            found = read_json(self.record_path, {"files": [str]})
            return [] if found is None else list(found["files"])
        return []

    def _remove_results(self, names: Sequence[str]) -> None:
        root = self.path.resolve()
        for name in names:
            path = (root / str(name)).resolve()
            if path.is_relative_to(root):
                remove_result(path)
        for folder in {(root / str(name)).parent for name in names} - {root}:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
