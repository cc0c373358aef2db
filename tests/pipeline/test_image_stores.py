"""Runs over folders of images in object stores: the same files as in a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from helpers import alps_geo
from image_folders import files, label, make_root, naip, save
from quarter_tiles import QuarterTiles
from s3_server import (
    BUCKET,
    Proxy,
    SlowReads,
    down_from,
    nothing_fails,
    running_server,
    some_requests_fail,
)

from alps_geo.errors import RunError
from alps_geo.features.mapping import HERE
from alps_geo.pipeline.image_plan import folder_request, plan_images
from alps_geo.pipeline.image_shares import label_image_share
from alps_geo.pipeline.tile_shares import ShareRequest
from alps_geo.runs.address import RunAddress, open_folder
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.status import run_status
from alps_geo.settings import LabelSettings
from alps_geo.tiles.shares import Share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = LabelSettings(clusters=3, fill="none")
IMAGES = 6


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def expected(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the run in a folder, by their names."""
    out = tmp_path_factory.mktemp("local")
    label(root, out)
    return files(out)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with running_server(monkeypatch) as found:
        yield found


@pytest.fixture
def address(proxy: Proxy, tmp_path: Path) -> RunAddress:
    return RunAddress(f"s3://{BUCKET}/some/run", tmp_path / "work")


def on_a_fresh_machine(address: RunAddress) -> RunAddress:
    assert address.work is not None
    return RunAddress(address.text, address.work.with_name("fresh"))


def assert_same(proxy: Proxy, expected: dict[str, bytes]) -> None:
    """Compare a run with that in a folder, which keeps no columns outside of its tables."""
    found = proxy.files("some/run")
    columns = {name for name in found if name.endswith(".columns.npz")}
    assert len(columns) == IMAGES
    records = {"run.json", ".tiles/run.json"}
    assert {name: found[name] for name in found.keys() - columns - records} == expected


def puts(proxy: Proxy, ending: str) -> list[str]:
    return [name for name in proxy.puts() if name.endswith(ending)]


def test_a_run_in_a_store_is_that_in_a_folder(
    root: Path, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    record = label(root, address)
    assert_same(proxy, expected)
    names = [name.removeprefix("some/run/") for name in proxy.puts()]
    assert names[0] == ".tiles/run.json"
    assert names[-1] == "run.json"
    assert len(puts(proxy, ".image.npz")) == IMAGES
    assert address.work is not None
    left = {path.name for path in address.work.rglob("*") if path.is_file()}
    assert left == {"lock", "address"}
    status = run_status(address)
    assert (status.state, status.images, status.workers) == ("finished", True, ())
    assert sum(split.done for split in status.scenes) == IMAGES
    proxy.requests.clear()
    assert label(root, on_a_fresh_machine(address)) == record
    assert proxy.puts() == []


@pytest.mark.parametrize(
    ("dask", "in_store"), [("local:2", True), ("local:2", False), (None, True)]
)
def test_workers_of_dask_are_given_no_work_on_the_folder_of_this_machine(
    root: Path, address: RunAddress, tmp_path: Path, dask: str | None, in_store: bool
) -> None:
    request = folder_request(root, replace(SETTINGS, dask=dask), None)
    folder = open_folder(address if in_store else tmp_path / "out")
    run = plan_images(request, folder, QuarterTiles(), lambda _: None)
    assert run.mapper is (HERE if dask and in_store else run.executor)


def test_workers_of_dask_put_images_into_the_store(
    root: Path, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    label(root, address, dask="local:2")
    assert_same(proxy, expected)
    assert len(puts(proxy, ".image.npz")) == IMAGES
    # What follows is the work of this process, so that all has left its folder.
    assert address.work is not None
    left = {path.name for path in address.work.rglob("*") if path.is_file()}
    assert left == {"lock", "address"}


def test_other_clusters_need_no_image_again(
    root: Path, address: RunAddress, proxy: Proxy, tmp_path: Path
) -> None:
    label(root, address)
    with pytest.raises(RunError, match=r"holds another run \(other images, settings"):
        label(root, address, clusters=2)
    proxy.requests.clear()
    flags = RunFlags(overwrite=True)
    record = label(root, on_a_fresh_machine(address), clusters=2, flags=flags)
    assert len(record.clusters) == 2
    assert puts(proxy, ".image.npz") == []
    label(root, tmp_path / "local", clusters=2)
    assert_same(proxy, files(tmp_path / "local"))


@pytest.mark.parametrize(
    "part", ["chip.2.image.npz", "instance_mask/val/chip.1_instance_color.png", "run/run.json"]
)
def test_a_run_whose_store_fails_goes_on_elsewhere(
    part: str,
    root: Path,
    address: RunAddress,
    expected: dict[str, bytes],
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    down_from(proxy, part)
    with pytest.raises(RunError, match=r"cannot be written .* the same command goes on"):
        label(root, address)
    nothing_fails(proxy)
    assert "some/run/run.json" not in proxy.names()
    done = {name for name in proxy.names() if name.endswith(".image.npz")}
    assert sum(split.done for split in run_status(address).scenes) == len(done)
    proxy.requests.clear()
    label(root, on_a_fresh_machine(address))
    assert not done & set(proxy.puts())
    assert_same(proxy, expected)


def test_a_run_goes_on_after_requests_that_fail_now_and_then(
    root: Path, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    some_requests_fail(proxy)
    label(root, address, workers=2)
    nothing_fails(proxy)
    assert_same(proxy, expected)


def test_shards_share_a_store(
    root: Path, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    done = 0
    for number in (1, 2, 1):
        request = ShareRequest(Share(number, 2))
        proxy.requests.clear()
        found = label_image_share(
            root, address, SETTINGS, request=request, generator=QuarterTiles()
        )
        done += len(puts(proxy, ".image.npz"))
        assert found.done == done
    assert done == IMAGES
    proxy.requests.clear()
    label(root, address)
    assert puts(proxy, ".image.npz") == []
    assert_same(proxy, expected)


def test_images_are_fetched_a_few_at_the_same_time(
    root: Path, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    label_image_share(root, address, SETTINGS, generator=QuarterTiles())
    proxy.requests.clear()
    reads = SlowReads(proxy, together=4)
    label(root, address)
    assert 4 <= reads.most <= 8
    # Columns and segments of each image once.
    gets = [path for method, path in proxy.requests if method == "GET" and ".npz" in path]
    assert len(gets) == 2 * IMAGES
    nothing_fails(proxy)
    assert_same(proxy, expected)


def test_half_an_image_is_made_again(
    root: Path, address: RunAddress, expected: dict[str, bytes], proxy: Proxy
) -> None:
    label_image_share(root, address, SETTINGS, generator=QuarterTiles())
    name = next(name for name in proxy.names() if name.endswith("chip.0.image.npz"))
    proxy.client.put_object(Bucket=BUCKET, Key=name, Body=proxy.content(name)[:-9])
    label(root, address)
    assert_same(proxy, expected)


def test_an_image_that_changed_is_another_run(
    tmp_path: Path, address: RunAddress, proxy: Proxy
) -> None:
    root = make_root(tmp_path / "root", 2, 1)
    label(root, address)
    save(root / "img_dir/train/chip.0.png", naip(256, 0))
    with pytest.raises(RunError, match=r"holds another run \(other images"):
        label(root, address)
    label(root, address, flags=RunFlags(overwrite=True))
    label(root, tmp_path / "local")
    found, local = proxy.files("some/run"), files(tmp_path / "local")
    masks = {name for name in local if name.startswith("instance_mask/")}
    assert len(masks) == 3
    assert {name: found[name] for name in masks} == {name: local[name] for name in masks}


def test_masks_of_somebody_else_are_told(root: Path, address: RunAddress, proxy: Proxy) -> None:
    name = "some/run/instance_mask/train/mine.png"
    proxy.client.put_object(Bucket=BUCKET, Key=name, Body=b"mine")
    with pytest.raises(RunError, match=r"s3://bucket/some/run/instance_mask/train/mine\.png is of"):
        label(root, address)
    assert proxy.names() == [name]


@pytest.mark.usefixtures("images_encoded_once")
def test_the_command_puts_its_log_next_to_the_masks(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_root(tmp_path / "root", 1, 1)
    monkeypatch.chdir(tmp_path)
    out = f"s3://{BUCKET}/masks"
    options = ("--points", "none", "--work", "work", "--clusters", "3")
    outcome = alps_geo("dataset", "label", root, "--out", out, *options)
    assert outcome.exit_code == 0, outcome.stderr
    assert f"{out}/instance_mask/" in outcome.stdout
    found = proxy.files("masks")
    assert "instance_mask/val/chip.0_instance_color.png" in found
    assert "finished: 2 images" in found["logs/alps-geo.log"].decode()
    assert json.loads(found["run.json"])["segments"] > 0
    again = ("dataset", "label", root, "--out", out, *options[:-1], "2")
    refused = alps_geo(*again)
    assert refused.exit_code == 1
    assert "holds another run" in refused.stderr
    assert alps_geo(*again, "--overwrite").exit_code == 0
    log = proxy.files("masks")["logs/alps-geo.log"].decode()
    assert log.startswith(found["logs/alps-geo.log"].decode())
    assert log.count("finished: 2 images") == 2
    status = alps_geo("status", out)
    assert "The run has finished" in status.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"root", "work"}
