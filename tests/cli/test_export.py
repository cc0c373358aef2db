"""`alps-geo export` on a real run of two scenes: files on disk, messages and exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from child_processes import ended
from clustered_runs import SCENES, clusters, contents, finished_run, labels
from helpers import DATA, FULL_DISK, alps_geo
from PIL import Image
from rasterio.windows import Window
from share_runs import wait_for

from alps_geo.scene import open_scene, read_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHIPS = ("--chip-size", "128", "--overlap", "32", "--min-labelled", "0")
# With one split there is no gap, and so every chip.
WHOLE = (*CHIPS, "--split", "1,0,0")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def export(*arguments: object) -> dict[str, Any]:
    outcome = alps_geo("export", *arguments, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def chips(out: Path) -> list[tuple[str, str, str, Window]]:
    """Split, name, source and window of each chip, as the list of the set has them."""
    rows = [line.split(",") for line in (out / "chips.csv").read_text("utf-8").splitlines()[1:]]
    return [
        (split, name, source, Window(int(col), int(row), int(width), int(height)))
        for split, name, source, row, col, height, width in rows
    ]


def png(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_chips_put_back_are_the_map(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    record = export(finished, "--to", "mmseg", "--out", out, *WHOLE)
    pasted = {name: np.zeros_like(labels(finished, name)) for name in SCENES}
    seen = {name: np.zeros(pasted[name].shape, bool) for name in SCENES}
    scenes = {name: open_scene(str(DATA / f"{name}.tif")) for name in SCENES}
    for split, name, source, window in chips(out):
        mask = png(out / "ann_dir" / split / f"{name}.png")
        # Ids of classes begin at 0, and of clusters at 1; 255 + 1 is 0 in bytes.
        pasted[source][window.toslices()] = mask + 1
        seen[source][window.toslices()] = True
        picture = png(out / "img_dir" / split / f"{name}.png")
        np.testing.assert_array_equal(picture, read_tile(scenes[source], window).image)
    for name in SCENES:
        # Chips without any label are no chips.
        assert (labels(finished, name)[~seen[name]] == 0).all()
        np.testing.assert_array_equal(pasted[name], labels(finished, name))
    assert [each["clusters"] for each in record["classes"]] == [[i] for i in range(1, 7)]
    assert record["run"] == str(finished.absolute())


def test_objects_are_the_segments_of_the_map(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    record = export(finished, "--to", "coco", "--out", out, *WHOLE)
    found = json.loads((out / "annotations" / "instances_train.json").read_text("utf-8"))
    objects = {each["object_id"] for each in found["annotations"]}
    ids = {}
    for name in SCENES:
        with rasterio.open(finished / name / "segments.tif") as raster:
            ids[name] = np.unique(raster.read(1)).tolist()
    assert objects == {f"{name}:{i}" for name in SCENES for i in ids[name] if i}
    assert len(found["annotations"]) > len(objects)
    assert sum(record["splits"][0]["class_objects"]) == len(objects)


def test_native_chips_hold_the_values_of_the_file(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "one"
    scene = DATA / "sentinel2_uint16_4band.tif"
    # Of several tiles, whose ids are those of the map.
    quick = ("--points", "grid:2", "--clusters", "3", "--tile-size", "352")
    assert alps_geo("label", scene, *quick, "--out", run).exit_code == 0
    out = tmp_path / "set"
    options = ("--values", "native", "--bands", "4,1", "--chip-size", "256")
    export(run, "--to", "torchgeo", "--out", out, *options, "--split", "1,0,0")
    with rasterio.open(scene) as raster:
        values, transform, crs = raster.read([4, 1]), raster.transform, raster.crs
    ids = labels(run, scene.stem) - 1
    listed = chips(out)
    assert len(listed) == 9
    for split, name, _, window in listed:
        for folder in ("images", "masks"):
            with rasterio.open(out / folder / split / f"{name}.tif") as chip:
                assert chip.crs == crs
                at = transform @ Affine.translation(window.col_off, window.row_off)
                assert chip.transform.almost_equals(at)
                pixels = chip.read()
            expected = values if folder == "images" else ids[None]
            np.testing.assert_array_equal(pixels, expected[:, *window.toslices()])
    # Other bands as a picture: three of them, with a stretch of their own.
    export(run, "--to", "alps", "--out", tmp_path / "rgb", "--bands", "4,3,2", *WHOLE)
    scene_of_three = open_scene(str(scene), bands=(4, 3, 2))
    split, name, _, window = chips(tmp_path / "rgb")[0]
    picture = png(tmp_path / "rgb" / "img_dir" / split / f"{name}.png")
    np.testing.assert_array_equal(picture, read_tile(scene_of_three, window).image)


def test_names_become_classes(run: Path, tmp_path: Path) -> None:
    clusters("name", run, "1=water", "3=water", "4=road", "--quiet")
    options = ("--by", "class", "--ignore", "road", *WHOLE)
    outcome = alps_geo("export", run, "--to", "mmseg", "--out", tmp_path / "set", *options)
    assert outcome.exit_code == 0
    note = "clusters 2, 5, 6 have no name and are unlabelled"
    assert note in outcome.stderr
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert f"C{note[1:]}." in card
    assert card.count("2, 5, 6") == 1
    assert "\nIgnored clusters, whose pixels are unlabelled: 4.\n" in card
    assert "1 class from\nthe names of clusters." in card
    info = json.loads((tmp_path / "set" / "metainfo.json").read_text("utf-8"))
    assert info["classes"] == ["water"]
    for split, name, source, window in chips(tmp_path / "set"):
        mask = png(tmp_path / "set" / "ann_dir" / split / f"{name}.png")
        is_water = np.isin(labels(run, source)[window.toslices()], [1, 3])
        np.testing.assert_array_equal(mask, np.where(is_water, 0, 255))


def test_the_same_settings_give_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(finished, "--to", "yolo-seg", "--out", tmp_path / name, "--chip-size", "64")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    # Two seeds may draw the same splits by chance, but not five.
    drawn = []
    for seed in range(1, 6):
        out = tmp_path / str(seed)
        typed = ("--chip-size", "64", "--seed", str(seed))
        other = export(finished, "--to", "yolo-seg", "--out", out, *typed)
        assert other["settings"]["seed"] == seed
        drawn.append(chips(out))
    assert any(each != chips(tmp_path / "one") for each in drawn)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--overlap", "512"), "overlap is 512, expected 0 to 511"),
        (("--split", "0.8,0.1"), "split is 0.8,0.1, expected three shares that add up to 1"),
        (("--split", "0.8,x,0.1"), "split is '0.8,x,0.1', expected three shares that add up to 1"),
        (("--split", "0.9,0.2,-0.1"), "split is 0.9,0.2,-0.1, expected three shares"),
        (("--min-labelled", "2"), "min_labelled is 2, expected 0 to 1"),
        (("--bands", "1,2"), "bands is 1,2, expected one or three band numbers from 1"),
        (("--values", "native", "--bands", "0"), "bands is 0, expected band numbers from 1"),
        (("--by", "class"), "by is class, but no cluster has a name; give some with alps-geo clus"),
        (("--ignore", "lake"), "ignore is 'lake', expected some of 1, 2, 3, 4, 5, 6"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_with_2(
    finished: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    outcome = alps_geo("export", finished, "--to", "coco", "--out", tmp_path / "set", *options)
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.stderr.replace("│", " ").split())
    assert not (tmp_path / "set").exists()


def test_a_run_that_has_not_finished_is_one_line(tmp_path: Path) -> None:
    outcome = alps_geo("export", tmp_path, "--to", "coco", "--out", tmp_path / "set")
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone/scene.tif", "is not there, and its pixels are needed; put the scene back"),
        (str(DATA / "naip_md_1m.tif"), "has changed since it was labelled (1024 x 1024 pixels"),
    ],
)
def test_a_scene_that_is_gone_or_another_is_named(
    run: Path, tmp_path: Path, path: str, message: str
) -> None:
    known = json.loads((run / "run.json").read_text(encoding="utf-8"))
    known["scenes"][1]["path"] = path
    (run / "run.json").write_text(json.dumps(known), encoding="utf-8")
    outcome = alps_geo("export", run, "--to", "coco", "--out", tmp_path / "set")
    assert outcome.exit_code == 1
    assert path in outcome.stderr
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (tmp_path / "set").exists()


def test_a_run_without_its_raster_of_segments_is_named(run: Path, tmp_path: Path) -> None:
    (run / SCENES[0] / "segments.tif").unlink()
    outcome = alps_geo("export", run, "--to", "coco", "--out", tmp_path / "set")
    assert outcome.exit_code == 1
    assert "segments.tif is absent" in outcome.stderr
    assert not (tmp_path / "set").exists()


def test_nothing_but_a_set_of_ours_is_replaced(run: Path, tmp_path: Path) -> None:
    before = contents(run)
    outcome = alps_geo("export", run, "--to", "coco", "--out", run, "--overwrite")
    assert outcome.exit_code == 1
    assert "is no training set that alps-geo exported" in outcome.stderr
    assert contents(run) == before
    out = tmp_path / "set"
    export(run, "--to", "coco", "--out", out, *CHIPS)
    written = contents(out)
    again = ("export", run, "--to", "alps", "--out", out, *CHIPS)
    refused = alps_geo(*again)
    assert refused.exit_code == 1
    assert "--overwrite replaces it" in refused.stderr
    assert contents(out) == written
    assert alps_geo(*again, "--overwrite").exit_code == 0
    assert not (out / "annotations").exists()
    assert (out / "instance_mask" / "train").is_dir()


def test_a_full_disk_leaves_the_set_of_before(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    export(finished, "--to", "coco", "--out", out, *CHIPS)
    before = contents(out)
    arguments = ("export", finished, "--to", "alps", "--out", out, *CHIPS, "--overwrite")
    stopped = subprocess.run(
        [sys.executable, "-c", FULL_DISK, "20000", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 1
    assert "cannot be written" in stopped.stderr
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_killed_export_leaves_nothing_under_the_name(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    arguments = ("export", finished, "--to", "yolo-seg", "--out", out, "--chip-size", "16")
    # It waits before its last file, until it is killed.
    code = """
import time
from alps_geo.outputs.training_set.yolo import YoloWriter
from alps_geo_cli.main import run
YoloWriter.finish = lambda _: time.sleep(600)
run()
"""
    command = [sys.executable, "-c", code, *map(str, arguments), "--quiet"]
    process = subprocess.Popen(command)
    with ended(process):
        wait_for(lambda: (tmp_path / ".set.partial/set/labels").exists())
    assert [path.name for path in tmp_path.iterdir()] == [".set.partial"]
    export(finished, "--to", "coco", "--out", out, *CHIPS)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
