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
    DIR/.tiles/<scene>.segments/              the segments: see `alps_geo.tables`
    DIR/.tiles/change.json                    how the clusters are being changed, until they are
    DIR/.tiles/change.npz                     the cluster model that this leads to
    DIR/.tiles/polygons.json                  the contents of the polygons, as they were written

The files of the tiles are those of `alps_geo.tile_store`.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from alps_geo.errors import RunError
from alps_geo.files import DATABASE_SIDECARS, replacing, run_errors, write_bytes
from alps_geo.tile_store import FailedTile, TileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


GALLERY, SUGGESTION = "gallery.html", "suggest.png"
"""What `alps-geo clusters` shows of a run, in its folder: true as long as its clusters are."""

_KEY_DIGITS = 16

# A command that only looks holds the lock for a moment; that must not turn a run away.
_LOCK_SECONDS = 1.0


@dataclass(frozen=True)
class PlannedScene:
    """What a run folder knows about a scene from the first moment on.

    Attributes
    ----------
    name : str
        The scene's folder for results.
    path : str
        The scene.
    tiles_folder : str
        Name of the folder of its tiles.
    tiles : int
        How many there are.
    """

    name: str
    path: str
    tiles_folder: str
    tiles: int


@dataclass(frozen=True)
class Plan:
    """What is being run in a folder.

    Attributes
    ----------
    run : str
        Fingerprint of all that decides the results.
    scenes : tuple of PlannedScene
        The scenes.
    files : tuple of str
        The results that there will be, relative to the run folder.
    """

    run: str
    scenes: tuple[PlannedScene, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """How the clusters of a finished run are being changed.

    Attributes
    ----------
    command : str
        What the user typed after ``alps-geo clusters``.
    earlier : list of str
        The changes that were made before, likewise.
    moves_segments : bool
        Whether segments get other clusters, and not the clusters other names or colours alone.
    """

    command: str
    earlier: list[str]
    moves_segments: bool


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds the results of one run and the tiles they come from."""

    path: Path

    @property
    def record_path(self) -> Path:
        """Where the record of a finished run lies."""
        return self.path / "run.json"

    @property
    def model_path(self) -> Path:
        """Where the cluster model lies."""
        return self.path / "clusters.npz"

    @property
    def change_path(self) -> Path:
        """What is noted while the clusters of a finished run are being changed."""
        return self._tiles_path / "change.json"

    @property
    def changed_model_path(self) -> Path:
        """Where the cluster model that a change leads to lies, until it is in its place."""
        return self._tiles_path / "change.npz"

    @property
    def polygons_path(self) -> Path:
        """Where it is noted what the polygons of all scenes hold, as the run wrote them."""
        return self._tiles_path / "polygons.json"

    @property
    def _tiles_path(self) -> Path:
        return self.path / ".tiles"

    @property
    def _plan_path(self) -> Path:
        return self._tiles_path / "run.json"

    @property
    def _lock_path(self) -> Path:
        return self._tiles_path / "lock"

    def scene_folder(self, scene: str) -> Path:
        """Where the results of a scene lie."""
        return self.path / scene

    def segments_folder(self, scene: str) -> Path:
        """Where the segments of a scene lie, by the name of the folder of its results."""
        return self._tiles_path / f"{scene}.segments"

    def tile_store(self, scene: str, key: str) -> TileStore:
        """Where the tiles of a scene lie that depend on what `key` stands for."""
        return TileStore(self._tiles_path / f"{scene}.{key[:_KEY_DIGITS]}", key)

    def plan(self) -> Plan | None:
        """Return what is, or was, being run here; None if there is no run, or none of ours."""
        try:
            found = json.loads(self._plan_path.read_bytes())
            scenes = tuple(PlannedScene(**scene) for scene in found["scenes"])
            return Plan(str(found["run"]), scenes, tuple(map(str, found["files"])))
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def finished_record(self, run: str) -> dict[str, Any] | None:
        """Return the record of this run if it has finished here with no tile failed, and is whole.

        Raises
        ------
        RunError
            If the folder is a file.
        """
        self._check_folder()
        plan, record = self.plan(), self._record()
        if plan is None or plan.run != run or record is None or record.get("failed"):
            return None
        if self.stopped_change() is not None:
            return None
        return record if all((self.path / name).exists() for name in plan.files) else None

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
        self._check_claim(plan, inputs, overwrite=overwrite, force=force)
        with self._locked("stop it, or choose another --out"):
            self._check_claim(plan, inputs, overwrite=overwrite, force=force)
            check({*plan.files, *self._named_files()})
            with run_errors(self.path):
                self._clear(plan, force=force)
            write_bytes(self._plan_path, json.dumps(asdict(plan)).encode())
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

    def record(self) -> dict[str, Any]:
        """Return the record of the run that has finished here.

        Raises
        ------
        RunError
            If there is none.
        """
        found = self._record()
        if found is None:
            raise RunError(
                f"{self.path} holds no finished run of alps-geo; "
                "give the folder that was the --out of a run that has come to its end"
            )
        return found

    def stopped_change(self) -> str | None:
        """Return the command that was changing the clusters here when it was stopped, if any."""
        change = self.change()
        return None if change is None else change.command

    def change(self) -> Change | None:
        """Return what was begun here by `begin_change` and not ended, if anything."""
        try:
            return Change(**json.loads(self.change_path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None

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

    def is_running(self) -> bool:
        """Whether a process is running here now.

        Raises
        ------
        RunError
            If this user may not know.
        """
        if not self._lock_path.exists():
            return False
        try:
            with FileLock(self._lock_path, blocking=False):
                return False
        except Timeout:
            return True
        except OSError as error:
            raise RunError(
                f"{self._lock_path}: whether a run is at work cannot be told ({error.strerror}); "
                "ask as the user who runs it"
            ) from error

    def holds_run(self) -> bool:
        """Whether a run has begun here whose results lie here, too, finished or not."""
        plan = self.plan()
        return self._record() is not None if plan is None else bool(plan.files)

    def has_finished(self) -> bool:
        """Whether the run here has written all its results, and no change of them was stopped."""
        return self._record() is not None and self.stopped_change() is None

    def done_and_failed(self, scene: PlannedScene) -> tuple[int, list[FailedTile]]:
        """Count the tiles of a scene that are done, and return those that failed."""
        folder = self._tiles_path / scene.tiles_folder
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        failed = []
        for name in sorted(name for name in names if name.endswith(".json")):
            try:
                failed.append(FailedTile(**json.loads((folder / name).read_bytes())))
            except FileNotFoundError:
                continue  # a run that has just begun tries it again
        done = {name.removesuffix(".npz") for name in names if name.endswith(".npz")}
        return len(done - {name.removesuffix(".json") for name in names}), failed

    def sweep(self, plan: Plan) -> None:
        """Remove what killed processes left half-written."""
        folders = [self.path, self._tiles_path]
        folders += [self.scene_folder(scene.name) for scene in plan.scenes]
        folders += [self._tiles_path / scene.tiles_folder for scene in plan.scenes]
        for folder in folders:
            for left in sorted(folder.glob(".*.partial")):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()

    def _check_folder(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file, expected a folder; choose another --out")

    def _check_claim(
        self, plan: Plan, inputs: Sequence[str], *, overwrite: bool, force: bool
    ) -> None:
        self._check_folder()
        found = self.plan()
        ours = () if found is None else found.files
        self._check_room(plan)
        self._check_inputs({*plan.files, *ours}, inputs)
        if overwrite:
            return
        if self._would_lose(found, plan):
            raise RunError(
                f"{self.path} holds another run (other scenes, settings or version); "
                f"choose another --out, or replace it with --overwrite{self._what_is_lost()}"
            )
        self._check_strange(plan, ours)
        if force:
            return
        if (change := self.stopped_change()) is not None:
            raise RunError(
                f"{self.path}: alps-geo clusters {change} was stopped here; give that command "
                "again to finish it, or --overwrite to label anew with clusters of no name"
            )
        if lost := self._what_is_lost():
            raise RunError(f"{self.path} is to be labelled anew, with clusters of its own{lost}")

    def _what_is_lost(self) -> str:
        """Say what new clusters would replace and no command can bring back, and how to keep it."""
        changes = (self._record() or {}).get("changes", [])
        if not changes:
            return ""
        more = "" if len(changes) == 1 else f", and {len(changes) - 1} before"
        return (
            f"; the clusters there were changed by hand (alps-geo clusters {changes[-1]}{more}): "
            f"alps-geo apply with --clusters-from {self.model_path} --overwrite keeps them, "
            "alps-geo label with --overwrite lets them go"
        )

    def _check_strange(self, plan: Plan, ours: Sequence[str]) -> None:
        strange = [name for name in plan.files if name not in ours and (self.path / name).exists()]
        if strange:
            more = f" (and so are {len(strange) - 1} more)" if len(strange) > 1 else ""
            raise RunError(
                f"{self.path / strange[0]} is there already{more}, where a result has to go, and "
                "is of no run that alps-geo knows; choose another --out, or replace it with "
                "--overwrite"
            )

    def _would_lose(self, found: Plan | None, plan: Plan) -> bool:
        """Whether what another run has done here would be gone: results, or tiles of no use."""
        if found is None:
            return self.record_path.exists()
        # A fit leaves nothing here that could be lost: its model lies elsewhere.
        if found.run == plan.run or not found.files:
            return False
        used = {scene.tiles_folder for scene in plan.scenes}
        stale = [scene for scene in found.scenes if scene.tiles_folder not in used]
        results = [self.record_path, *(self.path / name for name in found.files)]
        return any(path.exists() for path in results) or any(
            self.done_and_failed(scene)[0] for scene in stale
        )

    def _check_room(self, plan: Plan) -> None:
        """See to it that results can take their places: folders are never replaced by files."""
        for name in plan.files:
            path = self.path / name
            if path.is_dir():
                raise RunError(f"{path} is a folder, expected a file or none; choose another --out")
            if path.parent.exists() and not path.parent.is_dir():
                raise RunError(
                    f"{path.parent} is a file, expected a folder or none; choose another --out"
                )

    def _check_inputs(self, results: set[str], inputs: Sequence[str]) -> None:
        # The model that is applied is written as it is, so it may be the one that lies here.
        places = {(self.path / name).resolve() for name in results - {self.model_path.name}}
        for given in inputs:
            if Path(given).resolve() in places:
                raise RunError(
                    f"{given} would be replaced by a result, and this run reads it; "
                    "choose another --out, or copy it elsewhere first"
                )

    @contextmanager
    def _locked(self, remedy: str) -> Iterator[None]:
        # The kernel lets go of the lock when the process ends, however it does.
        lock = FileLock(self._lock_path)
        with run_errors(self._lock_path):
            self._tiles_path.mkdir(parents=True, exist_ok=True)
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
        old, record, named = self.plan(), self._record(), self._named_files()
        # The record would describe results that are about to be replaced.
        self.record_path.unlink(missing_ok=True)
        self.end_change()
        if old is None or old.run != plan.run:
            stays = {self.model_path.name} & set(plan.files)
            self._remove_results([name for name in named if name not in stays])
        if old is not None or record is not None:
            for name in (GALLERY, SUGGESTION):
                (self.path / name).unlink(missing_ok=True)
        used = set() if force else {scene.tiles_folder for scene in plan.scenes}
        for folder in sorted(self._tiles_path.iterdir()):
            if folder.is_dir() and folder.name not in used:
                shutil.rmtree(folder)
        for name in sorted(used):
            for failure in sorted((self._tiles_path / name).glob("*.json")):
                failure.unlink()
        self.sweep(plan)

    def _named_files(self) -> Sequence[str]:
        """List the results that the run here has, or is to have."""
        plan = self.plan()
        if plan is not None:
            return plan.files
        return tuple(map(str, (self._record() or {}).get("files", ())))

    def _remove_results(self, names: Sequence[str]) -> None:
        root = self.path.resolve()
        for name in names:
            path = (root / str(name)).resolve()
            if not path.is_relative_to(root):
                continue
            if path.suffix == ".gpkg":
                # First, for they would be taken for those of the next file of this name.
                for ending in DATABASE_SIDECARS:
                    path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
            if path.is_file():
                path.unlink()
                # Where GDAL keeps what a raster cannot hold, such as names of clusters.
                path.with_name(f"{path.name}.aux.xml").unlink(missing_ok=True)
        for folder in {(root / str(name)).parent for name in names} - {root}:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _record(self) -> dict[str, Any] | None:
        try:
            record = json.loads(self.record_path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return record if isinstance(record, dict) else None
