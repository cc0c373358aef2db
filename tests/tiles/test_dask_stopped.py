"""Runs with workers of Dask on this machine that are stopped as a terminal or Slurm does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest
from child_processes import ended
from dask_workers import ROOT
from helpers import DATA, alps_geo
from share_runs import LONG, tile_files, wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops runs by signal")

PROGRAM = """
import signal
# What a shell starts in the background is deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from stand_in import SlowRegions
from alps_geo.pipeline import stages
stages.make_generator = lambda *_: SlowRegions(0.5)
from alps_geo_cli.main import run
run()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_with_its_workers_ends_in_one_line(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    paths = os.pathsep.join(str(ROOT / name) for name in ("tests", "benchmarks"))
    small = ("--tile-size", "64", "--overlap", "8", "--clusters", "3", "--quiet")
    command = ("label", str(DATA / "neon_osbs_10cm.tif"), "--out", str(tmp_path), *small)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command, "--dask", "local:2"],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with ended(process):
        wait_for(lambda: len(tile_files(tmp_path)) > 2)
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) > 2
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=LONG)
        assert errors == "alps-geo: interrupted; the same command goes on where it stopped\n"
        assert process.returncode == code
    wait_for(lambda: not any(worker.is_running() for worker in workers))
    assert json.loads(alps_geo("status", tmp_path, "--json").stdout)["state"] == "stopped"
