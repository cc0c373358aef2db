"""Runs whose notes are damaged, and fits that are taken for labels: one line, and a way out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import DATA, Outcome, alps_geo
from rasterio.windows import Window

from alps_geo.runs.folder import RunFolder
from alps_geo.runs.journal import Change, begin_change
from alps_geo.runs.run import read_model

pytestmark = pytest.mark.usefixtures("images_encoded_once")

QUICK = ("--points", "grid:2", "--clusters", "3")

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "cut short": lambda data: data[: len(data) // 2],
    "without keys": lambda _: b"{}",
    "of wrong types": lambda data: json.dumps(dict.fromkeys(json.loads(data), 5)).encode(),
    "binary": lambda _: b"\xff\xfe\x00",
}
damaged = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "corner.tif"
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        profile = source.profile | {"width": 96, "height": 96}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=Window(0, 0, 96, 96)))
    return path


@pytest.fixture(scope="module")
def finished(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose second cluster was named by hand."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert alps_geo("label", scene, "--out", out, *QUICK).exit_code == 0
    assert alps_geo("clusters", "name", out, "2=water").exit_code == 0
    return out


@pytest.fixture(scope="module")
def fitted(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fit."""
    model = tmp_path_factory.mktemp("fitted") / "model.npz"
    assert alps_geo("fit", scene, "--out", model, *QUICK).exit_code == 0
    return Path(f"{model}.run")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def results(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.glob("corner/*") if path.is_file()]
    return {path.name: path.read_bytes() for path in [*files, folder / "clusters.npz"]}


def refused(outcome: Outcome, *parts: str) -> None:
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    for part in parts:
        assert part in outcome.stderr


def every_command(scene: Path, run: Path) -> list[Outcome]:
    return [
        alps_geo("status", run),
        alps_geo("label", scene, "--out", run, *QUICK),
        alps_geo("clusters", "name", run, "2=lake"),
        alps_geo("clusters", "suggest", run),
        alps_geo("clusters", "gallery", run),
        alps_geo("fit", scene, "--out", run.with_name("m.npz"), "--work", run, *QUICK),
    ]


def keep_the_clusters(scene: Path, run: Path) -> None:
    """Do what the messages say, and find the clusters and their names again."""
    outcome = alps_geo(
        "apply", scene, "--clusters-from", run / "clusters.npz", "--out", run, "--overwrite",
        "--points", "grid:2",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    assert read_model(run / "clusters.npz").legend.names == {2: "water"}
    assert alps_geo("clusters", "name", run, "1=wood").exit_code == 0


@damaged
def test_a_damaged_record(
    scene: Path, run: Path, finished: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = run / "run.json"
    path.write_bytes(damage(path.read_bytes()))
    for outcome in every_command(scene, run):
        refused(outcome, str(path), "is damaged or of another version")
    assert results(run) == results(finished)
    keep_the_clusters(scene, run)


@damaged
def test_a_damaged_plan(
    scene: Path, run: Path, finished: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = run / ".tiles" / "run.json"
    path.write_bytes(damage(path.read_bytes()))
    refused(alps_geo("status", run), str(path), "give the command of that run again")
    label = alps_geo("label", scene, "--out", run, *QUICK)
    refused(label, str(path), "--overwrite", "changed by hand")
    fit = alps_geo("fit", scene, "--out", run.with_name("m.npz"), "--work", run, *QUICK)
    refused(fit, str(path), "choose another --work")
    # What the plan says is no concern of these.
    assert alps_geo("clusters", "suggest", run, "--quiet").exit_code == 0
    assert results(run) == results(finished)
    keep_the_clusters(scene, run)
    assert alps_geo("status", run).exit_code == 0


@damaged
def test_a_damaged_note_of_a_change(
    scene: Path, run: Path, damage: Callable[[bytes], bytes]
) -> None:
    folder = RunFolder(run)
    model = read_model(folder.model_path).named({2: "lake"})
    change = Change("name 2=lake", ("name 2=water",), moves_segments=False)
    begin_change(folder, change, model.to_bytes())
    folder.change_path.write_bytes(damage(folder.change_path.read_bytes()))
    for outcome in every_command(scene, run)[:-1]:
        refused(outcome, str(folder.change_path), "cannot be finished", "alps-geo apply --config")
    advice = alps_geo("status", run).stderr.partition("alps-geo apply ")[2]
    arguments = advice.partition(" writes all results")[0].split()
    assert alps_geo("apply", *arguments, "--quiet").exit_code == 0
    assert read_model(folder.model_path).legend.names == {2: "water"}
    assert not folder.change_path.exists()
    assert alps_geo("clusters", "name", run, "1=wood").exit_code == 0


@pytest.mark.parametrize("data", [None, b"", b"PK\x03\x04"], ids=["gone", "empty", "cut short"])
def test_a_change_whose_model_is_gone(
    scene: Path, run: Path, finished: Path, data: bytes | None
) -> None:
    folder = RunFolder(run)
    change = Change("name 2=lake", ("name 2=water",), moves_segments=False)
    begin_change(folder, change, b"" if data is None else data)
    if data is None:
        folder.changed_model_path.unlink()
    assert "has stopped" in alps_geo("status", run).stdout
    for command in (("name", run, "2=lake"), ("merge", run, "1", "2")):
        refused(alps_geo("clusters", *command), "change.npz is gone or damaged", "alps-geo apply")
    assert results(run) == results(finished)
    keep_the_clusters(scene, run)


def test_a_change_noted_by_an_earlier_version_is_finished(run: Path) -> None:
    folder = RunFolder(run)
    model = read_model(folder.model_path).named({2: "lake"})
    begin_change(folder, Change("name 2=lake", ("name 2=water",), moves_segments=False), b"")
    folder.changed_model_path.write_bytes(model.to_bytes())
    known = {"command": "name 2=lake", "earlier": ["name 2=water"]}
    folder.change_path.write_text(json.dumps(known))
    assert alps_geo("clusters", "name", run, "2=lake").exit_code == 0
    assert read_model(folder.model_path).legend.names == {2: "lake"}


@damaged
def test_a_damaged_note_of_a_failed_tile_is_a_tile_to_be_tried(
    scene: Path, run: Path, damage: Callable[[bytes], bytes]
) -> None:
    (tile,) = run.glob(".tiles/*/0000_0000.outlines.npz")
    tile.unlink()
    tile.with_name("0000_0000.json").write_bytes(damage(b'{"scene": "corner"}'))
    (run / "run.json").unlink()
    found = json.loads(alps_geo("status", run, "--json").stdout)
    assert (found["done"], found["left"], found["failed"]) == (0, 1, [])
    assert alps_geo("label", scene, "--out", run, *QUICK).exit_code == 0


def test_the_folder_of_a_fit_is_labelled_from_its_tiles(
    scene: Path, fitted: Path, finished: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(fitted, tmp_path / "model.npz.run"))
    (tile,) = run.glob(".tiles/*/0000_0000.outlines.npz")
    before = tile.stat().st_mtime_ns
    outcome = alps_geo("label", scene, "--out", run, *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    assert "segments in 3 clusters" in outcome.stdout
    assert tile.stat().st_mtime_ns == before
    expected = (finished / "corner" / "segments.tif").read_bytes()
    assert (run / "corner" / "segments.tif").read_bytes() == expected
    with rasterio.open(run / "corner" / "labels.tif") as raster:
        assert set(np.unique(raster.read())) == {0, 1, 2, 3}  # two pixels are nodata


def test_a_fit_in_the_folder_of_a_label_run_removes_nothing_unasked(
    scene: Path, run: Path, finished: Path
) -> None:
    fit = ("fit", scene, "--out", run.with_name("model.npz"), "--work", run, *QUICK)
    before = (run / "run.json").read_bytes()
    for more in ((), ("--force",)):
        refused(alps_geo(*fit, *more), "results of alps-geo label", "--work", "by hand")
    assert (run / "run.json").read_bytes() == before
    assert results(run) == results(finished)
    assert not run.with_name("model.npz").exists()
    assert alps_geo(*fit, "--overwrite").exit_code == 0
    assert not (run / "corner").exists()


@pytest.mark.parametrize(
    "command", [("name", "2=a"), ("suggest",), ("gallery",), ("split", "1", "--into", "2")]
)
def test_the_folder_of_a_fit_has_no_clusters_to_look_at(
    fitted: Path, command: tuple[str, ...]
) -> None:
    outcome = alps_geo("clusters", command[0], fitted, *command[1:])
    refused(outcome, "is where alps-geo fit worked", "model.npz", "alps-geo label with --out")


def test_the_status_of_a_fit(fitted: Path) -> None:
    outcome = alps_geo("status", fitted)
    assert outcome.exit_code == 0
    assert "has finished" in outcome.stdout
