"""Programs for the Python of QGIS, which is another than that of the tests."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PYTHON_OF_QGIS = "/usr/bin/python3"


@cache
def has_qgis() -> bool:
    try:
        command = [PYTHON_OF_QGIS, "-c", "import qgis.core"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def in_qgis(program: str, path: Path, *more: str) -> dict[str, Any]:
    """Run a program of tests/outputs on a file; return the JSON that it prints."""
    if not has_qgis():
        pytest.skip(f"{PYTHON_OF_QGIS} has no qgis.core: install python3-qgis")
    found = subprocess.run(
        [PYTHON_OF_QGIS, Path(__file__).parent / "outputs" / program, path, *more],
        env={"PATH": os.environ["PATH"], "QT_QPA_PLATFORM": "offscreen", "HOME": str(path.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    result: dict[str, Any] = json.loads(found.stdout)
    return result
