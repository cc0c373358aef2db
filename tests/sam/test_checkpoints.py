"""Weights files as people have them: MobileSAM's own, Meta's, and those of training runs."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import torch
from helpers import DATA, alps_geo
from safetensors.torch import save_file

from alps_geo.errors import ModelError
from alps_geo.sam.model import load_model
from alps_geo.sam.weights import MODELS, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    State = dict[str, Tensor]

PATCHES = "image_encoder.patch_embed.proj.weight"
SEQ = "image_encoder.patch_embed.seq.0"
NECK = "image_encoder.neck.0.weight"
NEON = DATA / "neon_osbs_10cm.tif"
QUICK = ("--tile-size", "400", "--points", "grid:4", "--clusters", "4")
RASTERS = ("labels.tif", "segments.tif")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let MobileSAM's own code write a checkpoint, its answers, and the checkpoint fused."""
    folder = tmp_path_factory.mktemp("original")
    program = Path(__file__).parent / "original_mobile_sam.py"
    subprocess.run([sys.executable, program, folder], check=True)
    return folder


@pytest.fixture
def state(original: Path) -> State:
    """Read the checkpoint that MobileSAM's own code wrote."""
    found: State = torch.load(original / "mobile_sam.pt", weights_only=True)
    return found


def in_mobile_sams_layout(key: str) -> str:
    """Name a tensor of the shipped weights as MobileSAM does."""
    name = key.replace(".trunk.", ".").replace(".conv.weight", ".c.weight")
    name = name.replace("embed.conv1.", "embed.seq.0.").replace("embed.conv2.", "embed.seq.2.")
    name = re.sub(r"stages\.(\d)\.down", lambda m: f"layers.{int(m[1]) - 1}.down", name)
    return name.replace(".stages.", ".layers.")


def save(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def difference(found: Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found.numpy() - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", ["mobile_sam.pt", "fused.pt"])
def test_mobile_sams_own_checkpoint_answers_as_the_original_does(original: Path, name: str) -> None:
    model = load_model("mobile_sam", original / name, "cpu")
    answers = np.load(original / "answers.npz")
    embedding = model.encode(answers["image"])
    assert difference(embedding, answers["embedding"]) < 1e-5
    with torch.inference_mode():
        keys = model.decoder.prepare(embedding)
        prompts = model.decoder.prompt(keys, torch.from_numpy(answers["points"]))
        iou = model.decoder.predicted_iou(keys, prompts)
        logits = model.decoder.logits(keys, prompts, torch.arange(iou.numel())).view(3, 3, 256, 256)
    assert difference(iou, answers["iou"]) < 1e-5
    assert difference(logits, answers["logits"]) < 1e-5
    masks, expected = logits.numpy() > 0, answers["logits"] > 0
    assert 0.1 < expected.mean() < 0.9
    assert (masks == expected).mean() > 0.9999


def test_a_checkpoint_is_named_by_its_own_bytes(original: Path) -> None:
    model = load_model("mobile_sam", original / "mobile_sam.pt", "cpu")
    assert model.sha256 != MODELS["mobile_sam"].sha256
    assert model.sha256 != load_model("mobile_sam", original / "fused.pt", "cpu").sha256


def test_the_shipped_weights_in_mobile_sams_layout_label_alike(
    state: State, tmp_path: Path
) -> None:
    shipped, _ = read_weights("mobile_sam", None)
    own = {in_mobile_sams_layout(key): tensor.float() for key, tensor in shipped.items()}
    assert {key for key in state if "head." not in key or "iou" in key} == {
        *own,
        *(key for key in state if key.endswith("num_batches_tracked")),
    }
    path = save(own, tmp_path / "mobile_sam.pt")
    results = {}
    for name, options in (("shipped", []), ("own", ["--checkpoint", path])):
        out = tmp_path / name
        outcome = alps_geo("label", NEON, "--out", out, *QUICK, *options, "--model", "mobile_sam")
        assert outcome.exit_code == 0, outcome.stderr
        results[name] = [read(out / NEON.stem / file) for file in RASTERS]
    # Their tags tell of other weights.
    np.testing.assert_array_equal(results["own"], results["shipped"])


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as raster:
        ids: NDArray[Any] = raster.read(1)
    return ids


WRAPPED: dict[str, Callable[[State], object]] = {
    "model": lambda state: {"model": state, "epoch": 3, "lr": 1e-4},
    "state_dict": lambda state: {"state_dict": state, "optimizer": {"state": {0: {}}}},
    "deeper": lambda state: {"state": {"model": state}, "mean": torch.zeros(3)},
    "module": lambda state: {f"module.{key}": value for key, value in state.items()},
    "lightning": lambda state: {
        "state_dict": {f"model.sam.{key}": value for key, value in state.items()}
        | {"loss.weight": torch.ones(2)}
    },
    "compiled encoder": lambda state: {
        key.replace("image_encoder.", "image_encoder._orig_mod."): value
        for key, value in state.items()
    },
    "parameters": lambda state: {
        key: torch.nn.Parameter(value) if value.is_floating_point() else value
        for key, value in state.items()
    },
    "old buffers": lambda state: (
        state
        | {"image_encoder.layers.1.blocks.0.attn.attention_bias_idxs": torch.zeros(49, 49).long()}
        | {"pixel_mean": torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)}
    ),
    "no classifier": lambda state: {
        key: value for key, value in state.items() if "head." not in key or "iou" in key
    },
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_checkpoint_of_a_training_run_is_the_same_model(
    wrap: Callable[[State], object], original: Path, state: State, tmp_path: Path
) -> None:
    model = load_model("mobile_sam", save(wrap(state), tmp_path / "tuned.pt"), "cpu")
    expected = load_model("mobile_sam", original / "mobile_sam.pt", "cpu")
    weights = model.encoder.state_dict()
    for key, tensor in expected.encoder.state_dict().items():
        assert torch.equal(weights[key], tensor)
    embedding = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[100.0, 880.0], [512.0, 512.0]])
    with torch.inference_mode():
        found, wanted = (
            of.predicted_iou(keys := of.prepare(embedding), of.prompt(keys, points))
            for of in (model.decoder, expected.decoder)
        )
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("wrap", [lambda state: state, WRAPPED["module"], WRAPPED["model"]])
@pytest.mark.parametrize("width", [768, 1024, 1280])
def test_metas_models_are_read_from_the_same_files(
    wrap: Callable[[State], object], width: int, tmp_path: Path
) -> None:
    name = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}[width]
    state = {PATCHES: torch.rand(width, 3, 2, 2), "mask_decoder.iou_token.weight": torch.rand(2)}
    found, _ = read_weights(name, save(wrap(state), tmp_path / "sam.pth"))
    assert found.keys() >= state.keys()
    assert torch.equal(found[PATCHES], state[PATCHES])


@pytest.mark.parametrize("before", ["", "module.", "model."])
def test_safetensors_are_read_alike(before: str, state: State, tmp_path: Path) -> None:
    save_file({before + key: value for key, value in state.items()}, tmp_path / "sam.safetensors")
    found, _ = read_weights("mobile_sam", tmp_path / "sam.safetensors")
    expected, _ = read_weights("mobile_sam", save(state, tmp_path / "sam.pt"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


@pytest.mark.parametrize(
    ("shapes", "looks_like"),
    [
        ({f"{SEQ}.c.weight": 48, NECK: 576}, "a SAM with TinyViT-21M"),
        ({f"{SEQ}.c.weight": 32, NECK: 448}, "a SAM with TinyViT-11M"),
        ({f"{SEQ}.c.weight": 9, NECK: 99}, "a SAM with a TinyViT that ends 99 channels wide"),
        ({PATCHES: 768}, "vit_b; give --model vit_b with it"),
        ({"patch_embed.seq.0.c.weight": 32}, "a TinyViT without the rest of a SAM"),
        ({"vision_encoder.patch_embed.projection.weight": 768}, "in the layout of Hugging Face"),
        ({"image_encoder.trunk.patch_embed.proj.weight": 96}, "SAM 2"),
        ({"encoder.weight": 96}, "no SAM model"),
    ],
)
def test_another_network_is_named(shapes: dict[str, int], looks_like: str, tmp_path: Path) -> None:
    state = {key: torch.zeros(width, width, 1, 1) for key, width in shapes.items()}
    path = save({"model": state}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=f"expected weights of mobile_sam, .*{looks_like}"):
        load_model("mobile_sam", path)


BROKEN: dict[str, tuple[Callable[[State], object], str]] = {
    "two networks": (
        lambda state: {"model": state, "ema": state},
        r"holds 2 SAMs \(model, ema\); save the state dict of one",
    ),
    "student and teacher": (
        lambda state: {
            f"{who}.{key}": state[key] for who in ("student", "teacher") for key in state
        },
        r"holds 2 SAMs \(student, teacher\)",
    ),
    "adapter": (
        lambda state: state | {"image_encoder.layers.1.adapter.weight": torch.zeros(3)},
        r"tensors that the model lacks \(1, such as .*stages\.1\.adapter\.weight",
    ),
    "HQ-SAM": (
        lambda state: state | {"mask_decoder.hf_token.weight": torch.zeros(1, 256)},
        r"tensors that the model lacks \(1, such as .*mask_decoder\.hf_token\.weight",
    ),
    "other pixels": (
        lambda state: state | {"pixel_mean": torch.zeros(3, 1, 1)},
        r"a pixel_mean of \(0\.0, 0\.0, 0\.0\), expected \(123\.675, 116\.28, 103\.53\)",
    ),
    "four bands": (
        lambda state: state | {"pixel_std": torch.ones(4, 1, 1)},
        r"a pixel_std of \(1\.0, 1\.0, 1\.0, 1\.0\), expected \(58\.395, 57\.12, 57\.375\)",
    ),
    "diverged": (
        lambda state: state | {"mask_decoder.iou_token.weight": torch.full((1, 256), torch.nan)},
        r"infinity or NaN in 1 of its tensors \(such as mask_decoder\.iou_token\.weight\)",
    ),
    "half a batch norm": (
        lambda state: {k: v for k, v in state.items() if k != f"{SEQ}.bn.running_var"},
        r"lacks 2 tensors .*image_encoder\.trunk\.patch_embed\.conv1\.bias",
    ),
    "another grid": (
        lambda state: state | {"image_encoder.neck.1.weight": torch.ones(128)},
        r"1 of another shape .*neck\.1\.weight, \(128,\) and not \(256,\)",
    ),
    "settings": (
        lambda state: {"model": state, "args": argparse.Namespace(epochs=3)},
        r"cannot be read: it is whole, but holds more than tensors .*torch\.save\(model\.state_d",
    ),
    "whole model": (
        lambda state: torch.nn.Linear(2, 2),
        r"cannot be read: it is whole, but holds more than tensors",
    ),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_checkpoint_that_would_give_other_masks_is_refused(
    change: Callable[[State], object], message: str, state: State, tmp_path: Path
) -> None:
    path = save(change(state), tmp_path / "other.pt")
    with pytest.raises(ModelError, match=message) as error:
        load_model("mobile_sam", path, "cpu")
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_program_is_refused_in_one_line(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pt")
    with pytest.raises(ModelError, match="holds more than tensors"):
        load_model("mobile_sam", tmp_path / "script.pt", "cpu")


@pytest.mark.parametrize("is_old", [False, True])
def test_a_damaged_checkpoint_is_one_line_wherever_the_damage_is(
    is_old: bool, tmp_path: Path
) -> None:
    state = {f"image_encoder.blocks.{i}.weight": torch.rand(7, 5) for i in range(5)}
    path = tmp_path / "damaged.pt"
    torch.save(state, path, _use_new_zipfile_serialization=not is_old)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for index in rng.integers(0, len(content), 300):
        damaged = bytearray(content[:index])
        if index % 2:
            damaged += bytes(rng.integers(0, 256, 4)) + content[index + 4 :]
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"damaged\.pt: [^\n]+$"):
            read_weights("mobile_sam", path)


def test_a_bit_that_has_flipped_in_a_tensor_is_seen(state: State, tmp_path: Path) -> None:
    path = save(state, tmp_path / "flipped.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"flipped\.pt: the checkpoint cannot be read: it is dam"):
        load_model("mobile_sam", path, "cpu")
