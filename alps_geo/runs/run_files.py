"""The files of a run folder: their paths, and what they say of the run there."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from alps_geo.errors import RunError
from alps_geo.outputs.names import MODEL
from alps_geo.runs.failures import FAILED_SCENE
from alps_geo.runs.plan import CHANGE, PLAN, Change, Plan
from alps_geo.runs.stored_json import DamagedError, Perhaps, read_json
from alps_geo.runs.tile_store import FAILED, FailedTile, TileStore

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.runs.plan import PlannedScene

RECORD = {
    "settings": {
        "bands": (None, [int]),
        "nodata": (None, float, "nan"),
        "stretch": (None, [float]),
    },
    "scenes": [
        {"name": str, "path": str, "height": int, "width": int, "size_bytes": (None, int)},
        ...,
    ],
    "segments": int,
    "area_unit": ("m2", "px"),
    "labelled_share": float,
    "clusters": [
        {
            "cluster": int,
            "name": str,
            "color": re.compile("#[0-9a-f]{6}"),
            "segments": int,
            "area": float,
            "share": float,
        },
        ...,
    ],
    "failed": [(FAILED, FAILED_SCENE)],
    "changes": Perhaps([str]),
    "files": [str],
}
"""Shape of a finished run's record, as far as it is used; see `alps_geo.runs.stored_json`."""

FIT_RECORD = {"fitted": str, "clusters": int, "failed": [FAILED]}
"""Shape of what is used of the record of a fit."""

_KEY_DIGITS = 16


@dataclass(frozen=True)
class RunFiles:
    """The files of a run folder, read and never written."""

    path: Path

    @property
    def record_path(self) -> Path:
        """Path of the record of a finished run."""
        return self.path / "run.json"

    @property
    def model_path(self) -> Path:
        """Path of the cluster model."""
        return self.path / MODEL

    @property
    def change_path(self) -> Path:
        """Path of the note of a change of the clusters, until it is made."""
        return self.tiles_path / "change.json"

    @property
    def changed_model_path(self) -> Path:
        """Path of the cluster model that a change leads to, until it is in its place."""
        return self.tiles_path / "change.npz"

    @property
    def polygons_path(self) -> Path:
        """Note of the contents of the polygons of all scenes, as the run wrote them."""
        return self.tiles_path / "polygons.json"

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
        """Return the folder of the results of a scene."""
        return self.path / scene

    def segments_folder(self, scene: str) -> Path:
        """Return the folder of the segments of a scene, by the name of that of its results."""
        return self.tiles_path / f"{scene}.segments"

    def tile_store(self, scene: str, key: str) -> TileStore:
        """Return the tile store of a scene for one fingerprint of settings."""
        return TileStore(self.tiles_path / f"{scene}.{key[:_KEY_DIGITS]}", key)

    def plan(self) -> Plan | None:
        """Return what is, or was, being run here; None if there is no run, or none of ours."""
        try:
            found = read_json(self.plan_path, PLAN)
        except DamagedError:
            return None
        return None if found is None else Plan.from_dict(found)

    def plan_damage(self) -> str | None:
        """Say what is wrong with the plan that lies here, if anything is."""
        return _damage(self.plan_path, PLAN)

    def finished_record(self, run: str) -> dict[str, Any] | None:
        """Return the record of this run if it has finished here with no tile failed, and is whole.

        Raises
        ------
        RunError
            If the folder is a file.
        """
        self.check_folder()
        plan = self.plan()
        if plan is None or plan.run != run or self.change_path.exists():
            return None
        try:
            record: dict[str, Any] | None = read_json(self.record_path, RECORD)
        except DamagedError:
            return None
        if record is None or record["failed"]:
            return None
        return record if all((self.path / name).exists() for name in plan.files) else None

    def record(self) -> dict[str, Any]:
        """Return the record of the run that has finished here, with results.

        Raises
        ------
        RunError
            If there is none, or only that of a fit.
        """
        if (fitted := self.fitted_model()) is not None:
            raise RunError(
                f"{self.path} is where alps-geo fit worked, and holds tiles but no labels (its "
                f"clusters are in {fitted}); alps-geo label with --out {self.path} labels the "
                f"same scenes, alps-geo apply with --clusters-from {fitted} any scenes"
            )
        if (damage := self.record_damage()) is not None:
            raise RunError(f"{damage}; {self.rewriting()}")
        found: dict[str, Any] | None = read_json(self.record_path, RECORD)
        if found is None:
            raise RunError(
                f"{self.path} holds no finished run of alps-geo; "
                "give the folder that was the --out of a run that has come to its end"
            )
        return found

    def record_damage(self) -> str | None:
        """Say what is wrong with the record that lies here, if anything is."""
        return None if self.fitted_model() is not None else _damage(self.record_path, RECORD)

    def fitted_model(self) -> str | None:
        """Return where the cluster model of the fit lies that has finished here, if one has."""
        try:
            found = read_json(self.record_path, FIT_RECORD)
        except DamagedError:
            return None
        return None if found is None else str(found["fitted"])

    def rewriting(self) -> str:
        """Say by which command all results are written again if a file of the run is damaged."""
        if not self.model_path.exists():
            return "alps-geo label with --overwrite does that run again, and keeps its tiles"
        if _damage(self.record_path, RECORD) is None:
            given = shlex.join(["--config", str(self.record_path)])
        else:
            given = "with the scenes and options of that run and"
        folder, model = shlex.quote(str(self.path)), shlex.quote(str(self.model_path))
        return (
            f"alps-geo apply {given} --clusters-from {model} --out {folder} --overwrite "
            "writes all results again, and keeps these clusters and their names"
        )

    def stopped_change(self) -> str | None:
        """Return the command that was changing the clusters here when it was stopped, if any.

        Raises
        ------
        RunError
            As `change`.
        """
        change = self.change()
        return None if change is None else change.command

    def change(self) -> Change | None:
        """Return what was begun here by `begin_change` and not ended, if anything.

        Raises
        ------
        RunError
            If that cannot be read.
        """
        try:
            found = read_json(self.change_path, CHANGE)
        except DamagedError as error:
            raise RunError(
                f"{error}: alps-geo clusters was stopped here while it changed the clusters, and "
                f"that cannot be finished; {self.rewriting()}"
            ) from error
        return None if found is None else Change.from_dict(found)

    def is_running(self) -> bool:
        """Return True if a process is running here now.

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
        """Return True if a run with results has begun here, finished or not."""
        plan = self.plan()
        return self.record_path.exists() if plan is None else not plan.is_fit

    def has_finished(self) -> bool:
        """Return True if the run has written all its results, and no change of them was stopped.

        Raises
        ------
        RunError
            If its record, or the note of a change, cannot be read.
        """
        if (damage := self.record_damage()) is not None:
            raise RunError(f"{damage}; {self.rewriting()}")
        return self.record_path.exists() and self.stopped_change() is None

    def done_and_failed(self, scene: PlannedScene) -> tuple[int, list[FailedTile]]:
        """Count the tiles of a scene that are done, and return those that failed."""
        folder = self.tiles_path / scene.tiles_folder
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        failed = []
        for name in sorted(name for name in names if name.endswith(".json")):
            # Gone if a run has just begun, which tries the tile again; so it does without a reason.
            with suppress(DamagedError):
                if (found := read_json(folder / name, FAILED)) is not None:
                    failed.append(FailedTile.from_dict(found))
        done = {name.removesuffix(".npz") for name in names if name.endswith(".npz")}
        return len(done - {name.removesuffix(".json") for name in names}), failed

    def check_folder(self) -> None:
        """Raise RunError if the folder is a file."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file, expected a folder; choose another --out")


def _damage(path: Path, shape: Any) -> str | None:
    try:
        read_json(path, shape)
    except DamagedError as error:
        return str(error)
    return None
