"""Status of a run folder, from a listing: tiles done, left and failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.runs.address import RunAddress, at_address
from alps_geo.runs.failures import FailedScene
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import is_running
from alps_geo.runs.reading import (
    done_and_failed,
    has_finished,
    plan_damage,
    read_plan,
    read_prediction,
    read_record,
)
from alps_geo.runs.store import stored_plan, stored_record
from alps_geo.runs.workers import workers_at

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.runs.failures import Failure
    from alps_geo.runs.plan import PlannedScene
    from alps_geo.runs.workers import WorkerNote


@dataclass(frozen=True)
class SceneStatus:
    """Progress of one scene.

    Attributes
    ----------
    name, path : str
        Name of its folder in the run folder, and the scene.
    tiles, done : int
        Number of its tiles, and of those that are done.
    failed : tuple of Failure
        Tiles that failed; running again tries them again.
    """

    name: str
    path: str
    tiles: int
    done: int
    failed: tuple[Failure, ...]

    @property
    def left(self) -> int:
        """Number of tiles that are neither done nor failed."""
        return self.tiles - self.done - len(self.failed)


@dataclass(frozen=True)
class RunStatus:
    """Progress of a run.

    Attributes
    ----------
    state : str
        "running" while a process is at work in the folder, "finished" when all results are
        written, else "stopped". A store has no lock: there it is "running" while a process at work
        on tiles gives signs of life, and "unfinished" in place of "stopped".
    scenes : tuple of SceneStatus
        The scenes.
    unwritten : tuple of FailedScene
        Scenes of a finished run whose results could not be written.
    images : bool
        True for a folder of images: its scenes are splits, and its tiles images.
    workers : tuple of WorkerNote
        Processes that are at work on tiles as far as can be known, those that have given no sign of
        life for long last.
    """

    state: str
    scenes: tuple[SceneStatus, ...]
    unwritten: tuple[FailedScene, ...] = ()
    images: bool = False
    workers: tuple[WorkerNote, ...] = ()

    @property
    def failed(self) -> tuple[Failure, ...]:
        """The tiles of all scenes that failed, and the scenes that did."""
        return (*(tile for scene in self.scenes for tile in scene.failed), *self.unwritten)

    def to_json(self) -> dict[str, object]:
        """Return the status as a JSON object."""
        return {
            "state": self.state,
            "tiles": sum(scene.tiles for scene in self.scenes),
            "done": sum(scene.done for scene in self.scenes),
            "left": sum(scene.left for scene in self.scenes),
            "failed": [each.to_json() for each in self.failed],
            "scenes": [
                {
                    "name": scene.name,
                    "path": scene.path,
                    "tiles": scene.tiles,
                    "done": scene.done,
                    "left": scene.left,
                    "failed": len(scene.failed),
                }
                for scene in self.scenes
            ],
            "workers": [
                {
                    "host": worker.host,
                    "pid": worker.pid,
                    "task": worker.task,
                    "tiles": worker.done,
                    "elsewhere": dict(worker.elsewhere),
                    "now": dict(worker.now),
                    "silent_seconds": round(worker.silent, 1),
                }
                for worker in self.workers
            ],
        }


def run_status(place: Path | RunAddress) -> RunStatus:
    """Return the progress of the run in a folder or a store, without opening a scene or a tile.

    Raises
    ------
    RunError
        If it holds no run, may not be read or is damaged.
    """
    if isinstance(place, RunAddress):
        return _status_in_store(place)
    folder = RunFolder(place)
    plan = read_plan(folder)
    if (damage := plan_damage(folder)) is not None:
        raise RunError(
            f"{damage}; give the command of that run again, with --overwrite if it has finished: "
            "tiles that are done are kept"
        )
    if plan is None:
        raise _no_run(place)
    running = is_running(folder)
    state = "running" if running else "finished" if has_finished(folder) else "stopped"
    # The scenes of a fit have no results that could fail.
    has_results = state == "finished" and not plan.is_fit
    failed = (read_prediction(folder) or read_record(folder)).failed if has_results else ()
    unwritten = tuple(each for each in failed if isinstance(each, FailedScene))
    scenes = tuple(_scene_status(folder, scene) for scene in plan.scenes)
    # A process lets go of the lock when it ends, even if it is killed.
    workers = _workers(folder) if running else ()
    return RunStatus(state, scenes, unwritten, plan.images, workers)


def _status_in_store(address: RunAddress) -> RunStatus:
    folder = at_address(address)
    if folder.store is None or (plan := stored_plan(folder.store)) is None:
        raise _no_run(address)
    record = stored_record(folder.store)
    failed = () if record is None else record.failed
    unwritten = tuple(each for each in failed if isinstance(each, FailedScene))
    scenes = tuple(_scene_status(folder, scene) for scene in plan.scenes)
    workers = _workers(folder)
    alive = any(not each.seems_dead for each in workers)
    state = "finished" if record is not None else "running" if alive else "unfinished"
    return RunStatus(state, scenes, unwritten, plan.images, workers)


def _workers(folder: RunFolder) -> tuple[WorkerNote, ...]:
    """Read the notes of the processes that may be at work, those that are silent for long last."""
    found = [each for each in workers_at(folder) if each.may_be_alive]
    return tuple(sorted(found, key=lambda each: each.seems_dead))


def _no_run(place: Path | RunAddress) -> RunError:
    return RunError(
        f"{place} holds no run of alps-geo; give the folder that was the --out of a run"
    )


def _scene_status(folder: RunFolder, scene: PlannedScene) -> SceneStatus:
    done, failed = done_and_failed(folder, scene)
    return SceneStatus(scene.name, scene.path, scene.tiles, done, tuple(failed))
