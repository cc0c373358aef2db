"""Exported models: ONNX files that give the logits of torch, and say what they need."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from helpers import alps_geo
from random_models import CLASSES, write_random_model

from alps_geo.errors import ModelError, RunError
from alps_geo.training import onnxruntime as own_onnxruntime
from alps_geo.training.export import export_onnx
from alps_geo.training.model_folder import read_model
from alps_geo.training.networks import load_network

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("export")
    write_random_model(made / "model", ("red", "green", "blue", "nir"))
    return made


def test_an_onnx_file_gives_the_logits_of_torch_at_any_size(folder: Path, tmp_path: Path) -> None:
    import onnxruntime

    path = tmp_path / "model.onnx"
    outcome = alps_geo("train", "export", folder / "model", "--to", "onnx", "--out", path)
    assert outcome.exit_code == 0, outcome.stderr
    assert "multiples of 32 pixels" in outcome.stdout
    model = read_model(folder / "model")
    network = load_network(folder / "model", model)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    draw = np.random.default_rng(7)
    for shape in ((1, 4, 64, 64), (3, 4, 32, 160), (1, 4, 256, 96)):
        image = draw.standard_normal(shape, np.float32)
        (found,) = session.run(None, {"image": image})
        with torch.inference_mode():
            expected = network(torch.from_numpy(image)).numpy()
        assert np.abs(found - expected).max() < 1e-4
    known: dict[str, Any] = session.get_modelmeta().custom_metadata_map
    assert [each["name"] for each in json.loads(known["bands"])] == ["red", "green", "blue", "nir"]
    assert json.loads(known["bands"])[1] == {"name": "green", "mean": 110.0, "std": 30.0}
    assert [each["name"] for each in json.loads(known["classes"])] == [c.name for c in CLASSES]
    assert known["weights_sha256"] == model.weights_sha256
    assert (known["values"], known["stride"]) == ("native", "32")


def test_a_file_is_replaced_only_if_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        export_onnx(folder / "model", path)
    assert path.read_text() == "mine"
    assert export_onnx(folder / "model", path, overwrite=True).side is None
    assert path.stat().st_size > 100_000
    with pytest.raises(RunError, match="is a folder"):
        export_onnx(folder / "model", tmp_path, overwrite=True)


def test_logits_that_differ_from_those_of_torch_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = own_onnxruntime.run_onnx
    monkeypatch.setattr(
        own_onnxruntime, "run_onnx", lambda *given: [each + 2e-2 for each in run(*given)]
    )
    with pytest.raises(ModelError, match=r"logits differ by 0\.0"):
        export_onnx(folder / "model", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alps_geo.training.onnx", "alps_geo.training.onnxruntime"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = export_onnx(folder / "model", tmp_path / "unchecked.onnx")
    assert found.difference is None
    monkeypatch.delitem(sys.modules, "alps_geo.training.onnx", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r'needs onnx, .* pip install "alps-geo\[onnx\]"'):
        export_onnx(folder / "model", tmp_path / "model.onnx")
