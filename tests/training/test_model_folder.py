"""Trained models are folders that say all about themselves, and that nobody has to trust."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from huggingface_hub import constants

from alps_geo.errors import DiskError, ModelError, SettingsError
from alps_geo.training.history import EpochFigures
from alps_geo.training.model import (
    BandStatistics,
    Figures,
    ModelClass,
    NetworkSpec,
    Parent,
    TrainedModel,
    TrainingData,
)
from alps_geo.training.model_folder import read_model, write_model
from alps_geo.training.names import ARCHITECTURES
from alps_geo.training.networks import build_network, load_network, stride_of

if TYPE_CHECKING:
    from pathlib import Path

DATA = TrainingData("chips", "pseudo-labels", "00ff", 12, 3, 0.05)
MODEL = TrainedModel(
    "unet",
    "resnet18",
    tuple(BandStatistics(f"B{number}", 100.0 * number, 7.5) for number in range(1, 6)),
    "native",
    "uint16",
    (ModelClass(0, "water", (0, 0, 255)), ModelClass(1, "a | b", (200, 10, 0))),
    64,
    32,
    "model",
    (Parent("before", "1234", DATA),),
    DATA,
    {"epochs": 2, "crop": None, "classes": ["a", "b"]},
    Figures(2, 1, 0.5, 0.75, 0.25, 0.5, (0.5, None), 3.5, "cpu"),
    {"alps-geo": "0.1.0", "torch": "2"},
)
HISTORY = tuple(
    EpochFigures(number, 1 / number, 2 / number, 0.25, 0.5, 1e-3, 2.0) for number in (1, 2)
)


def written(folder: Path) -> tuple[TrainedModel, torch.nn.Module]:
    torch.manual_seed(0)
    network = build_network(MODEL.network).network.eval()
    return write_model(folder, MODEL, network.state_dict(), HISTORY), network


def test_a_model_that_is_read_again_is_the_one_that_was_written(tmp_path: Path) -> None:
    model, network = written(tmp_path / "model")
    again = read_model(tmp_path / "model")
    assert again == model
    assert replace(again, weights_sha256="") == MODEL
    image = torch.rand(1, 5, 64, 96)
    with torch.inference_mode():
        expected, found = network(image), load_network(tmp_path / "model", again)(image)
    assert torch.equal(found, expected)
    assert found.shape == (1, 2, 64, 96)
    assert stride_of(network) == MODEL.stride


def test_the_folder_shows_the_training_to_people(tmp_path: Path) -> None:
    written(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"weights.safetensors", "model.json", "log.csv", "curves.png", "README.md"}
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "| 0 | water | 0 | #0000ff | 0.5000 |" in card
    assert "| 1 | a \\| b | 1 | #c80a00 | none |" in card
    assert "5 % of them" in card
    assert (tmp_path / "model" / "log.csv").read_text("utf-8").splitlines()[1:] == [
        "1,1,2,0.25,0.5,0.001,2",
        "2,0.5,1,0.25,0.5,0.001,2",
    ]


def test_a_model_without_room_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = written(tmp_path / "model")

    def full(self: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(DiskError, match="No space left"):
        written(tmp_path / "model")
    assert read_model(tmp_path / "model") == model
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    model, _ = written(tmp_path / "model")
    weights = tmp_path / "model" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match=r"has SHA-256 .* but model.json says"):
        load_network(tmp_path / "model", model)
    weights.write_bytes(data[:100])
    with pytest.raises(ModelError, match=r"weights.safetensors is damaged"):
        load_network(tmp_path / "model", model)
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(tmp_path / "model", model)


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path) -> None:
    model, _ = written(tmp_path / "model")
    with pytest.raises(ModelError, match=r"weights of another network: .*encoder") as caught:
        load_network(tmp_path / "model", replace(model, architecture="fpn"))
    assert "\n" not in str(caught.value)


def test_other_folders_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no trained model"):
        read_model(tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"kind": "something else"}))
    with pytest.raises(ModelError, match="damaged or of another version"):
        read_model(tmp_path)


@pytest.mark.parametrize("encoder", ["resnet19", "nothing"])
def test_an_unknown_encoder_is_named(encoder: str) -> None:
    for weights in ("random", "auto", "imagenet"):
        with pytest.raises(SettingsError, match=f"encoder is '{encoder}', expected a name"):
            build_network(replace(MODEL, encoder=encoder).network, weights)


def test_a_hub_that_cannot_be_reached_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("asked again"))
    found = build_network(MODEL.network, "auto")
    assert found.weights == "random"
    assert found.note == (
        "no ImageNet weights for resnet18 (http://127.0.0.1:9 cannot be reached): random weights"
    )
    assert not constants.HF_HUB_OFFLINE


def test_without_the_extra_training_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    monkeypatch.delitem(sys.modules, "alps_geo.training.segmentation_models_pytorch", raising=False)
    with pytest.raises(ModelError, match=r'pip install "alps-geo\[train\]"'):
        build_network(MODEL.network)


def test_without_the_network_an_encoder_begins_at_random_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from alps_geo.training import segmentation_models_pytorch as library

    make = library.make_network

    def offline(spec: object, weights: str | None) -> torch.nn.Module:
        if weights is not None:
            raise ConnectionError("no route to the host")
        return make(spec, weights)  # type: ignore[arg-type]

    monkeypatch.setattr(library, "make_network", offline)
    found = build_network(MODEL.network, "auto")
    assert found.weights == "random"
    assert "no ImageNet weights for resnet18" in found.note
    with pytest.raises(ModelError, match="no route to the host"):
        build_network(MODEL.network, "imagenet")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_takes_images_of_multiples_of_its_stride(architecture: str) -> None:
    spec = NetworkSpec(architecture, "resnet18", bands=2, classes=3)
    network = build_network(spec).network.eval()
    height, width = 2 * stride_of(network), 3 * stride_of(network)
    with torch.inference_mode():
        found = network(torch.zeros(1, 2, height, width))
    assert found.shape == (1, 3, height, width)
