"""The program as the plugin runs it: followed, cancelled, and ended with whatever watches it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import DATA

from alps_geo.qgis.install import program_path
from alps_geo.qgis.plugin import program
from alps_geo.qgis.plugin.program import changed_environment, run_program, step_of

if TYPE_CHECKING:
    from alps_geo.qgis.plugin.program import Progress

SCENE = DATA / "neon_osbs_10cm.tif"
TERMINATED = 143


@dataclass
class Watching:
    """Keeps the steps, and cancels at a stage after a number of steps of it."""

    cancel_at: tuple[str, int] | None = None
    steps: list[Progress] = field(default_factory=list)

    def progress(self, step: Progress) -> None:
        self.steps.append(step)

    def is_cancelled(self) -> bool:
        if self.cancel_at is None:
            return False
        stage, done = self.cancel_at
        return any(step.stage == stage and step.done >= done for step in self.steps)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_steps_lines_output_and_code_are_told_apart() -> None:
    step = json.dumps({"stage": "tiles", "scene": "a", "done": 1, "total": 2, "note": "a note"})
    code = (
        f"import sys; print({step!r}, file=sys.stderr); print('été', file=sys.stderr); "
        "print('{no step', file=sys.stderr); print('out'); sys.exit(3)"
    )
    watching = Watching()
    finished = run_program(python(code), {}, watching)
    assert finished.code == 3
    assert finished.output.strip() == "out"
    assert finished.lines == ("été", "{no step")
    assert [(step.scene, step.note, step.percent) for step in watching.steps] == [
        ("a", "a note", 47.5)
    ]


def test_much_output_blocks_nothing() -> None:
    code = "import sys; print('x' * 10**6); print('y' * 10**6, file=sys.stderr)"
    finished = run_program(python(code), {}, Watching())
    assert (len(finished.output.strip()), len(finished.lines[0])) == (10**6, 10**6)


def test_variables_of_qgis_are_those_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/of/qgis")
    monkeypatch.setenv("PROJ_DATA", "/of/qgis/proj")
    changed = changed_environment({"PYTHONHOME": None, "PROJ_DATA": "/mine"})
    assert "PYTHONHOME" not in changed
    assert changed["PROJ_DATA"] == "/mine"
    code = "import os; print(os.environ.get('PROJ_DATA'))"
    finished = run_program(python(code), {"PYTHONHOME": None, "PROJ_DATA": "/mine"}, Watching())
    assert finished.output.strip() == "/mine"


def test_a_program_that_is_gone_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        run_program([str(tmp_path / "alps-geo")], {}, Watching())


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_program_outlives_an_error_of_the_dialog(tmp_path: Path) -> None:
    class Broken(Watching):
        def progress(self, step: Progress) -> None:
            raise RuntimeError("the dialog is gone")

    step = json.dumps({"stage": "", "scene": "", "done": 0, "total": 0, "note": ""})
    note = tmp_path / "pid"
    code = (
        "import os, pathlib, sys, time; "
        f"pathlib.Path({str(note)!r}).write_text(str(os.getpid())); "
        f"print({step!r}, file=sys.stderr, flush=True); time.sleep(60)"
    )
    with pytest.raises(RuntimeError, match="the dialog is gone"):
        run_program(python(code), {}, Broken())
    assert not is_running(int(note.read_text()))


def test_a_program_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PATIENCE", 0.5)
    step = json.dumps({"stage": "tiles", "scene": "", "done": 1, "total": 2, "note": ""})
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"print({step!r}, file=sys.stderr, flush=True); time.sleep(3600)"
    )
    began = time.monotonic()
    finished = run_program(python(code), {}, Watching(cancel_at=("tiles", 1)))
    assert finished.code not in (0, 3)
    assert time.monotonic() - began < 600


def test_a_cancelled_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        *(str(program_path()), "label", "--progress=json", "--tile-size=256", "--points=none"),
        *("--clusters=3", f"--out={out}", "--", str(SCENE)),
    ]
    watching = Watching(cancel_at=("tiles", 1))
    stopped = run_program(command, {}, watching)
    assert stopped.code == TERMINATED
    assert stopped.lines == ("alps-geo: interrupted; the same command goes on where it stopped",)
    assert not (out / "run.json").exists()
    stored = {path: path.stat().st_mtime_ns for path in out.rglob("*.outlines.npz")}
    assert stored
    again = Watching()
    finished = run_program(command, {}, again)
    assert finished.code == 0, finished.lines
    assert (out / "neon_osbs_10cm" / "labels.tif").exists()
    assert {path: path.stat().st_mtime_ns for path in stored} == stored
    tiles = watching.steps[-1].total
    assert again.steps[-1].done == again.steps[-1].total == tiles - len(stored)


def test_other_lines_are_no_steps() -> None:
    assert step_of("note: no") is None
    assert step_of('{"stage": "tiles"}') is None
    assert step_of("{}") is None
