"""Images, predictions and SAM itself on workers of Dask: the bytes of one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dask_workers import scheduler, wait_for_workers, worker
from helpers import alps_geo
from image_folders import make_root
from quarter_tiles import QuarterTiles
from random_models import cut, write_random_model
from rasterio.windows import Window

if TYPE_CHECKING:
    from helpers import Outcome

pytestmark = pytest.mark.usefixtures("patient_with_dask")

# Else one may have done all before the other is ready.
MEETING = """
from dask_workers import meet_first
meet_first("meeting")
"""

OTHER_DEVICE = f"""
from alps_geo.masks import machine
machine.machine_of = lambda _: "cuda (NVIDIA H100), torch 2.9.1"
{MEETING}
"""


def contents(out: Path) -> dict[str, bytes]:
    """Read all files of a run but its log, the record without times and the way it was made in."""
    found = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".log"
    }
    record = json.loads(found["run.json"])
    del record["seconds"], record["settings"]["dask"]
    return found | {"run.json": json.dumps(record).encode()}


def assert_same(out: Path, expected: Path) -> None:
    found, wanted = contents(out), contents(expected)
    assert found.keys() == wanted.keys()
    assert [name for name in found if found[name] != wanted[name]] == []


def label_images(root: Path, out: Path, *options: object) -> Outcome:
    small = ("--clusters", 3, "--fill", "none", "--quiet")
    return alps_geo("dataset", "label", root, "--out", out, *small, *options)


def predict(folder: Path, out: Path, *options: object) -> Outcome:
    small = ("--tile-size", 96, "--overlap", 32, "--device", "cpu", "--quiet")
    scene = ("crop.tif", "--model", folder / "model")
    return alps_geo("train", "predict", *scene, "--out", out, *small, *options)


@pytest.fixture
def quarters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alps_geo.pipeline.stages.make_generator", lambda *_: QuarterTiles())


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name scenes by relative paths, as users do; workers need absolute ones."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("quarters")
def test_images_are_labelled_on_workers_of_this_machine(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    # Its header can be read, its pixels cannot.
    damaged = root / "img_dir" / "val" / "chip.1.png"
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    alone, out = tmp_path / "alone", tmp_path / "out"
    expected = label_images(root, alone, "--workers", 1)
    found = label_images(root, out, "--dask", "local:2")
    assert (found.exit_code, expected.exit_code) == (3, 3), found.stderr
    assert found.stderr == expected.stderr
    assert_same(out, alone)
    # A share of them, given in the same way.
    shared = tmp_path / "shared"
    half = label_images(
        Path("root"), shared, "--dask", "local:1", "--only", "tiles", "--shard", "1/2"
    )
    assert half.exit_code in (0, 3), half.stderr
    assert label_images(root, shared, "--dask", "local:1").exit_code == 3
    assert_same(shared, alone)


@pytest.mark.usefixtures("quarters")
def test_the_plan_of_images_is_that_of_an_absolute_path(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    share = ("--only", "tiles", "--shard", "1/1")
    for out, folder in (("typed", Path("root")), ("absolute", root)):
        assert label_images(folder, tmp_path / out, *share).exit_code == 0
    plan = (tmp_path / "typed" / ".tiles" / "run.json").read_bytes()
    assert plan == (tmp_path / "absolute" / ".tiles" / "run.json").read_bytes()
    assert json.loads(plan)["scenes"][0]["path"] == str(root / "img_dir" / "train")


@pytest.mark.usefixtures("quarters")
def test_the_record_names_the_images_of_each_machine(tmp_path: Path) -> None:
    root, out = make_root(tmp_path / "root", train=12), tmp_path / "out"
    with (
        scheduler(tmp_path) as (file, _),
        worker(file, "one", setup=MEETING),
        worker(file, "two", setup=OTHER_DEVICE),
    ):
        wait_for_workers(file, 2)
        found = label_images(root, out, "--dask", file)
    assert found.exit_code == 0, found.stderr
    here, there = json.loads((out / "run.json").read_text())["machines"]
    assert there["name"] == "cuda (NVIDIA H100), torch 2.9.1"
    images = [
        f"{split}/{name}"
        for each in (here, there)
        for split, names in each["scenes"].items()
        for name in names
    ]
    assert sorted(images) == sorted(
        path.relative_to(root / "img_dir").with_suffix("").as_posix()
        for path in root.glob("img_dir/*/*.png")
    )
    assert here["tiles"] + there["tiles"] == len(images)


def test_scenes_are_predicted_on_workers(tmp_path: Path) -> None:
    write_random_model(tmp_path / "model")
    cut(tmp_path / "crop.tif", "neon_osbs_10cm.tif", Window(100, 60, 320, 224))
    alone, out, mixed = tmp_path / "alone", tmp_path / "out", tmp_path / "mixed"
    assert predict(tmp_path, alone, "--workers", 1).exit_code == 0
    found = predict(tmp_path, out, "--dask", "local:2")
    assert found.exit_code == 0, found.stderr
    assert_same(out, alone)
    assert "machines" not in json.loads((out / "run.json").read_text())
    with (
        scheduler(tmp_path) as (file, _),
        worker(file, "one", setup=MEETING),
        worker(file, "two", setup=OTHER_DEVICE),
    ):
        wait_for_workers(file, 2)
        assert predict(tmp_path, mixed, "--dask", file).exit_code == 0
    machines = json.loads((mixed / "run.json").read_text())["machines"]
    assert machines[1]["name"] == "cuda (NVIDIA H100), torch 2.9.1"
    tiles = len(list(alone.glob(".tiles/*/*.probabilities.npz")))
    assert sum(each["tiles"] for each in machines) == tiles
    assert machines[1]["scenes"]["crop"].keys() <= {"0", "1", "2", "3"}


def test_sam_makes_the_same_tiles_on_workers(tmp_path: Path) -> None:
    cut(tmp_path / "crop.tif", "naip_md_1m.tif", Window(300, 300, 224, 128))
    small = ("--tile-size", 128, "--overlap", 32, "--points", "grid:2", "--clusters", 3)
    for name, *options in (("alone", "--workers", 1), ("out", "--dask", "local:2")):
        out = ("--out", tmp_path / name, "--device", "cpu", "--quiet")
        found = alps_geo("label", "crop.tif", *out, *small, *options)
        assert found.exit_code == 0, found.stderr
    assert len(list(tmp_path.glob("out/.tiles/*/*.outlines.npz"))) == 2
    assert_same(tmp_path / "out", tmp_path / "alone")
