"""Training sets on disk: whole or not at all, counted, and never in place of something else."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload
from weakref import WeakSet

import numpy as np
import pytest
import rasterio
from helpers import DATA, disk_of
from PIL import Image
from training_sources import CHIPS, IMAGES, SCENE, ArraySource, classes, native, write_set

from alps_geo.errors import DiskError, RunError, SceneError, SettingsError
from alps_geo.outputs.names import TRAINING_FORMATS
from alps_geo.outputs.training_set.formats import FORMATS
from alps_geo.outputs.training_set.settings import ExportSettings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.outputs.training_set.format import TrainingFormat

SPLIT = ExportSettings(chip_size=32, min_labelled=0.2)
BIG = ArraySource("big", (330, 400), empty=(slice(0, 90), slice(0, 90)))


def test_the_command_knows_the_formats() -> None:
    assert tuple(each.name for each in FORMATS) == TRAINING_FORMATS


@pytest.mark.parametrize("to", TRAINING_FORMATS)
def test_counts_are_those_of_the_chips(tmp_path: Path, to: str) -> None:
    out = tmp_path / "set"
    made = write_set(out, to, (BIG,), SPLIT)
    numbers, ids = BIG.class_numbers(), BIG.ids
    assert made.plan.splits == ("train", "val", "test")
    for count in made.counts:
        windows = [c.window.toslices() for c in made.plan.chips if c.split == count.split]
        assert count.chips == len(windows)
        assert count.unlabelled == sum(int((numbers[at] < 0).sum()) for at in windows)
        for number in range(5):
            inside = [ids[at][numbers[at] == number] for at in windows]
            assert count.class_chips[number] == sum(each.size > 0 for each in inside)
            assert count.class_pixels[number] == sum(each.size for each in inside)
            assert count.class_objects[number] == len(np.unique(np.concatenate(inside)))
    windows_of_all = 11 * 13
    assert len(made.plan.chips) + made.plan.sparse + made.plan.in_gap == windows_of_all
    assert made.plan.sparse > 0
    assert made.plan.in_gap > 0
    for chip in made.plan.chips:
        assert (numbers[chip.window.toslices()] >= 0).mean() >= 0.2
    check_card(out, made.to_json())


def check_card(out: Path, record: dict[str, Any]) -> None:
    card = (out / "README.md").read_text("utf-8")
    for each in record["splits"]:
        assert f"| {each['split']} | {each['chips']} |" in card
    first = [
        str(number)
        for each in record["splits"]
        for number in (each["class_chips"][0], each["class_pixels"][0], each["class_objects"][0])
    ]
    assert f"| 0 | cluster 1 | 1 | {' | '.join(first)} |\n" in card
    left = record["left_out"]
    assert f"| less than 20 % labelled | {left['few_labels']} |" in card
    assert f"or more | {left['in_gap']} |" in card
    for text in ("/runs/results", "scene.tif", "| seed | 0 |", "licences", "mobile"):
        assert text in card
    assert not re.search(r"\n\n\n|[{}]{2}", re.sub(r"```.*?```", "code", card, flags=re.S))
    stored = json.loads((out / "export.json").read_text("utf-8"))
    assert set(stored.pop("contents")) == {each.name for each in out.iterdir()}
    assert stored == json.loads(json.dumps(record))
    with (out / "chips.csv").open(encoding="utf-8") as file:
        assert len([*csv.DictReader(file)]) == record["chips"]


def test_the_sheet_shows_chips_of_all_splits_and_their_masks(tmp_path: Path) -> None:
    out = tmp_path / "set"
    made = write_set(out, "mmseg", (BIG,), SPLIT)
    with Image.open(out / "chips.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    # Every class shines through somewhere, and is in the legend.
    found = {tuple(each) for each in np.unique(pixels, axis=0).tolist()}
    assert {each.color for each in made.classes.classes} <= found


def test_images_keep_their_splits_and_are_not_cut(tmp_path: Path) -> None:
    made = write_set(tmp_path / "set", "mmseg", IMAGES, replace(SPLIT, chip_size=48))
    assert [(c.split, c.name) for c in made.plan.chips] == [
        ("train", "a"),
        ("val", "a"),
        ("train", "b.c"),
    ]
    assert made.plan.in_gap == 0
    assert made.notes == ()
    assert [each.name for each in made.plan.sources] == ["train/a", "val/a", "train/b.c"]


class Images(Sequence[ArraySource]):
    """Very many images, made when they are asked for; counts those that live at a time."""

    def __init__(self, count: int) -> None:
        self.number, self.alive, self.most = count, WeakSet[ArraySource](), 0
        self.asked = 0

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, index: int) -> ArraySource: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ArraySource]: ...

    def __getitem__(self, index: int | slice) -> ArraySource | Sequence[ArraySource]:
        assert isinstance(index, int)
        if index >= self.number:
            raise IndexError
        self.asked += 1
        image = ArraySource(f"image{index}", (16, 16), None, side=5)
        self.alive.add(image)
        self.most = max(self.most, len(self.alive))
        return image


def test_very_many_images_are_never_held_at_once(tmp_path: Path) -> None:
    images = Images(300)
    made = write_set(tmp_path / "set", "coco", images, ExportSettings(chip_size=16))
    assert [each.chips for each in made.counts] == [240, 30, 30]
    assert images.most <= 3
    # To look at them, and to write them.
    assert images.asked <= 2 * 300 + 1
    # One record a source is listed, of the card the first alone.
    assert "and 200 more" in (tmp_path / "set" / "README.md").read_text("utf-8")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


class Broken(ArraySource):
    """A source whose last chip cannot be read."""

    def picture(self, window: Window) -> NDArray[np.uint8]:
        if window.row_off > 100:
            raise SceneError("scene.tif: rows 100 to 148 cannot be read")
        return super().picture(window)


@pytest.mark.parametrize("before", [False, True])
def test_a_set_that_cannot_be_finished_leaves_what_was_there(tmp_path: Path, before: bool) -> None:
    out = tmp_path / "set"
    if before:
        write_set(out, "alps", IMAGES)
    found = names(tmp_path)
    broken = Broken("broken", SCENE.shape)
    with pytest.raises(SceneError, match="rows 100 to 148"):
        write_set(out, "coco", (broken,), overwrite=True)
    assert names(tmp_path) == found


@pytest.mark.parametrize("to", TRAINING_FORMATS)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, to: str) -> None:
    out = tmp_path / "deep" / "set"
    values = native() if to == "torchgeo" else CHIPS
    with disk_of(3000), pytest.raises(DiskError) as caught:
        write_set(out, to, (SCENE,), values)
    message = str(caught.value)
    assert message.startswith(f"{out}/")
    assert ".partial" not in message
    assert "cannot be written" in message
    assert names(tmp_path) == {"deep"}


def test_a_set_is_replaced_only_on_demand_and_whole(tmp_path: Path) -> None:
    out = tmp_path / "set"
    write_set(out, "yolo-seg", IMAGES)
    # Ultralytics keeps a cache next to the labels.
    (out / "labels" / "train.cache").write_text("cache")
    with pytest.raises(RunError, match="holds a training set; --overwrite replaces it"):
        write_set(out, "coco", IMAGES)
    write_set(out, "coco", IMAGES, overwrite=True)
    write_set(tmp_path / "new", "coco", IMAGES)
    assert names(out) == names(tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"set", "new"}


def test_what_a_person_added_is_never_removed(tmp_path: Path) -> None:
    out = tmp_path / "set"
    write_set(out, "coco", IMAGES)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"holds notes\.txt, which the export there did not write"):
        write_set(out, "coco", IMAGES, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", ["a file", "a folder", "a record of another program"])
def test_another_folder_is_not_taken(tmp_path: Path, content: str) -> None:
    out = tmp_path / "set"
    if content == "a file":
        out.write_text("text")
    else:
        out.mkdir()
        (out / "export.json").write_text('{"kind": "other"}' if "record" in content else "{")
    before = names(tmp_path)
    with pytest.raises(RunError, match="is no training set that alps-geo exported"):
        write_set(out, "coco", IMAGES, overwrite=True)
    assert names(tmp_path) == before


def test_a_link_to_a_set_stays_a_link(tmp_path: Path) -> None:
    write_set(tmp_path / "real", "coco", IMAGES)
    (tmp_path / "set").symlink_to(tmp_path / "real")
    write_set(tmp_path / "set", "alps", IMAGES, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"set", "real"}
    assert (tmp_path / "set").is_symlink()
    assert (tmp_path / "real" / "instance_mask").is_dir()


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write_set(tmp_path / "set", "coco", IMAGES)
    assert (tmp_path / "set" / "README.md").exists()


def test_leftovers_of_a_kill_go_and_a_set_that_it_moved_comes_back(tmp_path: Path) -> None:
    write_set(tmp_path / "set", "coco", IMAGES)
    (tmp_path / "set").rename(tmp_path / ".set.replaced")
    (tmp_path / ".set.partial" / "set").mkdir(parents=True)
    (tmp_path / ".set.partial" / "set" / "half.png").write_text("half")
    broken = Broken("broken", SCENE.shape)
    with pytest.raises(SceneError):
        write_set(tmp_path / "set", "coco", (broken,))
    assert {path.name for path in tmp_path.iterdir()} == {"set"}
    assert "images/val/a.png" in names(tmp_path / "set")


def test_two_exports_at_once_do_not_mix(tmp_path: Path) -> None:
    class Second(ArraySource):
        """A source during whose reading another export begins."""

        def picture(self, window: Window) -> NDArray[np.uint8]:
            with pytest.raises(RunError, match=r"another process is writing .*set; wait until"):
                write_set(tmp_path / "set", "alps", IMAGES)
            return super().picture(window)

    write_set(tmp_path / "set", "coco", (Second("scene", (40, 40)),))
    assert {path.name for path in tmp_path.iterdir()} == {"set"}
    assert not (tmp_path / "set" / "instance_mask").exists()


@pytest.mark.parametrize(
    ("sources", "to", "settings", "message"),
    [
        (IMAGES, "torchgeo", CHIPS, "img_dir/train/a.png has no CRS, and TorchGeo pairs"),
        (
            (SCENE, replace(SCENE, name="b", dtype="uint8", path="b.tif")),
            "coco",
            native(),
            "b.tif has uint8 values and scene.tif uint16; all chips of a set need the same",
        ),
        (
            (SCENE, replace(SCENE, name="b", band_names=("red", "pan"), path="b.tif")),
            "coco",
            native(),
            "b.tif has the bands red, pan and scene.tif red, green, blue, nir; give the --bands",
        ),
        (
            (SCENE,),
            "coco",
            native(bands=(1, 7)),
            "bands is 1,7, but scene.tif has no data band 7; expected some of 1, 2, 3, 4",
        ),
        (
            (replace(SCENE, empty=(slice(0, 150), slice(0, 180))),),
            "coco",
            ExportSettings(chip_size=512, min_labelled=0.5),
            r"min_labelled is 0\.5, but the best chip is only 25 % labelled; give a lower",
        ),
    ],
)
def test_settings_that_do_not_go_with_the_sources(
    tmp_path: Path, sources: Any, to: str, settings: ExportSettings, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        write_set(tmp_path / "set", to, sources, settings)
    assert names(tmp_path) == set()


def test_bands_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    other = replace(SCENE, name="other", band_names=("nir", "blue", "green", "red"))
    made = write_set(tmp_path / "set", "mmseg", (SCENE, other), native())
    for chip in made.plan.chips:
        path = tmp_path / "set" / "img_dir" / chip.split / f"{chip.name}.tif"
        with rasterio.open(path) as raster:
            assert raster.descriptions == ("red", "green", "blue", "nir")
            at = chip.window.toslices()
            expected = (SCENE.values if chip.source == 0 else SCENE.values[::-1])[:, *at]
            np.testing.assert_array_equal(raster.read(), expected)


def test_splits_that_have_no_room_are_noted(tmp_path: Path) -> None:
    made = write_set(tmp_path / "set", "coco", (SCENE,), ExportSettings(chip_size=100))
    assert made.plan.splits == ("train",)
    note = "Val and test have no chips, for there are too few to keep splits apart; a smaller"
    assert note in (tmp_path / "set" / "README.md").read_text("utf-8")


def test_the_card_of_one_chip_counts_it_and_says_where_its_code_reads(tmp_path: Path) -> None:
    write_set(tmp_path / "set", "coco", (SCENE,), ExportSettings(chip_size=512, min_labelled=0))
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "\n1 chip of 1 source, labelled\n" in card
    assert "`SET` stands for the folder of the set" in card


def test_classes_that_markdown_would_change_are_written_as_they_are(tmp_path: Path) -> None:
    table = classes()
    odd = replace(table.classes[0], name="a|b <i> *x* _y_")
    write_set(
        tmp_path / "set", "coco", IMAGES, table=replace(table, classes=(odd, *table.classes[1:]))
    )
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert r"| 0 | a\|b \<i\> \*x\* \_y\_ | 1 |" in card


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_the_page_of_the_docs_reads_each_format(kind: TrainingFormat) -> None:
    page = (DATA.parent.parent / "docs" / "export.md").read_text("utf-8")
    assert f"### {kind.name}\n" in page
    assert f"```python\n{kind.reading}```\n" in page
    compile(kind.reading, kind.name, "exec")
    assert " ".join(kind.about.split()) in " ".join(page.split())
