"""Notes of the processes at work on the tiles of a run: signs of life, and tiles of each.

Each process keeps one small file, ``.tiles/workers/HOST.PID.RANDOM.json``, and replaces it from
time to time. The file stays when the process has ended, until the run is finished, so that its
record can say by which machines the tiles were made.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.runs.machines import Made
from alps_geo.runs.stored_json import DamagedError, json_object, known_fields, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alps_geo.runs.folder import RunFolder

BEAT_SECONDS = 10.0
"""Time between two signs of life."""

SILENT_SECONDS = 120.0
"""Time without a sign of life after which a process is most likely dead."""

_MISSED = 2
"""Signs of life that a process may miss before its number is looked for."""

NOTE = {
    "host": str,
    "pid": int,
    "task": str,
    "tiles": {},
    "elsewhere": {},
    "now": {},
    "has_ended": bool,
}
"""Shape of a `WorkerNote` as JSON; see `alps_geo.runs.stored_json`."""


@dataclass(frozen=True)
class WorkerNote:
    """A process at work on the tiles of a run, as it was at its last sign of life.

    Attributes
    ----------
    host : str
        Name of its machine.
    pid : int
        Number of the process there.
    task : str
        Its share of the tiles, as "shard 3/16"; empty for all of them.
    tiles : Made
        Tiles that it has computed or handed out, by the device and torch that computed them.
    elsewhere : mapping of str to int
        Those that it has handed out to workers of a scheduler, by the names of these.
    now : mapping of str to str
        Tiles that are worked on, by processes of its own ("process 1812") or the names of workers
        of a scheduler, empty for one that waits for a tile; by itself under "".
    has_ended : bool
        True if it has come to its end.
    silent : float
        Seconds since the last sign of life; not stored.
    """

    host: str
    pid: int
    task: str
    tiles: Made
    elsewhere: Mapping[str, int]
    now: Mapping[str, str]
    has_ended: bool = False
    silent: float = 0.0

    @classmethod
    def from_json(cls, found: object) -> WorkerNote:
        """Build a note from JSON; raise ValueError for JSON of another shape."""
        known = known_fields(found, NOTE)
        return cls(**{**known, "tiles": Made.from_json(known["tiles"])})

    def to_json(self) -> dict[str, object]:
        """Return the note as a JSON object."""
        return {**json_object(self, NOTE), "tiles": self.tiles.to_json()}

    @property
    def done(self) -> int:
        """Number of tiles that it has computed or handed out."""
        return sum(self.tiles.tiles.values())

    @property
    def seems_dead(self) -> bool:
        """True if it gave no sign of life for long."""
        return self.silent > SILENT_SECONDS

    @property
    def may_be_alive(self) -> bool:
        """False if it has come to its end, or was one of this machine that is no longer there.

        A process of a container may have the name of this machine, and numbers of its own: as long
        as it gives signs of life, its number is not looked for.
        """
        if self.has_ended:
            return False
        is_known = self.host == socket.gethostname() and self.silent > _MISSED * BEAT_SECONDS
        return not is_known or _is_there(self.pid)


class WorkLog:
    """Log of this process: tiles that are worked on, and those that were made.

    Parameters
    ----------
    task : str
        Its share of the tiles; see `WorkerNote`.
    """

    def __init__(self, task: str) -> None:
        self.host = socket.gethostname()
        self._task = task
        self._made = Made()
        self._elsewhere: Counter[str] = Counter()
        self._now: Mapping[str, str] = {}
        self._lock = threading.Lock()

    def working(self, now: Mapping[str, str]) -> None:
        """Note all tiles that are worked on now, as `WorkerNote` has them."""
        self._now = now

    def made(self, scene: str, place: tuple[int, int], machine: str, worker: str | None) -> None:
        """Note a tile that was made.

        Parameters
        ----------
        scene : str
            Name of its scene.
        place : tuple of (int, int)
            Its row and column.
        machine : str
            Device and torch that made it.
        worker : str or None
            Name of the worker of a scheduler, if it was one.
        """
        row, column = place
        with self._lock:
            self._made.add(machine, scene, row, [column])
            self._elsewhere.update([] if worker is None else [worker])

    def note(self, *, has_ended: bool = False) -> bytes:
        """Return the note of this process as JSON."""
        with self._lock:
            elsewhere = dict(sorted(self._elsewhere.items()))
            now = {} if has_ended else self._now
            found = WorkerNote(
                self.host, os.getpid(), self._task, self._made, elsewhere, now, has_ended
            )
            return json.dumps(found.to_json()).encode()


@contextmanager
def at_work(folder: RunFolder, task: str = "") -> Iterator[WorkLog]:
    """Note this process as one at work on tiles, until the block ends.

    Parameters
    ----------
    folder : RunFolder
        The run folder.
    task : str
        Its share of the tiles; see `WorkerNote`.

    Yields
    ------
    WorkLog
        To be told what it works on.

    Raises
    ------
    RunError
        If the folder cannot be written.
    """
    log = WorkLog(task)
    name = f"{log.host.replace('/', '_')}.{os.getpid()}.{secrets.token_hex(4)}.json"
    notes = folder.tile_storage(folder.workers_path.name)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            # Work goes on without signs of life; what it needs to write fails by itself.
            with suppress(RunError):
                notes.put(name, log.note())

    notes.put(name, log.note())
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield log
    finally:
        ended.set()
        thread.join()
        with suppress(RunError):
            notes.put(name, log.note(has_ended=True))


def workers_at(folder: RunFolder) -> list[WorkerNote]:
    """Read the notes of all processes that have worked on the tiles of a run, in order."""
    files, notes = folder.tile_storage(folder.workers_path.name), []
    for name in files.names():
        # Half of a note is never seen; it may be gone, or of another version.
        with suppress(DamagedError):
            content, silent = files.read(name), files.age(name)
            if content is not None and silent is not None and name.endswith(".json"):
                note = parse_json(content, name, WorkerNote.from_json)
                notes.append(replace(note, silent=silent))
    return notes


def _is_there(pid: int) -> bool:
    """Return True if this machine has a process of a number, as far as can be told."""
    if os.name == "nt":  # there the call below ends the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def tiles_by_machine(folder: RunFolder) -> Made:
    """Return the tiles that each device and torch has made, by all notes."""
    made = Made()
    for note in workers_at(folder):
        made.update(note.tiles)
    return made


def forget_workers(folder: RunFolder) -> None:
    """Remove all notes in a folder of this machine, those of processes that were killed too."""
    if folder.workers_path.is_dir():
        shutil.rmtree(folder.workers_path)
