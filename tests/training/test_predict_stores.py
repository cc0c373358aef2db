"""Predictions in object stores: the same maps as in a folder."""

from __future__ import annotations

import json
from shutil import copytree
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from edited_runs import SCENES, finished_crops
from helpers import alps_geo
from random_models import cut, write_random_model
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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = ("--tile-size", 64, "--overlap", 16, "--device", "cpu")
ADDRESS = f"s3://{BUCKET}/some/maps"
TILES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model, a scene, and its prediction in a folder."""
    made = tmp_path_factory.mktemp("stores")
    write_random_model(made / "model")
    cut(made / "crop.tif", "neon_osbs_10cm.tif", Window(100, 60, 200, 160))
    outcome = predict(made, made / "local")
    assert outcome.exit_code == 0, outcome.stderr
    return made


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with running_server(monkeypatch) as found:
        yield found


def predict(folder: Path, out: object, *options: object) -> Any:
    scene, model = folder / "crop.tif", folder / "model"
    command = ("train", "predict", scene, "--model", model, "--out", out)
    return alps_geo(*command, *OPTIONS, *options)


def assert_done(folder: Path, proxy: Proxy) -> None:
    """Compare the prediction in the store with that in the folder."""
    local = {
        path.relative_to(folder / "local").as_posix(): path.read_bytes()
        for path in (folder / "local").rglob("*")
        if path.is_file() and path.name != "lock"
    }
    found = proxy.files("some/maps")
    assert found.keys() == local.keys()
    assert {name for name in found if found[name] != local[name]} <= {"run.json"}
    records = [json.loads(each["run.json"]) for each in (found, local)]
    for record in records:
        del record["seconds"], record["settings"]["dask"]
    assert records[0] == records[1]


def tiles(names: list[str]) -> set[str]:
    return {name for name in names if name.endswith(".probabilities.npz")}


def test_a_prediction_in_a_store_is_that_in_a_folder(folder: Path, proxy: Proxy) -> None:
    outcome = predict(folder, ADDRESS)
    assert outcome.exit_code == 0, outcome.stderr
    assert f"{ADDRESS}/crop/" in outcome.stdout
    assert_done(folder, proxy)
    names = [name.removeprefix("some/maps/") for name in proxy.puts()]
    assert names[0] == ".tiles/run.json"
    assert names[-1] == "run.json"
    assert len(tiles(names)) == TILES
    assert "has finished" in alps_geo("status", ADDRESS).stdout
    proxy.requests.clear()
    assert predict(folder, ADDRESS, "--quiet").exit_code == 0
    assert proxy.puts() == []


@pytest.mark.parametrize("part", ["0001_0002.probabilities.npz", "crop/classes.tif"])
def test_a_prediction_whose_store_fails_goes_on_elsewhere(
    part: str, folder: Path, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    down_from(proxy, part)
    outcome = predict(folder, ADDRESS, "--work", tmp_path / "first")
    assert outcome.exit_code == 1
    assert "cannot be written (Please reduce your request rate.)" in outcome.stderr
    nothing_fails(proxy)
    done = tiles(proxy.names())
    assert f"{TILES - len(done)}" in alps_geo("status", ADDRESS).stdout
    proxy.requests.clear()
    assert predict(folder, ADDRESS, "--work", tmp_path / "second").exit_code == 0
    assert not done & tiles(proxy.puts())
    assert_done(folder, proxy)


def test_a_store_that_fails_while_maps_are_written_stops_the_run(
    folder: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scene whose tiles cannot be fetched is none whose results cannot be written."""
    assert predict(folder, ADDRESS, "--only", "tiles").exit_code == 0
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    last = "0002_0003.probabilities.npz"
    proxy.fault = lambda request: "503" if request[1].endswith(last) else ""
    outcome = predict(folder, ADDRESS)
    assert outcome.exit_code == 1
    assert f"{last}: cannot be read" in outcome.stderr
    nothing_fails(proxy)
    assert "some/maps/run.json" not in proxy.names()
    assert predict(folder, ADDRESS).exit_code == 0
    assert_done(folder, proxy)


def test_tiles_are_fetched_a_few_at_the_same_time(folder: Path, proxy: Proxy) -> None:
    assert predict(folder, ADDRESS, "--only", "tiles").exit_code == 0
    proxy.requests.clear()
    reads = SlowReads(proxy, together=4)
    assert predict(folder, ADDRESS).exit_code == 0
    assert 4 <= reads.most <= 8
    # Once for classes and their probabilities.
    gets = [path for method, path in proxy.requests if method == "GET" and ".npz" in path]
    assert len(gets) == len(set(gets)) == TILES
    nothing_fails(proxy)
    assert_done(folder, proxy)


def test_shares_and_failing_requests_make_the_same_maps(folder: Path, proxy: Proxy) -> None:
    some_requests_fail(proxy)
    for number in (2, 1):
        share = ("--only", "tiles", "--shard", f"{number}/2")
        outcome = predict(folder, ADDRESS, *share)
        assert outcome.exit_code == 0, outcome.stderr
    proxy.requests.clear()
    assert predict(folder, ADDRESS).exit_code == 0
    assert tiles(proxy.puts()) == set()
    nothing_fails(proxy)
    assert_done(folder, proxy)


def test_workers_of_dask_put_tiles_into_the_store(folder: Path, proxy: Proxy) -> None:
    outcome = predict(folder, ADDRESS, "--dask", "local:2")
    assert outcome.exit_code == 0, outcome.stderr
    assert len(tiles(proxy.puts())) == TILES
    assert_done(folder, proxy)


def test_a_map_of_clusters_is_not_replaced(folder: Path, proxy: Proxy) -> None:
    proxy.client.put_object(Bucket=BUCKET, Key="some/maps/run.json", Body=b"{}")
    outcome = predict(folder, ADDRESS)
    assert outcome.exit_code == 1
    assert f"{ADDRESS}/run.json is there already" in outcome.stderr
    assert proxy.content("some/maps/run.json") == b"{}"


def test_segments_get_their_classes_by_a_prediction_in_a_store(
    proxy: Proxy, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_random_model(tmp_path / "model", ("red", "green", "blue", "nir"))
    for run, out in (("here", tmp_path / "maps"), ("far", ADDRESS)):
        copytree(finished_crops(tmp_path_factory) / "out", tmp_path / run)
        command = ("train", "predict", "--segments", tmp_path / run, "--model", tmp_path / "model")
        outcome = alps_geo(*command, "--out", out, *OPTIONS)
        assert outcome.exit_code == 0, outcome.stderr
    for scene in SCENES:
        here, far = (tmp_path / run / scene / "classes.tif" for run in ("here", "far"))
        with rasterio.open(here) as one, rasterio.open(far) as other:
            assert np.array_equal(one.read(), other.read())
    assert "some/maps/run.json" in proxy.names()
