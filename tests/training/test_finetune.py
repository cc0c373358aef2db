"""Fine-tuning begins with the weights of a model, and learns a few labels, however they come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from helpers import DATA
from shapely import box
from training_chips import SIDE, make_chips, train_small, tune_small

from alps_geo.errors import ModelError, SceneError, SettingsError
from alps_geo.evaluate import TruthFile
from alps_geo.training.batches import ChipReader
from alps_geo.training.burnt_labels import burn_labels
from alps_geo.training.chip_folder import open_chips
from alps_geo.training.model_folder import read_model, read_weights
from alps_geo.training.parts import drawn_chips

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.events import Event

HEAD = "segmentation_head."
STILL: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-8}
"""Settings by which weights stay as they were, but for rounding."""


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    train_small(make_chips(folder / "chips", train=3, val=1), folder / "model", epochs=1)
    return folder


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    found = read_weights(folder, read_model(folder))
    return {name: value for name, value in found.items() if value.ndim > 1}


def test_weights_begin_as_those_of_the_model(parent: Path, tmp_path: Path) -> None:
    model = tune_small(parent / "chips", parent / "model", tmp_path / "tuned", **STILL)
    before, after = weights_of(parent / "model"), weights_of(tmp_path / "tuned")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert model.initial == "model"
    (origin,) = model.parents
    assert origin.stamp == read_model(parent / "model").weights_sha256
    assert origin.data == read_model(parent / "model").data
    assert model.bands == read_model(parent / "model").bands


def test_other_classes_get_a_head_of_their_own(parent: Path, tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=2, val=1)
    (chips / "metainfo.json").write_text(
        json.dumps({"classes": [f"c{i}" for i in range(20)], "img_suffix": ".tif"})
    )
    heard: list[Event] = []
    model = tune_small(chips, parent / "model", tmp_path / "tuned", **STILL, listen=heard.append)
    assert len(model.classes) == 20
    assert any("the head begins at random" in event.note for event in heard)
    before, after = weights_of(parent / "model"), weights_of(tmp_path / "tuned")
    rest = [name for name in before if not name.startswith(HEAD)]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in rest)
    assert after[f"{HEAD}0.weight"].shape[0] == 20


def test_a_frozen_encoder_stays_bit_by_bit_and_the_rest_learns(
    parent: Path, tmp_path: Path
) -> None:
    tune_small(parent / "chips", parent / "model", tmp_path / "tuned", freeze=True)
    before = read_weights(parent / "model", read_model(parent / "model"))
    after = read_weights(tmp_path / "tuned", read_model(tmp_path / "tuned"))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("encoder.")} <= same
    assert not [name for name in same if name.startswith("decoder.") and name.endswith("weight")]


def test_the_encoder_learns_more_slowly(parent: Path, tmp_path: Path) -> None:
    tune_small(
        parent / "chips", parent / "model", tmp_path / "tuned", encoder_rate=0.01, weight_decay=0.0
    )
    before, after = weights_of(parent / "model"), weights_of(tmp_path / "tuned")
    moved = {name: float((after[name] - before[name]).abs().max()) for name in before}
    encoder = max(value for name, value in moved.items() if name.startswith("encoder."))
    decoder = max(value for name, value in moved.items() if name.startswith("decoder."))
    assert 0 < encoder < 0.1 * decoder


def test_a_fraction_draws_chips_by_the_seed_and_smaller_ones_lie_in_larger(tmp_path: Path) -> None:
    chips = open_chips(make_chips(tmp_path / "chips", train=6)).of("train")
    labelled = [5, 5, 0, 5, 5, 5]
    few, more = (drawn_chips(chips, labelled, share, 1) for share in (0.2, 0.6))
    assert (len(few), len(more)) == (1, 3)
    assert {*few} <= {*more}
    assert chips[2] not in drawn_chips(chips, labelled, 1.0, 1)
    assert len({drawn_chips(chips, labelled, 0.2, seed) for seed in range(20)}) > 2


def test_a_fraction_of_pixels_lies_in_a_larger_one(parent: Path) -> None:
    folder = open_chips(parent / "chips")
    statistics = read_model(parent / "model").bands
    few, more = (
        ChipReader(folder, statistics, kept, 5).read(folder.chips[0])[1].numpy() != 255
        for kept in (0.05, 0.3)
    )
    assert few.mean() == pytest.approx(0.05, abs=0.02)
    assert more.mean() == pytest.approx(0.3, abs=0.05)
    assert not (few & ~more).any()


def test_a_fraction_is_told_by_the_model(parent: Path, tmp_path: Path) -> None:
    model = tune_small(
        parent / "chips", parent / "model", tmp_path / "tuned", **STILL, fraction=0.3
    )
    assert (model.data.train, model.data.fraction) == (1, 0.3)
    with pytest.raises(SettingsError, match="fraction is 0"):
        tune_small(parent / "chips", parent / "model", tmp_path / "other", fraction=0.0)


def test_polygons_are_burnt_onto_the_chips(parent: Path, tmp_path: Path) -> None:
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        left, bottom, right, top = scene.bounds
        crs = scene.crs
    middle = left + 100
    frame = geopandas.GeoDataFrame(
        {"kind": ["west", "east", "west"]},
        geometry=[
            box(left, top - 500, middle, top),
            box(middle, top - 500, right, top),
            box(right + 10, bottom, right + 20, top),
        ],
        crs=crs.to_wkt(),
    )
    path = tmp_path / "areas.gpkg"
    frame.to_crs(4326).to_file(path)
    model = tune_small(
        *(parent / "chips", parent / "model", tmp_path / "tuned"),
        **STILL,
        labels=TruthFile(str(path), "kind"),
    )
    assert [each.name for each in model.classes] == ["east", "west"]
    assert model.data.labels == str(path)
    assert not (tmp_path / "tuned" / "labels").exists()


def test_classes_outside_all_chips_are_told_with_their_labels(parent: Path, tmp_path: Path) -> None:
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        left, _, right, top = scene.bounds
        crs = scene.crs.to_wkt()
    areas = [box(left, top - 500, right, top)] + [box(right + 10 * i, 0, right, 9) for i in (1, 2)]
    frame = geopandas.GeoDataFrame({"kind": ["land", "sea", "sea"]}, geometry=areas, crs=crs)
    frame.to_file(path := tmp_path / "areas.gpkg")
    heard: list[Event] = []
    burn_labels(
        open_chips(parent / "chips"),
        TruthFile(str(path), "kind"),
        tmp_path / "labels",
        heard.append,
    )
    (note,) = (event.note for event in heard if event.note)
    assert "labels of 1 of 2 classes lie outside all chips" in note
    assert note.endswith("does not learn them: sea (2 polygons)")


def test_classes_of_a_raster_between_chips_are_told(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=2, val=1)
    record = {"format": "mmseg", "settings": {"values": "native"}, "run": "results"}
    sources = [{"name": "naip", "path": str(DATA / "naip_md_1m.tif")}]
    (chips / "export.json").write_text(json.dumps(record | {"sources": sources}))
    windows = {"train/chip0": (0, 0), "train/chip1": (0, 2 * SIDE), "val/chip0": (400, 0)}
    rows = [
        f"{title.replace('/', ',')},naip,{row},{col},{SIDE},{SIDE}\n"
        for title, (row, col) in windows.items()
    ]
    (chips / "chips.csv").write_text("split,chip,source,row,col,height,width\n" + "".join(rows))
    with rasterio.open(DATA / "naip_md_1m_landcover.tif") as truth:
        values, profile = truth.read(1), truth.profile
    values[-7:, -5:] = 9
    with rasterio.open(path := tmp_path / "truth.tif", "w", **profile) as target:
        target.write(values, 1)
    heard: list[Event] = []
    file = TruthFile(str(path), ignore=["1", "4", "5", "6"], names={9: "mine"})
    burn_labels(open_chips(chips), file, tmp_path / "labels", heard.append)
    (note,) = (event.note for event in heard if event.note)
    assert "labels of 1 of 3 classes lie outside all chips" in note
    assert note.endswith("mine (35 pixels)")


def test_a_raster_of_classes_gives_the_masks_it_was_cut_into(parent: Path, tmp_path: Path) -> None:
    truth = TruthFile(str(DATA / "naip_md_1m_landcover.tif"), names={1: "water"})
    from alps_geo.training.chips import read_values

    chips = open_chips(parent / "chips")
    burnt = burn_labels(chips, truth, tmp_path / "labels", lambda _: None)
    for one, other in zip(burnt.chips, chips.chips, strict=True):
        np.testing.assert_array_equal(read_values(one.mask), read_values(other.mask))
    assert {each.name for each in burnt.classes} <= {"water", *"23456"}


def test_labels_elsewhere_are_refused(parent: Path, tmp_path: Path) -> None:
    path = tmp_path / "areas.gpkg"
    areas = {"kind": ["sea"]}
    geopandas.GeoDataFrame(areas, geometry=[box(0, 0, 1, 1)], crs=4326).to_file(path)
    with pytest.raises(SceneError, match="labels no pixel of the 4 chips"):
        tune_small(
            *(parent / "chips", parent / "model", tmp_path / "tuned"),
            labels=TruthFile(str(path), "kind"),
        )
    with pytest.raises(SceneError, match=r"nothing.gpkg cannot be read .* check --labels"):
        tune_small(
            *(parent / "chips", parent / "model", tmp_path / "other"),
            labels=TruthFile(str(tmp_path / "nothing.gpkg")),
        )


def test_other_bands_are_refused_and_other_depths_told(parent: Path, tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "rgb", train=2, val=1, bands=(1, 2, 3))
    with pytest.raises(ModelError, match=r"was trained on 4 bands .* has 3; expected the same"):
        tune_small(chips, parent / "model", tmp_path / "tuned")
    deep = make_chips(tmp_path / "deep", train=2, val=1, dtype="uint16")
    heard: list[Event] = []
    model = tune_small(deep, parent / "model", tmp_path / "deeper", **STILL, listen=heard.append)
    assert any("scaled by their own statistics" in event.note for event in heard)
    assert model.bands[0].mean > 200 * 100


def test_another_model_is_another_training(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no trained model"):
        tune_small(parent / "chips", tmp_path, tmp_path / "tuned")
