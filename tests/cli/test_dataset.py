"""``alps-geo dataset label``: the real model on folders of real chips."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers import alps_geo
from image_folders import make_root, masks, naip, save

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("--points", "grid:2")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_root(tmp_path_factory.mktemp("dataset") / "root", train=2, val=1)
    outcome = alps_geo("dataset", "label", root, *QUICK, "--clusters", 5)
    assert outcome.exit_code == 0, outcome.stderr
    return root


def test_sam_and_fill_label_every_pixel(shared: Path) -> None:
    found = masks(shared)
    assert len(found) == 3
    assert all(mask.all() for mask in found.values())
    assert {*np.unique(list(found.values()))} == {1, 2, 3, 4, 5}


def test_the_log_tells_of_the_run(shared: Path) -> None:
    lines = (shared / "logs/alps-geo.log").read_text().splitlines()
    stages = [line.split(" ", 2)[2] for line in lines]
    assert stages[0].startswith("alps-geo ")
    assert "load mobile_sam" in stages
    assert "write val" in stages
    assert stages[-1].startswith("finished: 3 images, ")


def test_a_relative_root_is_not_joined_twice(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shared / "img_dir", tmp_path / "root/img_dir")
    monkeypatch.chdir(tmp_path)
    outcome = alps_geo(
        "dataset", "label", "root", *QUICK, "--clusters", 5, "--out", "out/here", "--quiet"
    )
    assert outcome.exit_code == 0
    assert masks(tmp_path / "out/here").keys() == masks(shared).keys()
    assert json.loads((tmp_path / "out/here/run.json").read_text())["folder"]["root"] == str(
        tmp_path / "root"
    )
    assert not (tmp_path / "root/instance_mask").exists()


def test_the_published_recipe_leaves_pixels_without_a_mask_at_0(
    shared: Path, tmp_path: Path
) -> None:
    outcome = alps_geo(
        *("dataset", "label", shared, "--out", tmp_path, "--preset", "alps"),
        *("--points", "grid:8", "--clusters", 2, "--zero-based"),
    )
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads((tmp_path / "run.json").read_text())
    settings = record["settings"]
    assert (settings["fill"], settings["max_mask_area"], settings["passes"]) == ("none", 0.3, 1)
    assert settings["tile_size"] == 16384  # an image is shown to SAM whole
    values = {*np.unique(np.concatenate([mask.ravel() for mask in masks(tmp_path).values()]))}
    assert values == {0, 1, 255}


def test_the_run_of_a_folder_is_the_config_of_another(shared: Path, tmp_path: Path) -> None:
    root = make_root(tmp_path / "other", train=1, val=1)
    outcome = alps_geo("dataset", "label", root, "--config", shared / "run.json", "--json")
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["settings"]["points"] == "grid:2"


def test_clusters_of_a_folder_label_another(shared: Path, tmp_path: Path) -> None:
    root = make_root(tmp_path / "other", train=1, val=1)
    model = shared / "clusters.npz"
    outcome = alps_geo("dataset", "label", root, "--clusters-from", model)
    assert outcome.exit_code == 0
    same = "train/chip.0_instance_color.png"
    assert masks(root)[same].max() <= 5
    both = alps_geo("dataset", "label", root, "--clusters-from", model, "--fit-on", "train")
    assert both.exit_code == 2
    assert "give one of the two" in both.stderr


def test_status_names_an_image_that_failed(shared: Path, tmp_path: Path) -> None:
    root = shutil.copytree(shared / "img_dir", tmp_path / "root/img_dir").parent
    (root / "img_dir/val/bad.png").write_bytes(b"no image")
    outcome = alps_geo("dataset", "label", root, *QUICK, "--clusters", 5)
    assert outcome.exit_code == 3
    assert "failed: val/bad" in outcome.stderr
    assert "1 image failed, without a mask" in outcome.stderr
    assert len(masks(root)) == 3
    status = alps_geo("status", root)
    assert "images" in status.stdout
    assert alps_geo("clusters", "gallery", root).exit_code == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_names_the_way_out(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=1, val=1)
    root.chmod(0o500)
    outcome = alps_geo("dataset", "label", root, *QUICK)
    root.chmod(0o700)
    assert outcome.exit_code == 1
    assert "--out" in outcome.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--splits", "train,extra"), "extra is not there"),
        (("--image-suffix", ".jpg"), "no image *.jpg"),
        (("--image-suffix", "png"), "expected an ending with its dot and no *, such as .png"),
        (("--fit-on", "test"), "--fit-on names 'test'"),
        (("--mask-dir", "img_dir"), "four folders of different names"),
        (("--mask-ending", "a/b"), "a name, without / in it"),
    ],
)
def test_bad_options_are_one_line(
    shared: Path, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    outcome = alps_geo("dataset", "label", shared, "--out", tmp_path / "out", *QUICK, *options)
    assert outcome.exit_code in (1, 2)
    assert message in " ".join(outcome.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_grey_image_counts_as_colour(shared: Path, tmp_path: Path) -> None:
    root = shutil.copytree(shared / "img_dir", tmp_path / "root/img_dir").parent
    save(root / "img_dir/train/grey.png", naip(0, 300).mean(axis=2).astype(np.uint8))
    outcome = alps_geo("dataset", "label", root, *QUICK, "--clusters", 5)
    assert outcome.exit_code == 0, outcome.stderr
    assert "note" not in outcome.stderr
    assert masks(root)["train/grey_instance_color.png"].all()
