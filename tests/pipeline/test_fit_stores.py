"""Fits whose tiles, or whose cluster model, are in an object store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from helpers import alps_geo
from quarter_tiles import QuarterTiles
from s3_server import BUCKET, Proxy, down_from, nothing_fails, running_server
from share_runs import SETTINGS, TILES, make_scene

from alps_geo.errors import RunError
from alps_geo.pipeline.scenes import fit_scenes, label_scenes
from alps_geo.pipeline.tile_shares import ShareRequest, label_share
from alps_geo.runs.address import FileAddress, RunAddress
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.status import run_status
from alps_geo.tiles.shares import Share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alps_geo.settings import LabelSettings

MODEL = FileAddress(f"s3://{BUCKET}/models", "forest.npz")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def expected(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model that a fit in a folder writes."""
    out = tmp_path_factory.mktemp("local") / "model.npz"
    fit(scene, out, out.with_name("work"))
    return out.read_bytes()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with running_server(monkeypatch) as found:
        yield found


@pytest.fixture
def work(proxy: Proxy, tmp_path: Path) -> RunAddress:
    return RunAddress(f"s3://{BUCKET}/tiles", tmp_path / "work")


def fit(
    scene: Path, out: Any, work: Any, settings: LabelSettings = SETTINGS, **flags: bool
) -> None:
    fit_scenes([str(scene)], out, work, settings, RunFlags(**flags), generator=QuarterTiles())


def tiles(proxy: Proxy) -> list[str]:
    return [name for name in proxy.puts() if name.endswith("outlines.npz")]


def test_tiles_and_model_in_a_store(
    scene: Path, work: RunAddress, expected: bytes, proxy: Proxy, tmp_path: Path
) -> None:
    fit(scene, MODEL, work)
    assert proxy.content("models/forest.npz") == expected
    names = proxy.puts()
    assert names[0] == "tiles/.tiles/run.json"
    # The record is the last of all, and tells of the model.
    assert names[-2:] == ["models/forest.npz", "tiles/run.json"]
    assert json.loads(proxy.content("tiles/run.json"))["fitted"] == str(MODEL)
    assert {name.rpartition(".")[2] for name in proxy.files("tiles")} == {"npz", "json"}
    assert not [name for name in proxy.names() if ".segments/" in name]
    status = run_status(work)
    assert (status.state, status.scenes[0].done) == ("finished", TILES)
    # Another number of clusters takes no tile again, on a machine of before or a new one.
    proxy.requests.clear()
    other = replace(SETTINGS, clusters=2)
    fit(scene, MODEL, RunAddress(work.text, tmp_path / "fresh"), other)
    assert tiles(proxy) == []
    assert proxy.content("models/forest.npz") != expected
    assert not list(tmp_path.glob("s3:*"))


def test_tiles_in_a_store_and_the_model_here(
    scene: Path, work: RunAddress, expected: bytes, proxy: Proxy, tmp_path: Path
) -> None:
    for number in (1, 2):
        request = ShareRequest(Share(number, 2), fit=True)
        label_share([str(scene)], work, SETTINGS, request, generator=QuarterTiles())
    proxy.requests.clear()
    fit(scene, tmp_path / "model.npz", work)
    assert tiles(proxy) == []
    assert (tmp_path / "model.npz").read_bytes() == expected


def test_tiles_here_and_the_model_in_a_store(
    scene: Path, expected: bytes, proxy: Proxy, tmp_path: Path
) -> None:
    fit(scene, MODEL, tmp_path / "work")
    assert proxy.names() == ["models/forest.npz"]
    assert proxy.content("models/forest.npz") == expected


@pytest.mark.parametrize(
    "part", ["0002_0001.outlines.npz", "models/forest.npz", "bucket/tiles/run.json"]
)
def test_a_fit_whose_store_fails_goes_on_elsewhere(
    part: str,
    scene: Path,
    work: RunAddress,
    expected: bytes,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    down_from(proxy, part)
    with pytest.raises(RunError, match=r"cannot be written .* the same command goes on"):
        fit(scene, MODEL, work)
    nothing_fails(proxy)
    assert "tiles/run.json" not in proxy.names()
    done = {name for name in proxy.names() if name.endswith("outlines.npz")}
    proxy.requests.clear()
    fit(scene, MODEL, RunAddress(work.text, tmp_path / "fresh"))
    assert not done & set(tiles(proxy))
    assert proxy.content("models/forest.npz") == expected


def test_tiles_of_a_fit_label_scenes_in_the_store(
    scene: Path, work: RunAddress, proxy: Proxy
) -> None:
    fit(scene, MODEL, work)
    proxy.requests.clear()
    label_scenes([str(scene)], work, SETTINGS, generator=QuarterTiles())
    assert tiles(proxy) == []
    assert "tiles/corner/labels.tif" in proxy.names()
    with pytest.raises(RunError, match=r"holds another run .* choose another --work"):
        fit(scene, MODEL, work)


def test_files_of_others_are_not_replaced(
    scene: Path, work: RunAddress, proxy: Proxy, tmp_path: Path
) -> None:
    client = proxy.client
    client.put_object(Bucket=BUCKET, Key="models/forest.npz", Body=b"mine")
    with pytest.raises(RunError, match=r"forest\.npz is there already, and is no cluster model"):
        fit(scene, MODEL, work)
    assert proxy.names() == ["models/forest.npz"]
    fit(scene, MODEL, tmp_path / "work", overwrite=True)
    label_scenes([str(scene)], work, SETTINGS, generator=QuarterTiles())
    with pytest.raises(RunError, match=r"clusters\.npz holds the clusters of the run in s3://"):
        fit(scene, FileAddress(str(work), "clusters.npz"), tmp_path / "work")


@pytest.mark.usefixtures("images_encoded_once")
def test_the_commands_fit_and_apply(scene: Path, proxy: Proxy, tmp_path: Path) -> None:
    options = ("--tile-size", 256, "--points", "none")
    outcome = alps_geo("fit", scene, "--out", MODEL, "--clusters", 2, *options)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.startswith(f"{MODEL}: 2 clusters")
    assert any(name.startswith("models/forest.npz.run/.tiles/") for name in proxy.names())
    assert "has finished" in alps_geo("status", f"{MODEL}.run").stdout
    applied = ("apply", scene, "--clusters-from", MODEL, "--out")
    for out in (tmp_path / "out", f"s3://{BUCKET}/out"):
        outcome = alps_geo(*applied, out)
        assert outcome.exit_code == 0, outcome.stderr
    labels = (tmp_path / "out/corner/labels.tif").read_bytes()
    assert proxy.content("out/corner/labels.tif") == labels
    outcome = alps_geo("apply", scene, "--clusters-from", f"{MODEL}x", "--out", tmp_path / "none")
    assert outcome.exit_code == 1
    assert f"{MODEL}x: there is no such file; expected a cluster model" in outcome.stderr
    outcome = alps_geo("fit", scene, "--out", f"s3://{BUCKET}/models/")
    assert outcome.exit_code == 1
    assert "models/ names no file, expected the address of one" in outcome.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"out", "cache"}
