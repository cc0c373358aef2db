"""Workers of a Dask scheduler make the tiles that this process makes."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import pytest
from dask_workers import Deadly, Meeting, raise_error, scheduler, wait_for_workers, worker
from distributed import Client
from helpers import DATA, alps_geo
from share_runs import LONG
from stand_in import BrightRegions

from alps_geo.errors import RunError, SceneError
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.settings import LabelSettings
from alps_geo.settings.scheduler import SchedulerAddress
from alps_geo.tiles.dask import connected
from alps_geo.tiles.dask_executor import DaskExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.events import Event

pytestmark = pytest.mark.usefixtures("patient_with_dask")

SCENE = str(DATA / "neon_osbs_10cm.tif")
SETTINGS = {"tile_size": 160, "overlap": 16, "clusters": 4}


def results(folder: Path) -> dict[str, bytes]:
    """Return the files of a run but the record, which tells of times."""
    kept = (".tif", ".npz", ".gpkg", ".csv", ".png")
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in kept
    }
    assert len(found) > 5
    return found


def label(
    out: Path, scene: str = SCENE, generator: BrightRegions | None = None, **settings: Any
) -> list[Event]:
    """Label a scene with a stand-in for SAM; return the events."""
    events: list[Event] = []
    label_scenes(
        [scene],
        out,
        LabelSettings(**{**SETTINGS, **settings}),
        generator=generator or BrightRegions(),
        listen=events.append,
    )
    return events


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected")
    label(out)
    return results(out)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("dask")
    with scheduler(folder) as (file, _), worker(file, "one"), worker(file, "two"):
        wait_for_workers(file, 2)
        yield file


def test_workers_elsewhere_leave_the_same_bytes(
    expected: dict[str, bytes], two_workers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers were started in another folder.
    monkeypatch.chdir(tmp_path)
    scene = os.path.relpath(SCENE)
    generator = Meeting(folder=str(tmp_path / "meeting"))
    events = label(Path("out"), scene, generator, dask=str(two_workers))
    assert {event.tile.worker for event in events if event.tile} == {"one", "two"}
    assert (events[-1].computed, events[-1].tiles) == (9, 9)
    assert results(tmp_path / "out") == expected
    assert not [*(tmp_path / "out" / ".tiles").glob(".*.partial")]


def test_workers_of_this_machine_leave_the_same_bytes(
    expected: dict[str, bytes], tmp_path: Path
) -> None:
    label(tmp_path, dask="local:2")
    assert results(tmp_path) == expected


def test_a_function_is_mapped_in_order(two_workers: Path) -> None:
    executor = DaskExecutor(SchedulerAddress.read(str(two_workers)), 10)
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for n in range(500):
            drawn.append(n)
            yield n

    found = executor.map(partial(partial, pow, 2), items())
    assert [next(found) for _ in range(3)] == [1, 2, 4]
    assert len(drawn) < 100
    assert list(found) == [2**n for n in range(3, 500)]


def test_errors_of_a_mapped_function_end_the_map(two_workers: Path) -> None:
    executor = DaskExecutor(SchedulerAddress.read(str(two_workers)), 10)
    with pytest.raises(SceneError, match=r"the third \(on worker (one|two)\)"):
        list(executor.map(partial(partial, raise_error), [3]))
    with pytest.raises(RuntimeError, match=r"in raise_error\n(.|\n)*ZeroDivisionError"):
        list(executor.map(partial(partial, raise_error), [5]))


def test_a_worker_that_dies_costs_no_tile(expected: dict[str, bytes], tmp_path: Path) -> None:
    with scheduler(tmp_path) as (file, _), worker(file, "one"), worker(file, "two"):
        wait_for_workers(file, 2)
        events = label(
            tmp_path / "out",
            generator=Deadly(counter=str(tmp_path / "deaths")),
            dask=str(file),
        )
    assert (tmp_path / "deaths").read_text() == "x"
    assert sum(event.tile is not None for event in events) == 9
    assert results(tmp_path / "out") == expected


def test_a_tile_that_kills_its_workers_fails_with_a_reason(tmp_path: Path) -> None:
    once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with (
        scheduler(tmp_path, environment=once) as (file, _),
        worker(file, "one"),
        worker(file, "two"),
        worker(file, "three"),
    ):
        wait_for_workers(file, 3)
        generator = Deadly(counter=str(tmp_path / "deaths"), deaths=2)
        events = label(tmp_path / "out", generator=generator, dask=str(file))
    tiles = [event.tile for event in events if event.tile]
    failed = [tile for tile in tiles if tile.reason]
    assert [tile.title for tile in failed] == ["tile at row 0, column 0"]
    assert "the worker at work on it died, 1 times in all, perhaps for lack" in str(failed[0])
    assert len(tiles) == 9


def test_a_scheduler_that_comes_back_is_given_what_is_left(
    expected: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, again = tmp_path / "first", tmp_path / "again"
    first.mkdir()
    again.mkdir()
    with ExitStack() as later, scheduler(first) as (file, process), worker(file, "one"):
        wait_for_workers(file, 1)
        shared = tmp_path / "scheduler.json"
        shared.write_bytes(file.read_bytes())
        notes = []

        def listen(event: Event) -> None:
            if event.tile is not None and process.poll() is None:
                process.kill()
                process.wait()
            if event.note:
                notes.append(event.note)
            if "is gone" in event.note:
                other, _ = later.enter_context(scheduler(again))
                later.enter_context(worker(other, "two"))
                shared.write_bytes(other.read_bytes())

        settings: dict[str, Any] = {**SETTINGS, "dask": str(shared)}
        label_scenes(
            [SCENE], out, LabelSettings(**settings), generator=BrightRegions(), listen=listen
        )
    assert any("is gone: waiting up to 60 s for it to come back" in note for note in notes)
    assert results(out) == expected


def test_a_scheduler_that_stays_away_ends_the_run_which_goes_on_later(
    expected: dict[str, bytes], tmp_path: Path
) -> None:
    with scheduler(tmp_path) as (file, process), worker(file, "one"):
        wait_for_workers(file, 1)

        def listen(event: Event) -> None:
            if event.tile is not None and process.poll() is None:
                process.kill()

        settings: dict[str, Any] = {**SETTINGS, "dask": str(file), "wait": 0.5}
        with pytest.raises(RunError, match=r"no Dask scheduler answers at .*tiles that are done"):
            label_scenes(
                [SCENE],
                tmp_path / "out",
                LabelSettings(**settings),
                generator=BrightRegions(),
                listen=listen,
            )
    events = label(tmp_path / "out")
    assert events[-1].skipped >= 1
    assert results(tmp_path / "out") == expected


UNFIT: dict[str, tuple[str, str]] = {
    "nothing": (
        "import sys; sys.modules['alps_geo'] = None",
        "cannot run alps-geo .*No module named",
    ),
    "other version": (
        "from alps_geo.tiles import shipped\nshipped.PACKAGES = ('alps-geo',)\n"
        "shipped.version = lambda name: '9.9'",
        r"worker bad has alps-geo 9.9 \(here .*\), torch None",
    ),
}


@pytest.mark.parametrize("setup", UNFIT)
def test_a_worker_with_another_program_is_named(setup: str, tmp_path: Path) -> None:
    code, message = UNFIT[setup]
    with scheduler(tmp_path) as (file, _), worker(file, "bad", setup=code):
        wait_for_workers(file, 1)
        with pytest.raises(RunError, match=message):
            label(tmp_path / "out", dask=str(file))


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="each process has a folder there")
@pytest.mark.parametrize("part", ["scene", "run folder"])
def test_a_worker_that_does_not_see_the_files_is_named(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A path that leads to the folder of each process is there for this one alone.
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "scene.tif").write_bytes(Path(SCENE).read_bytes())
    monkeypatch.chdir(here)
    own = Path("/proc/self/cwd")
    scene = own / "scene.tif" if part == "scene" else SCENE
    out = own / "out" if part == "run folder" else tmp_path / "out"
    expected = {"scene": r"cannot do this work: .*scene\.tif", "run folder": "does not see the run"}
    with scheduler(tmp_path) as (file, _), worker(file, "blind", folder=there):
        wait_for_workers(file, 1)
        with pytest.raises(RunError, match=f"worker blind {expected[part]}.*stop that worker"):
            label(out, str(scene), dask=str(file))


def test_tiles_go_to_workers_that_announce_gpus(tmp_path: Path) -> None:
    with (
        scheduler(tmp_path) as (file, _),
        worker(file, "plain"),
        worker(file, "gpu", "--resources", "GPU=1"),
    ):
        wait_for_workers(file, 2)
        events = label(tmp_path / "out", dask=str(file))
    assert {event.tile.worker for event in events if event.tile} == {"gpu"}


def test_an_address_where_nobody_listens_is_one_line_within_seconds(tmp_path: Path) -> None:
    start = time.monotonic()
    # Else the library tries again for so long.
    with (
        dask.config.set({"distributed.comm.timeouts.connect": LONG}),
        pytest.raises(
            RunError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 \(.*refused\): start"
        ),
    ):
        label(tmp_path / "out", dask="tcp://127.0.0.1:9")
    assert time.monotonic() - start < LONG


@pytest.mark.parametrize(
    ("first", "message"),
    [(b"", "no answer within 5 s"), (b"HTTP/1.1 400 Bad Request\r\n", "another program answers")],
)
def test_another_program_at_the_address_is_one_line_within_seconds(
    first: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alps_geo.tiles.dask._SECONDS_TO_CONNECT", 5.0)
    told = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                connection.sendall(first)
                connection.recv(1)
                told.wait(LONG)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        start = time.monotonic()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RunError, match=rf"no Dask scheduler answers at {address} .*{message}"):
            connected(SchedulerAddress.read(address))
        assert time.monotonic() - start < LONG
        told.set()
        thread.join()
    # A connection that is left open warns when it is collected.
    gc.collect()


def test_the_address_of_a_worker_is_told(two_workers: Path) -> None:
    with Client(scheduler_file=str(two_workers), set_as_default=False) as client:
        address = next(iter(client.scheduler_info()["workers"]))
    with pytest.raises(RunError, match="it is the address of a worker"):
        connected(SchedulerAddress.read(address))


def test_a_run_without_a_worker_says_so_and_ends(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (file, _):
        found = alps_geo("label", SCENE, "--out", tmp_path / "out", "--dask", file, "--wait", 1)
    assert found.exit_code == 1
    assert "no Dask worker is there: waiting up to 1 s for one" in found.stderr
    assert "error: no Dask worker came within 1 s: start some by `dask worker`" in found.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:8786", "expected tcp://HOST:PORT of a Dask scheduler"),
        ("local:0", "expected tcp://HOST:PORT"),
        ("local", "expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1:70000", "expected tcp://HOST:PORT"),
    ],
)
def test_text_that_is_no_address_is_wrong_usage(address: str, message: str, tmp_path: Path) -> None:
    found = alps_geo("label", SCENE, "--out", tmp_path / "out", "--dask", address)
    assert found.exit_code == 2
    assert message in found.stderr


def test_processes_and_dask_exclude_each_other(tmp_path: Path) -> None:
    found = alps_geo("label", SCENE, "--out", tmp_path / "out", "--dask", "local:2", "--workers", 2)
    assert found.exit_code == 2
    assert "expected one of them" in found.stderr


NO_FILES = {
    None: "and there is no such scheduler file",
    "{}": "and that is no scheduler file",
    '{"address": 3}': "and that is no scheduler file",
}


@pytest.mark.parametrize("text", NO_FILES)
def test_a_scheduler_file_that_is_none_is_told_before_scenes_are_opened(
    text: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "scheduler.json"
    if text is not None:
        file.write_text(text)
    out = ("--out", tmp_path / "out", "--dask", file)
    scene, folder = tmp_path / "unreadable.tif", tmp_path / "empty"
    scene.touch()
    folder.mkdir()
    for command in (
        ("label", scene),
        ("label", scene, "--only", "tiles"),
        ("dataset", "label", folder),
        ("dataset", "label", folder, "--only", "tiles"),
        ("train", "predict", scene, "--model", folder),
        ("train", "predict", scene, "--model", folder, "--only", "tiles"),
    ):
        found = alps_geo(*command, *out)
        assert found.exit_code == 2
        assert f"dask is '{file}', {NO_FILES[text]}" in found.stderr


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from alps_geo_cli.main import run\nsys.exit(run())"
    )
    command = [sys.executable, "-c", code, "label", SCENE, "--out", str(tmp_path / "out")]
    found = subprocess.run([*command, "--dask", "local:2"], capture_output=True, text=True)
    assert found.returncode == 1
    assert "pip install 'alps-geo[dask]'" in found.stderr
