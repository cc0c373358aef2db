"""The files of a run folder: their paths, and what they say of the run there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from alps_geo.errors import RunError
from alps_geo.plan import Change, Plan, PlannedScene
from alps_geo.tile_store import FailedTile, TileStore

if TYPE_CHECKING:
    from pathlib import Path

_KEY_DIGITS = 16


@dataclass(frozen=True)
class RunFiles:
    """The files of a run folder, read and never written."""

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
        return self.tiles_path / "change.json"

    @property
    def changed_model_path(self) -> Path:
        """Where the cluster model that a change leads to lies, until it is in its place."""
        return self.tiles_path / "change.npz"

    @property
    def tiles_path(self) -> Path:
        """Folder of all that is no result."""
        return self.path / ".tiles"

    @property
    def plan_path(self) -> Path:
        """File of the plan."""
        return self.tiles_path / "run.json"

    @property
    def lock_path(self) -> Path:
        """File that is locked while a process is at work here."""
        return self.tiles_path / "lock"

    def scene_folder(self, scene: str) -> Path:
        """Where the results of a scene lie."""
        return self.path / scene

    def segments_folder(self, scene: str) -> Path:
        """Where the segments of a scene lie, by the name of the folder of its results."""
        return self.tiles_path / f"{scene}.segments"

    def tile_store(self, scene: str, key: str) -> TileStore:
        """Where the tiles of a scene lie that depend on what `key` stands for."""
        return TileStore(self.tiles_path / f"{scene}.{key[:_KEY_DIGITS]}", key)

    def plan(self) -> Plan | None:
        """Return what is, or was, being run here; None if there is no run, or none of ours."""
        try:
            found = json.loads(self.plan_path.read_bytes())
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
        self.check_folder()
        plan, record = self.plan(), self.found_record()
        if plan is None or plan.run != run or record is None or record.get("failed"):
            return None
        if self.stopped_change() is not None:
            return None
        return record if all((self.path / name).exists() for name in plan.files) else None

    def record(self) -> dict[str, Any]:
        """Return the record of the run that has finished here.

        Raises
        ------
        RunError
            If there is none.
        """
        found = self.found_record()
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

    def is_running(self) -> bool:
        """Whether a process is running here now.

        Raises
        ------
        RunError
            If this user may not know.
        """
        if not self.lock_path.exists():
            return False
        try:
            with FileLock(self.lock_path, blocking=False):
                return False
        except Timeout:
            return True
        except OSError as error:
            raise RunError(
                f"{self.lock_path}: whether a run is at work cannot be told ({error.strerror}); "
                "ask as the user who runs it"
            ) from error

    def holds_run(self) -> bool:
        """Whether a run has begun here whose results lie here, too, finished or not."""
        plan = self.plan()
        return self.found_record() is not None if plan is None else bool(plan.files)

    def has_finished(self) -> bool:
        """Whether the run here has written all its results, and no change of them was stopped."""
        return self.found_record() is not None and self.stopped_change() is None

    def done_and_failed(self, scene: PlannedScene) -> tuple[int, list[FailedTile]]:
        """Count the tiles of a scene that are done, and return those that failed."""
        folder = self.tiles_path / scene.tiles_folder
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        failed = []
        for name in sorted(name for name in names if name.endswith(".json")):
            try:
                failed.append(FailedTile(**json.loads((folder / name).read_bytes())))
            except FileNotFoundError:
                continue  # a run that has just begun tries it again
        done = {name.removesuffix(".npz") for name in names if name.endswith(".npz")}
        return len(done - {name.removesuffix(".json") for name in names}), failed

    def check_folder(self) -> None:
        """Raise RunError if the folder is a file."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file, expected a folder; choose another --out")

    def found_record(self) -> dict[str, Any] | None:
        """Return the record that lies here; None if there is none, or none that can be read."""
        try:
            record = json.loads(self.record_path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return record if isinstance(record, dict) else None
