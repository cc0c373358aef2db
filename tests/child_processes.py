"""Processes that tests start, and those that they start in turn."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from typing import Any


def workers_of(pid: int) -> list[psutil.Process]:
    """List the worker processes of a process, which may end at any moment."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
    return found


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Be sure that a process and all that it has started are gone after the block."""
    try:
        yield
    finally:
        family = []
        with suppress(psutil.NoSuchProcess):
            this = psutil.Process(process.pid)
            family = [this, *this.children(recursive=True)] if process.poll() is None else []
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
