"""Training sets of folders of images."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from image_folders import SIDE, label, make_root, masks, naip, read, save

from alps_geo.errors import SceneError
from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo.review.export import export_run
from alps_geo.review.relabel import name_clusters

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_root(tmp_path_factory.mktemp("images") / "root", train=3, val=2)
    save(folder / "img_dir/train/grey.png", naip(0, 700).mean(axis=2).astype(np.uint8))
    save(folder / "img_dir/train/large.png", naip(300, 300, SIDE * 2, SIDE * 2))
    label(folder)
    return folder


def test_images_keep_their_splits_pixels_and_ids(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    export_run(root, "mmseg", out, ExportSettings(chip_size=SIDE * 2))
    chips = sorted(
        path.relative_to(out / "img_dir").as_posix() for path in out.rglob("img_dir/*/*")
    )
    assert len(chips) == 7
    assert {chip.split("/")[0] for chip in chips} == {"train", "val"}
    own = masks(root)
    for chip in chips:
        split, name = chip.removesuffix(".png").split("/")
        expected = read(root / "img_dir" / split / f"{name}.png")
        expected = expected if expected.ndim == 3 else np.dstack([expected] * 3)
        assert (read(out / "img_dir" / chip) == expected).all()
        found = read(out / "ann_dir" / chip)
        assert (found == own[f"{split}/{name}_instance_color.png"] - 1).all()


def test_an_image_that_is_larger_than_a_chip_is_cut(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    export_run(root, "alps", out, ExportSettings(chip_size=SIDE))
    assert len([path for path in out.rglob("img_dir/train/*") if "large" in path.name]) == 4


def test_objects_of_images_are_segments(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    export_run(root, "coco", out, ExportSettings(chip_size=SIDE * 2))
    found = [json.loads(path.read_text()) for path in out.rglob("*.json") if "val" in path.name]
    annotations = [each for part in found for each in part.get("annotations", ())]
    assert len(annotations) == 8  # a quarter each of two images


def test_names_of_clusters_become_classes(root: Path, tmp_path: Path) -> None:
    name_clusters(root, {1: "forest", 2: "forest"})
    out = tmp_path / "set"
    export_run(root, "mmseg", out, ExportSettings(chip_size=SIDE * 2, by="class"))
    values = {*np.unique([read(path) for path in out.rglob("ann_dir/val/*.png")])}
    assert values <= {0, 255}


def test_an_image_that_has_changed_is_named(root: Path, tmp_path: Path) -> None:
    path = root / "img_dir/val/chip.1.png"
    content, times = path.read_bytes(), path.stat()
    save(path, naip(10, 10))
    with pytest.raises(SceneError, match=r"chip\.1\.png has changed since it was labelled"):
        export_run(root, "mmseg", tmp_path / "set", ExportSettings(chip_size=SIDE))
    assert not (tmp_path / "set").exists()
    path.write_bytes(content)

    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
