"""Folders of chips: the layouts that are read, and one line for each that cannot be."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from image_folders import label, make_root
from training_chips import SIDE, make_chips, train_small, write_mask
from training_sources import SCENE, native, write_set

from alps_geo.errors import RunError, SceneError
from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo.training.chip_folder import open_chips
from alps_geo.training.chips import ClassPositions, read_chip
from alps_geo.training.model import IGNORED
from alps_geo.training.survey import survey_chips

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.events import Event
    from alps_geo.outputs.training_set.record import TrainingSet

EXPORT = ExportSettings(chip_size=40, split=(0.7, 0.3, 0.0), min_labelled=0.0)


def pixels_of(root: Path) -> tuple[Any, Any]:
    """Count the pixels of each class in train and val, as training sees them."""
    folder = open_chips(root)
    surveys = (survey_chips(folder, folder.of(split), lambda _: None) for split in ("train", "val"))
    one, other = (survey.counts.tolist() for survey in surveys)
    return one, other


def counted(made: TrainingSet) -> tuple[Any, Any]:
    one, other = (list(each.class_pixels) for each in made.counts)
    return one, other


@pytest.mark.parametrize("to", ["mmseg", "alps"])
@pytest.mark.parametrize("values", ["8bit", "native"])
def test_exported_chips_have_the_classes_and_pixels_of_the_export(
    tmp_path: Path, to: str, values: str
) -> None:
    settings = EXPORT if values == "8bit" else native(EXPORT)
    made = write_set(tmp_path / "set", to, (SCENE,), settings)
    folder = open_chips(tmp_path / "set")
    assert pixels_of(tmp_path / "set") == counted(made)
    assert [each.name for each in folder.classes] == made.classes.names
    assert folder.values == values
    assert folder.labels == "pseudo-labels of /runs/results"
    survey = survey_chips(folder, folder.of("train"), lambda _: None)
    assert survey.dtype == ("uint8" if values == "8bit" else "uint16")
    assert len(survey.bands) == (3 if values == "8bit" else 4)


@pytest.mark.parametrize("zero_based", [False, True])
def test_labelled_image_folders_are_read_where_their_images_lie(
    tmp_path: Path, zero_based: bool
) -> None:
    root = make_root(tmp_path / "images", train=2, val=1)
    record = label(root, tmp_path / "run", zero_based=zero_based)
    folder = open_chips(tmp_path / "run")
    assert [each.value for each in folder.classes] == [
        each.cluster - zero_based for each in record.clusters
    ]
    assert [each.title for each in folder.chips] == ["train/chip.0", "train/chip.1", "val/chip.0"]
    train, val = pixels_of(tmp_path / "run")
    assert sum(train) + sum(val) == sum(each.labelled_pixels or 0 for each in record.scenes)


def test_unlabelled_pixels_and_pixels_without_data_are_not_trained_on(tmp_path: Path) -> None:
    import rasterio

    root = make_chips(tmp_path / "chips", train=1, val=1)
    mask = np.full((SIDE, SIDE), 3)
    mask[:10] = 255
    write_mask(root, "train", "chip0", mask)
    with rasterio.open(root / "img_dir" / "train" / "chip0.tif", "r+") as chip:
        pixels = chip.read()
        pixels[:, :, :4] = 0
        chip.write(pixels)
        chip.nodata = 0
    folder = open_chips(root)
    _, labels = read_chip(folder.chips[0], ClassPositions(folder))
    assert (labels[:10] == IGNORED).all()
    assert (labels[:, :4] == IGNORED).all()
    assert (labels[10:, 4:] == 3).mean() > 0.95


def test_a_mask_beyond_the_classes_is_named(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=2)
    write_mask(root, "train", "chip1", np.full((SIDE, SIDE), 16))
    with pytest.raises(SceneError, match=r"train/chip1.png holds the value 16, .* 0 to 15 for the"):
        train_small(root, tmp_path / "model")


def test_an_image_without_a_mask_is_named(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=3)
    (root / "ann_dir" / "train" / "chip2.png").unlink()
    with pytest.raises(SceneError, match=r"1 of 5 images have no mask, the first is .*chip2.tif"):
        train_small(root, tmp_path / "model")


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=3, val=0)
    with pytest.raises(SceneError, match=r"no chips in the split val.*--val-share"):
        train_small(root, tmp_path / "model")
    model = train_small(root, tmp_path / "model", val_share=0.3, epochs=1)
    assert (model.data.train, model.data.val) == (2, 1)
    other = make_chips(tmp_path / "other", train=0, val=2)
    with pytest.raises(SceneError, match=r"no chips in the split train"):
        train_small(other, tmp_path / "third")


def test_classes_and_colours_that_disagree_are_told(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=1)
    info = {"classes": ["a", "b"], "palette": [[0, 0, 0]]}
    (root / "metainfo.json").write_text(json.dumps(info))
    with pytest.raises(SceneError, match="has 2 classes and 1 colours"):
        open_chips(root)
    (root / "metainfo.json").write_text("{")
    with pytest.raises(SceneError, match=r"metainfo.json is damaged"):
        open_chips(root)


def test_classes_of_one_split_alone_are_told(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=2, val=1)
    for split, name, value in (("train", "chip0", 1), ("train", "chip1", 1), ("val", "chip0", 2)):
        write_mask(root, split, name, np.full((SIDE, SIDE), value))
    heard: list[Event] = []
    train_small(root, tmp_path / "model", epochs=1, listen=heard.append)
    notes = [event.note for event in heard]
    assert "1 of 16 classes are in val and not in train: 2" in notes
    assert "1 of 16 classes are in train and not in val: 1" in notes


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=1)
    write_mask(root, "train", "chip0", np.zeros((SIDE, SIDE + 1)))
    with pytest.raises(SceneError, match=r"has 40 x 41 pixels and .* 40 x 40, expected the same"):
        train_small(root, tmp_path / "model")


def test_bands_that_differ_are_refused(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=2)
    more = make_chips(tmp_path / "more", train=2, bands=(1, 2, 3))
    name = "img_dir/train/chip1.tif"
    shutil.copy(more / name, root / name)
    with pytest.raises(SceneError, match=r"chip1.tif has 3 bands of uint8 and .* 4 of uint8"):
        train_small(root, tmp_path / "model")
    shutil.rmtree(root)
    make_chips(root, train=2, val=0)
    make_chips(tmp_path / "val", train=0, val=1, dtype="uint16")
    shutil.copytree(tmp_path / "val", root, dirs_exist_ok=True)
    with pytest.raises(
        SceneError, match=r"val have 4 bands of uint16 and those of train 4 of uint8"
    ):
        train_small(root, tmp_path / "model")


def test_chips_without_labels_are_refused(tmp_path: Path) -> None:
    root = make_chips(tmp_path / "chips", train=1, val=1)
    write_mask(root, "train", "chip0", np.full((SIDE, SIDE), 255))
    with pytest.raises(SceneError, match="no pixel of the chips that are trained on has a label"):
        train_small(root, tmp_path / "model")
    write_mask(root, "val", "chip0", np.full((SIDE, SIDE), 255))
    with pytest.raises(SceneError, match="no pixel of the chips of val has a label"):
        train_small(root, tmp_path / "model")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"expected a folder of alps-geo export --to mmseg"):
        open_chips(tmp_path)
    with pytest.raises(SceneError, match="does not exist"):
        open_chips(tmp_path / "nowhere")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        open_chips(tmp_path)
