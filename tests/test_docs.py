"""Pages that are made from the code."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("maker", ["make_options.py", "make_map.py"])
def test_pages_are_up_to_date(maker: str) -> None:
    found = subprocess.run(
        [sys.executable, str(DOCS / maker), "--check"], capture_output=True, text=True, check=False
    )
    assert found.stdout + found.stderr == ""
    assert found.returncode == 0
