"""The program as a process: started, followed line by line, and terminated on demand."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PARTLY = 3
"""Exit code of a run in which a tile or scene failed, and the others have results."""

PATIENCE = 30.0
"""Seconds that the program has to end its processes, before it is killed; it outlives both."""

_PERIOD = 0.2
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)


@dataclass(frozen=True)
class Progress:
    """One step of the program.

    Attributes
    ----------
    stage, scene : str
        The stage, and the scene that it is at; empty for all of them.
    done, total : int
        Tiles, chips or scenes that are done, and all of them.
    note : str
        Something that was assumed; else empty.
    """

    stage: str
    scene: str
    done: int
    total: int
    note: str

    @property
    def percent(self) -> float:
        """Share that is done. The end is left to the stages that are not counted."""
        return 95.0 * self.done / self.total if self.total else 0.0


@dataclass(frozen=True)
class Finished:
    """The end of the program.

    Attributes
    ----------
    code : int
        Exit code; negative for the signal that ended it.
    output : str
        Standard output.
    lines : tuple of str
        Lines of standard error other than progress.
    """

    code: int
    output: str
    lines: tuple[str, ...]


class Watcher(Protocol):
    """The dialog that follows the program."""

    def progress(self, step: Progress) -> None:
        """Show a step."""

    def is_cancelled(self) -> bool:
        """Return True if the program is to end."""


def changed_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the environment of this process with changes, in which None removes a variable."""
    changed: Mapping[str, str | None] = {**os.environ, **changes, "PYTHONUTF8": "1"}
    return {name: value for name, value in changed.items() if value is not None}


def run_program(
    command: Sequence[str], changes: Mapping[str, str | None], watcher: Watcher
) -> Finished:
    """Run a command to its end, or until it is cancelled.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    changes : mapping of str to str or None
        Changes of the environment, as in `changed_environment`.
    watcher : Watcher
        Is shown the steps, and asked five times a second if the program is to end.

    Raises
    ------
    OSError
        If the program cannot be started.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env=changed_environment(changes),
            creationflags=_NO_WINDOW,
        )
        try:
            lines = tuple(_watch(process, watcher))
            code = process.wait()
        finally:
            # Whatever happens here, no program is left behind that nobody watches.
            process.kill()
            process.wait()
        output.seek(0)
        return Finished(code, output.read().decode("utf-8", "replace"), lines)


def _watch(process: subprocess.Popen[bytes], watcher: Watcher) -> Iterator[str]:
    """Show the steps of a process until it ends; yield its other lines."""
    told: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stderr, told), daemon=True)
    reader.start()
    kill_at = 0.0
    while (line := _next(told, process)) is not None:
        if watcher.is_cancelled():
            if not kill_at:
                process.terminate()
                kill_at = time.monotonic() + PATIENCE
            elif time.monotonic() > kill_at:
                process.kill()
        if (step := step_of(line)) is not None:
            watcher.progress(step)
        elif line:
            yield line


def _next(told: queue.Queue[str | None], process: subprocess.Popen[bytes]) -> str | None:
    """Return the next line of a process, an empty one while it tells nothing, None at its end."""
    has_ended = process.poll() is not None
    try:
        return told.get(timeout=_PERIOD)
    except queue.Empty:
        # Processes of its own that outlive it for a moment may hold the pipe open.
        return None if has_ended else ""


def _read(pipe: IO[bytes], told: queue.Queue[str | None]) -> None:
    with pipe:
        for line in pipe:
            told.put(line.decode("utf-8", "replace").rstrip())
    told.put(None)


def step_of(line: str) -> Progress | None:
    """Read a line of progress; None for any other line.

    >>> step_of('{"stage": "tiles", "scene": "a", "done": 1, "total": 4, "note": ""}').percent
    23.75
    """
    if not line.startswith("{"):
        return None
    try:
        return Progress(**json.loads(line))
    except (ValueError, TypeError):
        return None
