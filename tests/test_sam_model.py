"""The shipped model answers as the graphs it was converted from; bad models get a clear error."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import torch
from conftest import DATA

from alps_geo.errors import ModelError
from alps_geo.sam import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.sam import SamModel


def rgb(name: str, size: int | None = None) -> NDArray[np.uint8]:
    with rasterio.open(DATA / name) as file:
        pixels: NDArray[np.uint8] = file.read([1, 2, 3])
    return np.ascontiguousarray(pixels[:, :size, :size].transpose(1, 2, 0))


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_the_shipped_model_embeds_as_the_original_does(mobile_sam: SamModel) -> None:
    reference = np.load(DATA / "mobile_sam_reference.npz")
    embedding = mobile_sam.encode(rgb("naip_md_1m.tif"))[0, ::8].numpy()
    assert relative(embedding, reference["embedding_every_8th_channel"]) < 2e-3


def test_importing_the_registry_and_the_settings_leaves_torch_alone() -> None:
    code = (
        "import sys, alps_geo.sam, alps_geo.sam.weights; alps_geo.sam.MaskSettings(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no model 'sam3', expected one of mobile_sam, vit_b"):
        load_model("sam3")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_asking_for_an_absent_gpu_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"device cuda was asked for, but torch .* finds none"):
        load_model(device="cuda")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    from alps_geo.sam.weights import MODELS

    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(MODELS["mobile_sam"].path.read_bytes()[:1_000_000])
    with pytest.raises(ModelError, match=r"cut\.safetensors: the checkpoint cannot be read"):
        load_model(checkpoint=cut, device="cpu")
