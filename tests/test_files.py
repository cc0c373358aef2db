"""What is said when a result cannot be written."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from alps_geo.errors import RunError
from alps_geo.files import run_errors


@pytest.mark.parametrize(("free", "is_full"), [(400_000, True), (9_000_000_000, False)])
def test_a_full_disk_is_said_whatever_the_library_says_of_it(
    free: int, is_full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(RunError) as error, run_errors(tmp_path / "a.gpkg", ValueError):
        raise ValueError("no such table: gpkg_contents")
    assert f"{free / 1e6:.1f} MB free in {tmp_path}" in str(error.value)
    assert ("the disk is as good as full" in str(error.value)) == is_full
