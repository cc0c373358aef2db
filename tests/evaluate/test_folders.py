"""Folders of masks measured against folders of their truth, on chips of real land cover."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from evaluate_rasters import LANDCOVER, kmeans_labels, read_ids, write_ids
from helpers import alps_geo
from PIL import Image

from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate import (
    MaskLayout,
    Quality,
    TruthFile,
    draw_quality,
    evaluate_quality,
    quality_record,
    write_quality,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

# Chips of several sizes, which cover the scene.
ROWS, COLS = (0, 256, 470, 1024), (0, 300, 556, 1024)


@dataclass(frozen=True)
class Folders:
    """A folder of masks and one of their truth, each with two splits of chips."""

    masks: Path
    truth: Path


def cut(ids: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield split and name, and the pixels, of each chip."""
    for row, (top, bottom) in enumerate(pairwise(ROWS)):
        for col, (left, right) in enumerate(pairwise(COLS)):
            yield f"{'train' if row else 'val'}/naip.{row}_{col}", ids[top:bottom, left:right]


def write_chips(folder: Path, ids: NDArray[Any], ending: str, suffix: str = ".png") -> Path:
    for name, pixels in cut(ids):
        path = folder / f"{name}{ending}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".tif":
            write_ids(path, pixels)
        else:
            Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def labels() -> NDArray[np.uint8]:
    """Clusters of the scene's pixels, a part of them unlabelled."""
    labels = kmeans_labels()
    labels[100:400, 200:700] = 0
    return labels


@pytest.fixture
def folders(tmp_path: Path, labels: NDArray[np.uint8]) -> Folders:
    return Folders(
        write_chips(tmp_path / "instance_mask", labels, "_instance_color"),
        write_chips(tmp_path / "truth", read_ids(LANDCOVER), "_labelTrainIds"),
    )


def measured(folders: Folders, **options: Any) -> Quality:
    return evaluate_quality(str(folders.masks), TruthFile(str(folders.truth)), **options)


def test_all_masks_are_measured_as_one_map(
    tmp_path: Path, folders: Folders, labels: NDArray[np.uint8]
) -> None:
    whole = write_ids(tmp_path / "labels.tif", labels)
    expected = quality_record(evaluate_quality(str(whole), TruthFile(str(LANDCOVER))))
    found = quality_record(measured(folders))
    assert found["images"] == 9
    assert found["coverage"] == pytest.approx(1 - 300 * 500 / 1024**2)
    for key in ("pixels", "coverage", "clusters", "majority", "one_to_one", "oracle"):
        assert found[key] == expected[key]
    for key in ("v_measure", "adjusted_rand", "confusion", "class_of_cluster"):
        assert found[key] == expected[key]


def test_borders_of_chips_are_no_boundaries(folders: Folders) -> None:
    perfect = Folders(folders.truth, folders.truth)
    found = measured(perfect)
    assert [scores.mean_f1 for scores in found.boundary] == [1, 1]
    # The clusters of one chip know the classes of all: those of all chips are one table.
    assert found.majority.accuracy == 1


@pytest.mark.parametrize("window_size", [100, 1024])
def test_nothing_depends_on_the_windows(folders: Folders, window_size: int) -> None:
    again = measured(folders, window_size=window_size)
    assert quality_record(again) == quality_record(measured(folders))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_masks_may_count_clusters_from_0(
    tmp_path: Path, folders: Folders, labels: NDArray[np.uint8], dtype: type[np.unsignedinteger]
) -> None:
    # 0 - 1 is the highest number of the type, as unlabelled pixels are written.
    shifted = labels.astype(dtype) - dtype(1)
    zero_based = write_chips(tmp_path / "zero_based", shifted, "_instance_color")
    found = measured(replace(folders, masks=zero_based), masks=MaskLayout(zero_based=True))
    expected = measured(folders)
    assert (found.table.ids == expected.table.ids).all()
    assert (found.table.counts == expected.table.counts).all()
    assert found.coverage == expected.coverage < 1


@pytest.mark.parametrize(
    ("mask_ending", "truth_ending", "suffix"),
    [("", "", ".png"), ("_pred", "", ".tif"), ("", ".gt_labels", ".png"), ("-a", "-b-c", ".tif")],
)
def test_names_are_the_same_apart_from_an_ending(
    tmp_path: Path,
    labels: NDArray[np.uint8],
    folders: Folders,
    mask_ending: str,
    truth_ending: str,
    suffix: str,
) -> None:
    named = Folders(
        write_chips(tmp_path / "a", labels, mask_ending),
        write_chips(tmp_path / "b", read_ids(LANDCOVER), truth_ending, suffix),
    )
    assert measured(named).majority.accuracy == measured(folders).majority.accuracy


def test_a_split_or_a_single_mask_is_measured_alone(folders: Folders) -> None:
    train = Folders(folders.masks / "train", folders.truth / "train")
    assert measured(train).table.pixels == (1024 - 256) * 1024
    for path in sorted(train.masks.iterdir())[1:]:
        path.unlink()
    one = measured(train)
    assert (one.images, len(one.truth_without_labels)) == (1, 5)
    assert one.agreement.size == 0


def test_splits_without_masks_do_not_count(folders: Folders) -> None:
    (folders.masks / "val").rename(folders.masks.parent / "elsewhere")
    found = measured(folders)
    assert (found.images, found.truth_without_labels) == (6, ())


def test_several_files_for_an_image_ask_for_the_ending(
    folders: Folders, labels: NDArray[np.uint8]
) -> None:
    write_chips(folders.truth, labels, "_instanceIds")
    with pytest.raises(SettingsError, match=r"_instanceIds and _labelTrainIds; .* --truth-ending"):
        measured(folders)
    truth = TruthFile(str(folders.truth), ending="_labelTrainIds")
    assert evaluate_quality(str(folders.masks), truth).truth_without_labels == ()


def test_nodata_and_ignored_classes_do_not_count(folders: Folders) -> None:
    landcover = read_ids(LANDCOVER)
    for name, pixels in cut(landcover):
        path = folders.truth / f"{name}_labelTrainIds"
        path.with_name(f"{path.name}.png").unlink()
        write_ids(path.with_name(f"{path.name}.tif"), pixels, nodata=3)
    truth = TruthFile(str(folders.truth), ignore=["1", "15"])
    found = evaluate_quality(str(folders.masks), truth)
    assert found.table.classes.tolist() == [2, 4, 5, 6]
    assert found.table.pixels == (~np.isin(landcover, [1, 3])).sum()
    with pytest.raises(SceneError, match=r"all its classes on .* are ignored"):
        evaluate_quality(str(folders.masks), replace(truth, ignore=list("12456")))


def test_the_picture_is_drawn_without_a_map(tmp_path: Path, folders: Folders) -> None:
    found = measured(folders)
    written = write_quality(found, tmp_path / "out")
    with Image.open(written[1]) as picture:
        assert picture.size == draw_quality(found).size
        assert picture.height > 400


def truth_of(folders: Folders, suffix: str = ".png") -> Path:
    return folders.truth / "train" / f"naip.1_1_labelTrainIds{suffix}"


def write_truth(folders: Folders, *shape: int, suffix: str = ".png") -> None:
    Image.fromarray(np.ones(shape, np.uint8)).save(truth_of(folders, suffix))


def rename_truth(folders: Folders) -> None:
    for path in folders.truth.rglob("*.png"):
        path.rename(path.with_name(f"x{path.name}"))


def break_mask(folders: Folders) -> None:
    (folders.masks / "train" / "naip.1_1_instance_color.png").write_bytes(b"no picture")


def remove_masks(folders: Folders) -> None:
    for path in folders.masks.rglob("*.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folders: truth_of(folders).unlink(), "has no truth for 1 of 9 masks of"),
        (lambda folders: write_truth(folders, 5, 7), "has 5 x 7 pixels, while"),
        (lambda folders: write_truth(folders, 214, 256, 3), "has 3 bands, expected one band"),
        (
            lambda folders: write_truth(folders, 5, 7, suffix=".tif"),
            "holds both naip.1_1_labelTrainIds.png and naip.1_1_labelTrainIds.tif",
        ),
        (break_mask, "naip.1_1_instance_color.png cannot be opened as a raster"),
        (rename_truth, "none of its files belongs to a mask of"),
        (remove_masks, "instance_mask holds no mask, expected .png, .tif"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(
    folders: Folders, spoil: Callable[[Folders], None], message: str
) -> None:
    spoil(folders)
    outcome = alps_geo(
        *("evaluate", "quality", folders.masks, "--truth", folders.truth),
        *("--out", folders.masks.parent / "out"),
    )
    assert outcome.exit_code == 1
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("alps-geo: error: ")
    assert message in line
    assert not (folders.masks.parent / "out").exists()


def test_numbers_are_parts_of_names(tmp_path: Path) -> None:
    paths = [tmp_path / "masks" / "a_1.png", tmp_path / "truth" / "a_2.png"]
    for path in paths:
        path.parent.mkdir()
        Image.fromarray(np.ones((5, 5), np.uint8)).save(path)
    with pytest.raises(SceneError, match="none of its files belongs to a mask"):
        measured(Folders(paths[0].parent, paths[1].parent))
