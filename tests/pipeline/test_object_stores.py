"""Runs in object stores: the same bytes as in a folder, whatever fails on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
import rasterio
from child_processes import ended
from helpers import DATA, alps_geo
from quarter_tiles import QuarterTiles
from rasterio.windows import Window
from s3_server import (
    BUCKET,
    Proxy,
    SlowReads,
    down_from,
    nothing_fails,
    running_server,
    some_requests_fail,
)
from share_runs import LONG

from alps_geo.errors import RunError
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.pipeline.tile_shares import ShareRequest, label_share
from alps_geo.runs.address import RunAddress, at_address
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.status import run_status
from alps_geo.runs.workers import at_work
from alps_geo.settings import LabelSettings
from alps_geo.tiles.shares import Share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alps_geo.runs.record import RunRecord

SETTINGS = LabelSettings(tile_size=64, overlap=16, clusters=3, fill="none")
TILES = 9


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A corner of a real scene: three rows of three tiles."""
    path = tmp_path_factory.mktemp("scene") / "corner.tif"
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        pixels = source.read(window=Window(0, 0, 160, 160))
        profile = {**source.profile, "height": 160, "width": 160}
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)
    return str(path)


@pytest.fixture(scope="module")
def expected(scene: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of the run in a folder, by their names."""
    out = tmp_path_factory.mktemp("local")
    label_scenes([scene], out, SETTINGS, generator=QuarterTiles())
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with running_server(monkeypatch) as found:
        yield found


@pytest.fixture
def address(proxy: Proxy, tmp_path: Path) -> RunAddress:
    return RunAddress(f"s3://{BUCKET}/some/run", tmp_path / "work")


def run(scene: str, address: RunAddress, **changes: bool) -> RunRecord:
    return label_scenes([scene], address, SETTINGS, RunFlags(**changes), generator=QuarterTiles())


def found(proxy: Proxy) -> dict[str, bytes]:
    return proxy.files("some/run")


def assert_same(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    assert found.keys() == expected.keys()
    different = {name for name in expected if found[name] != expected[name]}
    # Records tell the seconds that each stage took, and projects lead to the scene.
    assert different <= {"run.json", "alps.qgz"}
    records = [json.loads(each["run.json"]) for each in (found, expected)]
    for record in records:
        del record["seconds"]
    assert records[0] == records[1]


def test_a_run_in_a_store_is_that_in_a_folder(
    scene: str, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    record = run(scene, address)
    assert record.segments > 0
    assert_same(found(proxy), expected)
    with ZipFile(BytesIO(proxy.content("some/run/alps.qgz"))) as project:
        assert f"<datasource>{scene}</datasource>" in project.read("alps.qgs").decode()
    names = [name.removeprefix("some/run/") for name in proxy.puts()]
    assert names[0] == ".tiles/run.json"
    assert names[-1] == "run.json"
    # What is on this machine is of no more use.
    assert address.work is not None
    left = {path.name for path in address.work.rglob("*") if path.is_file()}
    assert left == {"lock", "address"}
    status = run_status(address)
    assert status.state == "finished"
    assert [(each.tiles, each.done) for each in status.scenes] == [(TILES, TILES)]
    assert status.workers == ()
    proxy.requests.clear()
    assert run(scene, address) == record
    assert proxy.puts() == []


def test_other_settings_are_refused_and_keep_tiles_with_overwrite(
    scene: str, address: RunAddress, proxy: Proxy
) -> None:
    run(scene, address)
    before = found(proxy)
    other = LabelSettings(tile_size=64, overlap=16, clusters=2, fill="none")
    with pytest.raises(RunError, match=f"s3://{BUCKET}/some/run holds another run"):
        label_scenes([scene], address, other, generator=QuarterTiles())
    with pytest.raises(RunError, match="holds another run"):
        label_share([scene], address, other, generator=QuarterTiles())
    assert found(proxy) == before
    proxy.requests.clear()
    flags = RunFlags(overwrite=True)
    record = label_scenes([scene], address, other, flags, generator=QuarterTiles())
    assert len(record.clusters) == 2
    assert not [name for name in proxy.puts() if "outlines" in name]
    deleted = [path for method, path in proxy.requests if method == "DELETE"]
    # Whoever finds a record finds the results that it tells of.
    assert deleted[0].endswith("/some/run/run.json")
    assert found(proxy).keys() == before.keys()


def test_results_of_somebody_else_are_not_replaced(
    scene: str, address: RunAddress, proxy: Proxy
) -> None:
    name = "some/run/corner/labels.tif"
    proxy.client.put_object(Bucket=BUCKET, Key=name, Body=b"mine")
    with pytest.raises(RunError, match=r"labels\.tif is there already"):
        run(scene, address)
    assert proxy.names() == [name]


def test_a_run_goes_on_after_requests_that_fail_now_and_then(
    scene: str, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    """Of two workers and the last command every seventh request is refused, every eleventh cut."""
    some_requests_fail(proxy)
    settings = replace(SETTINGS, workers=2)
    label_scenes([scene], address, settings, generator=QuarterTiles())
    nothing_fails(proxy)
    results = found(proxy)
    record = json.loads(results["run.json"])
    assert record["settings"].pop("workers") == 2
    results["run.json"] = json.dumps(
        {**record, "settings": {**record["settings"], "workers": 1}}
    ).encode()
    assert_same(results, expected)


@pytest.mark.parametrize("part", ["0001_0001.outlines.npz", "corner/segments.tif", "run/run.json"])
def test_a_run_whose_store_fails_goes_on(
    part: str,
    scene: str,
    address: RunAddress,
    expected: dict[str, bytes],
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the time on that an object is to be put no request is answered."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    down_from(proxy, part)
    with pytest.raises(RunError, match=r"cannot be written .* the same command goes on"):
        run(scene, address)
    nothing_fails(proxy)
    assert "some/run/run.json" not in proxy.names()
    done = {name for name in proxy.names() if name.endswith("outlines.npz")}
    assert run_status(address).scenes[0].done == len(done)
    proxy.requests.clear()
    run(scene, address)
    assert not done & set(proxy.puts())
    assert_same(found(proxy), expected)
    if "outlines" not in part:
        # Results that had been made are put, not made again.
        assert not [path for _, path in proxy.requests if path.endswith("embeddings.npz")]


@pytest.mark.usefixtures("patient_with_dask")
def test_workers_of_dask_put_tiles_into_the_store(
    scene: str, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    settings = replace(SETTINGS, dask="local:2")
    record = label_scenes([scene], address, settings, generator=QuarterTiles())
    assert record.segments > 0
    stored = found(proxy)
    tiles = {name for name in expected if name.endswith(".npz") and name.startswith(".tiles/")}
    assert tiles
    assert {name: stored[name] for name in tiles} == {name: expected[name] for name in tiles}
    assert not [name for name in stored if name.endswith(".partial")]


def test_tiles_are_fetched_a_few_at_the_same_time(
    scene: str, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    label_share([scene], address, SETTINGS, generator=QuarterTiles())
    proxy.requests.clear()
    reads = SlowReads(proxy, together=4)
    run(scene, address)
    assert 4 <= reads.most <= 8
    # Outlines and embeddings of each tile once.
    gets = [path for method, path in proxy.requests if method == "GET" and ".npz" in path]
    assert len(gets) <= 2 * TILES + 2
    nothing_fails(proxy)
    assert_same(found(proxy), expected)


def test_half_a_tile_is_made_again(
    scene: str, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    label_share([scene], address, SETTINGS, generator=QuarterTiles())
    (name,) = [name for name in proxy.names() if name.endswith("0001_0001.outlines.npz")]
    proxy.client.put_object(Bucket=BUCKET, Key=name, Body=proxy.content(name)[:-9])
    run(scene, address)
    assert_same(found(proxy), expected)


def test_shards_share_a_store(
    scene: str, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    done = 0
    for number in (1, 2, 1):
        request = ShareRequest(Share(number, 2))
        proxy.requests.clear()
        found_ = label_share([scene], address, SETTINGS, request, generator=QuarterTiles())
        tiles = [name for name in proxy.puts() if name.endswith("outlines.npz")]
        done += len(tiles)
        assert found_.done == done
    assert done == TILES
    assert not tiles
    assert address.work is not None
    assert not address.work.exists()
    status = run_status(address)
    assert status.state == "unfinished"
    assert status.scenes[0].left == 0
    with at_work(at_address(address), "shard 2/2"):
        status = run_status(address)
        assert status.state == "running"
        assert [worker.task for worker in status.workers] == ["shard 2/2"]
    proxy.requests.clear()
    run(scene, address)
    assert not [name for name in proxy.puts() if name.endswith("outlines.npz")]
    assert_same(found(proxy), expected)


def test_the_record_in_a_store_says_which_machine_made_which_tiles(
    scene: str, address: RunAddress, proxy: Proxy
) -> None:
    request = ShareRequest(Share(1, 2))
    label_share([scene], address, SETTINGS, request, generator=QuarterTiles())
    folder = at_address(address)
    notes = folder.tile_storage(folder.workers_path.name)
    (name,) = notes.names()
    note = json.loads(notes.read(name) or b"")
    ((machine, scenes),) = note["tiles"].items()
    notes.put(name, json.dumps({**note, "tiles": {"cuda (H100)": scenes}}).encode())
    run(scene, address)
    here, there = json.loads(found(proxy)["run.json"])["machines"]
    assert (here["name"], there["name"]) == (machine, "cuda (H100)")
    assert here["tiles"] + there["tiles"] == TILES
    assert there["scenes"] == scenes


KILLED = """
import sys
from pathlib import Path
from quarter_tiles import QuarterTiles
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.address import RunAddress, at_address
from alps_geo.settings import LabelSettings
settings = LabelSettings(tile_size=64, overlap=16, clusters=3, fill="none")
address = RunAddress(sys.argv[2], Path(sys.argv[3]))
label_scenes([sys.argv[1]], address, settings, generator=QuarterTiles())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills runs by signal")
@pytest.mark.parametrize("part", ["0001_0002.outlines.npz", "corner/segments.gpkg"])
def test_a_killed_run_goes_on(
    part: str, scene: str, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    """It is killed while an object is on its way, which does not arrive."""
    command = [sys.executable, "-c", KILLED, scene, str(address), str(address.work)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}

    def fault(request: tuple[str, str]) -> str:
        if request[0] == "PUT" and request[1].endswith(part):
            process.send_signal(signal.SIGKILL)
            return "cut"
        return ""

    proxy.fault = fault
    process = subprocess.Popen(command, env=environment)
    with ended(process):
        assert process.wait(LONG) == -signal.SIGKILL
    nothing_fails(proxy)
    assert "some/run/run.json" not in proxy.names()
    run(scene, address)
    assert_same(found(proxy), expected)


def test_a_run_that_is_fetched_without_tiles_is_changed_as_ever(
    scene: str, address: RunAddress, proxy: Proxy, tmp_path: Path
) -> None:
    run(scene, address)
    folder = tmp_path / "fetched"
    for name, content in found(proxy).items():
        if not name.endswith(("outlines.npz", "embeddings.npz")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    outcome = alps_geo("clusters", "name", folder, "1=water")
    assert outcome.exit_code == 0
    assert "water" in outcome.stdout
    merged = alps_geo("clusters", "merge", folder, "1", "2")
    assert merged.exit_code == 0


def test_a_working_folder_of_something_else_is_left_alone(
    scene: str, address: RunAddress, tmp_path: Path
) -> None:
    assert address.work is not None
    address.work.mkdir()
    (address.work / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty, expected a new folder"):
        run(scene, address)
    assert [path.name for path in address.work.rglob("*")] == ["mine.txt"]
    used = RunAddress(str(address), tmp_path / "used")
    run(scene, used)
    other = RunAddress(f"s3://{BUCKET}/other", tmp_path / "used")
    with pytest.raises(RunError, match="is where results of s3://bucket/some/run are made"):
        run(scene, other)
