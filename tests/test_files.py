"""Files of a run: what is said when one cannot be written, and how many may be open."""

import errno
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from alps_geo.errors import DiskError, RunError
from alps_geo.files import allow_open_files, put_bytes, run_errors


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


Rename = Callable[[Path, Path], Path]


def done_but_reported_as(number: int) -> Callable[[Rename], Rename]:
    """Make a rename that is done, and of which an answer was lost."""

    def wrap(rename: Rename) -> Rename:
        def late(part: Path, path: Path) -> Path:
            rename(part, path)
            raise OSError(number, os.strerror(number))

        return late

    return wrap


def not_done_at_first(rename: Rename) -> Rename:
    """Make a rename that fails twice."""
    calls = iter(range(9))

    def stale(part: Path, path: Path) -> Path:
        if next(calls) < 2:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return rename(part, path)

    return stale


def lost_at_first(rename: Rename) -> Rename:
    """Make a rename that loses the first file altogether."""
    calls = iter(range(9))

    def lose(part: Path, path: Path) -> Path:
        if next(calls) == 0:
            part.unlink()
        return rename(part, path)

    return lose


@pytest.mark.parametrize(
    "network",
    [
        done_but_reported_as(errno.ENOENT),
        done_but_reported_as(errno.EEXIST),
        done_but_reported_as(errno.EIO),
        not_done_at_first,
        lost_at_first,
    ],
)
@pytest.mark.parametrize("unseen", [0, 3])
def test_a_network_that_answers_late_or_twice_loses_no_file(
    network: Callable[[Rename], Rename],
    unseen: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, looks, read = tmp_path / "tiles" / "a.npz", iter(range(99)), Path.read_bytes

    def seen_late(found: Path) -> bytes:
        if found == path and next(looks) < unseen:
            raise FileNotFoundError(errno.ENOENT, "not yet")
        return read(found)

    waits: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", waits.append)
        patch.setattr(Path, "replace", network(Path.replace))
        patch.setattr(Path, "read_bytes", seen_late)
        put_bytes(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert [each.name for each in path.parent.iterdir()] == ["a.npz"]
    assert sum(waits) < 30


def test_a_disk_that_loses_each_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)

    def lose(part: Path, path: Path) -> Path:
        part.unlink(missing_ok=True)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Path, "replace", lose)
    with pytest.raises(DiskError, match=r"a\.npz: cannot be written .*loses files"):
        put_bytes(tmp_path / "a.npz", b"whole")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_at_once_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: seconds and pytest.fail("waits"))
    path = tmp_path / "a.npz"
    put_bytes(path, b"before")

    def full(part: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskError, match="No space left"):
        put_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Whoever is last wins, and a file is whole at each moment."""
    path, data = tmp_path / "a.npz", [bytes([number]) * 200_000 for number in range(4)]
    put_bytes(path, data[0])
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(put_bytes, path, each) for each in data * 10]
        while not all(write.done() for write in writes):
            assert path.read_bytes() in data
        for write in writes:
            write.result()
    assert list(tmp_path.iterdir()) == [path]
