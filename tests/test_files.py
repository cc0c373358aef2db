"""Files of a run: what is said when one cannot be written, and how many may be open."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from alps_geo.errors import DiskError, RunError
from alps_geo.files import allow_open_files, run_errors


@pytest.mark.parametrize(("free", "is_full"), [(400_000, True), (9_000_000_000, False)])
def test_a_full_disk_is_said_whatever_the_library_says_of_it(
    free: int, is_full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(RunError) as error, run_errors(tmp_path / "a.gpkg", ValueError):
        raise ValueError("no such table: gpkg_contents")
    assert f"{free / 1e6:.1f} MB free in {tmp_path}" in str(error.value)
    assert ("the disk is as good as full" in str(error.value)) == is_full
    assert isinstance(error.value, DiskError) == is_full


def test_more_files_may_be_open_than_the_system_gives_at_first(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="there is no such limit on Windows")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        allow_open_files(300)
        with ExitStack() as stack:
            files = [stack.enter_context((tmp_path / str(i)).open("w")) for i in range(300)]
            assert len(files) == 300
        allow_open_files(3)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 556
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_library_that_refuses_is_told_from_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with (
        pytest.raises(RunError, match=r"cannot be written .*the disk has room") as refused,
        run_errors(path),
    ):
        Image.new("F", (2, 2)).save(path, format="PNG")
    assert not isinstance(refused.value, DiskError)
    with pytest.raises(DiskError, match="make room"), run_errors(tmp_path / "absent" / "a"):
        (tmp_path / "absent" / "a").write_text("")
    assert not list(tmp_path.glob("tmp*"))
