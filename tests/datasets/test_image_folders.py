"""Images of a folder are found by split and name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from image_folders import naip, save

from alps_geo.datasets.folders import Folder, find_images
from alps_geo.errors import SceneError

if TYPE_CHECKING:
    from pathlib import Path


def titles(folder: Folder) -> list[str]:
    return [image.title for image in find_images(folder)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("train/b.png", "train/a.b.png", "train/a.c.png", "val/z.png", "test/t.png"):
        save(tmp_path / "img_dir" / name, naip(0, 0, 8, 8))
    return tmp_path


def test_splits_come_in_their_order_and_images_by_name(root: Path) -> None:
    # Only the suffix is cut off: a.b.png and a.c.png are two images.
    assert titles(Folder(root)) == ["train/a.b", "train/a.c", "train/b", "val/z"]
    assert titles(Folder(root, splits=("test", "train")))[0] == "test/t"


def test_the_other_split_may_be_absent_unless_it_is_named(root: Path) -> None:
    (root / "img_dir/val/z.png").unlink()
    (root / "img_dir/val").rmdir()
    assert len(titles(Folder(root))) == 3
    with pytest.raises(SceneError, match=r"val is not there, expected one of test, train"):
        find_images(Folder(root, splits=("train", "val")))


def test_a_flat_folder_has_no_splits(root: Path) -> None:
    assert titles(Folder(root / "img_dir/train")) == ["a.b", "a.c", "b"]


def test_other_names_of_folders_and_endings(root: Path) -> None:
    (root / "img_dir").rename(root / "pictures")
    save(root / "pictures/train/b.tif", naip(0, 0, 8, 8))
    assert titles(Folder(root, "pictures", suffix=".tif", splits=("train",))) == ["train/b"]
    assert titles(Folder(root, "pictures", suffix="b.png", splits=("train",))) == ["train/a."]


def test_endings_may_be_in_capitals_but_one_name_is_one_image(root: Path) -> None:
    (root / "img_dir/val/z.png").rename(root / "img_dir/val/z.PNG")
    assert titles(Folder(root))[-1] == "val/z"
    save(root / "img_dir/val/Z.png", naip(0, 0, 8, 8))
    with pytest.raises(SceneError, match="two images of one name"):
        find_images(Folder(root))


def test_hidden_files_and_folders_are_no_images(root: Path) -> None:
    (root / "img_dir/val/.z.png").write_bytes(b"")
    (root / "img_dir/val/folder.png").mkdir()
    assert titles(Folder(root))[-1] == "val/z"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: Folder(root / "none"), "none does not exist"),
        (lambda root: Folder(root / "img_dir/val/z.png"), "is a file, expected a folder of images"),
        (lambda root: Folder(root, suffix=".jpg"), r"no image \*\.jpg; there are \.png \(3\)"),
        (lambda root: Folder(root, splits=("extra",)), "extra is not there"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(root: Path, make: object, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        find_images(make(root))  # type: ignore[operator]


def test_splits_of_other_names_are_listed(tmp_path: Path) -> None:
    save(tmp_path / "img_dir/all/a.png", naip(0, 0, 8, 8))
    with pytest.raises(SceneError, match=r"neither train nor val \(it holds all\)"):
        find_images(Folder(tmp_path))


def test_an_empty_split_is_named(root: Path) -> None:
    (root / "img_dir/val/z.png").unlink()
    with pytest.raises(SceneError, match=r"val holds no image \*\.png: put images there"):
        find_images(Folder(root))


def test_an_image_is_another_once_it_or_a_file_read_with_it_has_changed(root: Path) -> None:
    before = find_images(Folder(root))
    path = root / "img_dir/val/z.png"
    (path.with_name("z.png.aux.xml")).write_text("<PAMDataset/>")
    beside = find_images(Folder(root))
    os.utime(path, (1, 1))
    touched = find_images(Folder(root))
    assert before[:-1] == beside[:-1] == touched[:-1]
    assert len({before[-1].stamp, beside[-1].stamp, touched[-1].stamp}) == 3
