"""Missing files of mosaics, each run in a process of its own, as a command is.

Errors that GDAL passes over are heard in rasterio's log alone, and other tests of a process leave
that in a state in which they are not.
"""

import subprocess
import sys
from pathlib import Path


def test_missing_files_of_mosaics_are_noticed() -> None:
    tests = Path(__file__).with_name("scene_mosaics.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", str(tests)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tests.parent.parent)
    assert found.returncode == 0, found.stdout[-4000:]
    assert " passed" in found.stdout
