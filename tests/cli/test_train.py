"""`alps-geo train` from chips to models: files on disk, messages and exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from helpers import alps_geo
from training_chips import SMALL, make_chips

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("arch", "encoder", "weights")


def options(**given: object) -> list[str]:
    return [text for name, value in given.items() for text in _option(name, value)]


def _option(name: str, value: object) -> tuple[str, str]:
    return f"--{name.replace('_', '-')}", str(value)


@pytest.fixture
def chips(tmp_path: Path) -> Path:
    return make_chips(tmp_path / "chips", train=3, val=1)


def test_a_model_is_pre_trained_and_then_fine_tuned(chips: Path, tmp_path: Path) -> None:
    settings = {**SMALL, "epochs": 1}
    made = alps_geo(
        "train", "pretrain", chips, "--out", tmp_path / "first", *options(**settings), "--json"
    )
    assert made.exit_code == 0, made.stderr
    first = json.loads(made.stdout)
    assert first == json.loads((tmp_path / "first" / "model.json").read_text("utf-8"))
    tuning = {name: value for name, value in settings.items() if name not in NAMES}
    out = ("--from", tmp_path / "first", "--out", tmp_path / "second")
    tuned = alps_geo("train", "finetune", chips, *out, *options(**tuning, fraction=0.5), "--freeze")
    assert tuned.exit_code == 0, tuned.stderr
    assert "after epoch 1 of 1" in tuned.stdout
    second = json.loads((tmp_path / "second" / "model.json").read_text("utf-8"))
    assert second["parents"][0]["stamp"] == first["weights_sha256"]
    assert second["data"]["fraction"] == 0.5


def test_wrong_usage_ends_with_2_and_other_faults_with_1(chips: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "model")
    found = alps_geo("train", "pretrain", chips, *out, "--scale", 0.5)
    assert (found.exit_code, found.stderr) == (
        2,
        "alps-geo: error: scale is 0.5, expected 1 to 4\n",
    )
    for option, name in (("--arch", "net"), ("--encoder", "resnet19")):
        found = alps_geo("train", "pretrain", chips, *out, option, name)
        assert found.exit_code == 2
        assert name in found.stderr
    found = alps_geo("train", "finetune", chips, "--from", chips, *out, "--field", "kind")
    assert found.exit_code == 2
    assert "kind says how --labels are read, but there are none" in found.stderr
    found = alps_geo("train", "finetune", chips, "--from", chips, *out)
    assert found.exit_code == 1
    assert "holds no trained model" in found.stderr
    assert not (tmp_path / "model").exists()


def test_help_of_training_names_the_layouts() -> None:
    found = alps_geo("train", "pretrain", "--help")
    assert found.exit_code == 0
    assert "export --to mmseg" in " ".join(found.stdout.replace("│", " ").split())
