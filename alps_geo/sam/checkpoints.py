"""State dicts from weights files.

They come from safetensors files or through ``torch.load(weights_only=True)``; nothing is ever
unpickled.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from alps_geo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_DAMAGE = (RuntimeError, EOFError, ValueError, LookupError, OverflowError)
"""Errors of torch's reader of old files on bytes that are none, next to its own."""

_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a SAM.

    Raises
    ------
    ModelError
        If the file is damaged or holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, *_DAMAGE) as error:
        raise ModelError(
            f"{path}: the checkpoint cannot be read: it is damaged, cut short, or not a plain "
            "safetensors or PyTorch state dict; fetch it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelError(f"{path}: the checkpoint holds no state dict (names with tensors)")
    return state


def model_type(state: Mapping[str, Tensor]) -> str | None:
    """Name the model that a state dict belongs to, by the keys and shapes of its image encoder."""
    if "image_encoder.trunk.patch_embed.conv1.conv.weight" in state:
        return "mobile_sam"
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return "the original MobileSAM checkpoint, whose layout is not supported"
    patches = state.get("image_encoder.patch_embed.proj.weight")
    if patches is None or patches.ndim != 4:
        return None
    return _WIDTHS.get(patches.shape[0], f"a SAM with a ViT {patches.shape[0]} channels wide")


def check_state(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    """Check that a state dict has every tensor of a network, in its shape.

    Raises
    ------
    ModelError
        If it does not.
    """
    missing = sorted(wanted.keys() - state.keys())
    shaped_otherwise = sorted(
        k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape
    )
    if missing or shaped_otherwise:
        example = (missing or shaped_otherwise)[0]
        raise ModelError(
            f"{path}: the checkpoint lacks {len(missing)} tensors and has "
            f"{len(shaped_otherwise)} of another shape (such as {example}); "
            "expected all tensors of the model"
        )
