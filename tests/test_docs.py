"""Pages that are made from the settings."""

import subprocess
import sys
from pathlib import Path

MAKER = Path(__file__).parent.parent / "docs" / "make_options.py"


def test_the_pages_of_options_are_up_to_date() -> None:
    found = subprocess.run(
        [sys.executable, str(MAKER), "--check"], capture_output=True, text=True, check=False
    )
    assert found.stdout + found.stderr == ""
    assert found.returncode == 0
