"""Notes of the processes at work on the tiles of a run: signs of life, and tiles done by each.

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
from alps_geo.runs.stored_json import DamagedError, json_object, known_fields, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from alps_geo.runs.folder import RunFolder

BEAT_SECONDS = 10.0
"""Time between two signs of life."""

SILENT_SECONDS = 120.0
"""Time without a sign of life after which a process is most likely dead."""

NOTE = {"host": str, "pid": int, "task": str, "tiles": {}, "elsewhere": {}, "has_ended": bool}
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
    tiles : mapping of str to int
        Tiles that it has computed or handed out, by the device and torch that computed them.
    elsewhere : mapping of str to int
        Those that it has handed out to workers of a scheduler, by the names of these.
    has_ended : bool
        True if it has come to its end.
    silent : float
        Seconds since the last sign of life; not stored.
    """

    host: str
    pid: int
    task: str
    tiles: Mapping[str, int]
    elsewhere: Mapping[str, int]
    has_ended: bool = False
    silent: float = 0.0

    @classmethod
    def from_json(cls, found: object) -> WorkerNote:
        """Build a note from JSON; raise ValueError for JSON of another shape."""
        return cls(**known_fields(found, NOTE))

    def to_json(self) -> dict[str, object]:
        """Return the note as a JSON object."""
        return json_object(self, NOTE)

    @property
    def done(self) -> int:
        """Number of tiles that it has computed or handed out."""
        return sum(self.tiles.values())

    @property
    def seems_dead(self) -> bool:
        """True if it gave no sign of life for long."""
        return self.silent > SILENT_SECONDS


@contextmanager
def at_work(folder: RunFolder, task: str = "") -> Iterator[Callable[[str, str | None], None]]:
    """Note this process as one at work on tiles, until the block ends.

    Parameters
    ----------
    folder : RunFolder
        The run folder.
    task : str
        Its share of the tiles; see `WorkerNote`.

    Yields
    ------
    callable
        Counts a tile that was computed, given the device and torch that did, and the name of the
        worker of a scheduler, if it was one.

    Raises
    ------
    RunError
        If the folder cannot be written.
    """
    host = socket.gethostname()
    name = f"{host.replace('/', '_')}.{os.getpid()}.{secrets.token_hex(4)}.json"
    notes = folder.tile_storage(folder.workers_path.name)
    note = WorkerNote(host, os.getpid(), task, {}, {})
    tiles: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    ended = threading.Event()

    def write(*, has_ended: bool = False) -> None:
        by_machine, by_worker = (dict(sorted(each.items())) for each in (tiles, elsewhere))
        now = replace(note, tiles=by_machine, elsewhere=by_worker, has_ended=has_ended)
        notes.put(name, json.dumps(now.to_json()).encode())

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            # Work goes on without signs of life; what it needs to write fails by itself.
            with suppress(RunError):
                write()

    def count(machine: str, worker: str | None) -> None:
        tiles.update([machine])
        elsewhere.update([] if worker is None else [worker])

    write()
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        ended.set()
        thread.join()
        with suppress(RunError):
            write(has_ended=True)


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


def tiles_by_machine(folder: RunFolder) -> dict[str, int]:
    """Count the tiles that each device and torch has computed, by all notes, in order."""
    counts: Counter[str] = Counter()
    for note in workers_at(folder):
        counts.update(note.tiles)
    return dict(sorted(counts.items()))


def forget_workers(folder: RunFolder) -> None:
    """Remove all notes in a folder of this machine, those of processes that were killed too."""
    if folder.workers_path.is_dir():
        shutil.rmtree(folder.workers_path)
