"""State dicts from weights files, in the layouts that people have.

Meta's and MobileSAM's own files are plain state dicts; a training run saves one among other things,
and wrappers such as ``DataParallel`` lengthen its names. Files are read as safetensors or through
``torch.load(weights_only=True)``; nothing is ever unpickled.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from alps_geo.errors import ModelError
from alps_geo.sam.encoder import MEAN, STD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_DAMAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""Errors of torch's and Python's readers on foreign bytes, next to their own."""

_ARCHIVE = b"PK\x03\x04"
"""First bytes of a zip archive, as ``torch.save`` has long written them."""

_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of names that torch's wrappers add: DataParallel, compile, FSDP, checkpoint_wrapper."""

_ENCODER = re.compile(r"(?P<before>(?:.*?\.)?)image_encoder\.")

_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_TINY_WIDTHS = {320: "mobile_sam", 448: "a SAM with TinyViT-11M", 576: "a SAM with TinyViT-21M"}
"""Models by the channels of the last stage of their image encoder."""

_OTHERS = {
    "image_encoder.trunk.patch_embed.proj.weight": "SAM 2",
    "vision_encoder.patch_embed.projection.weight": "a SAM in the layout of Hugging Face",
    "patch_embed.seq.0.c.weight": "a TinyViT without the rest of a SAM",
    "patch_embed.conv1.conv.weight": "a TinyViT without the rest of a SAM",
}
"""Networks that are often taken for one of ours, by one of their tensors."""

# Points on no object, boxes, masks as prompts, a classifier, and tensors derived from the rest.
_UNUSED = re.compile(
    r"prompt_encoder\.(point_embeddings\.[023]|mask_downscaling)\."
    r"|image_encoder\.(trunk\.)?(norm_head|head)\."
    r"|.*\.(num_batches_tracked|attention_bias_idxs|attn\.ab)$"
)

# timm has the change of grid at the start of a stage, MobileSAM at the end of the one before.
_TIMM_NAMES = {
    "patch_embed.seq.0.": "patch_embed.conv1.",
    "patch_embed.seq.2.": "patch_embed.conv2.",
    "layers.0.downsample.": "stages.1.downsample.",
    "layers.1.downsample.": "stages.2.downsample.",
    "layers.2.downsample.": "stages.3.downsample.",
    "layers.": "stages.",
}
"""Prefixes of names in MobileSAM's image encoder, and in timm's TinyViT."""

_DEPTH = 3
"""Levels of nested dicts in a file that are searched."""


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a SAM.

    Parameters
    ----------
    path : pathlib.Path
        A safetensors file or one that ``torch.save`` wrote: a state dict, or dicts with one
        inside, its names as segment_anything, MobileSAM or timm have them, after any prefix.

    Returns
    -------
    dict of str to torch.Tensor
        The tensors as stored, under segment_anything's names; in MobileSAM's image encoder, timm's.

    Raises
    ------
    ModelError
        If the file is damaged, or holds no state dict or those of several networks.
    """
    return _with_timm_names(_only_network(_read_file(path), path))


def model_type(state: Mapping[str, Tensor]) -> str | None:
    """Name the model that a state dict belongs to, by the keys and shapes of its image encoder."""
    patches = state.get("image_encoder.patch_embed.proj.weight")
    if patches is not None and patches.ndim == 4:
        return _WIDTHS.get(patches.shape[0], f"a SAM with a ViT {patches.shape[0]} channels wide")
    if any(key.startswith("image_encoder.trunk.patch_embed.conv1.") for key in state):
        neck = state.get("image_encoder.neck.0.weight")
        width = neck.shape[1] if neck is not None and neck.ndim == 4 else 320
        return _TINY_WIDTHS.get(width, f"a SAM with a TinyViT that ends {width} channels wide")
    return next((name for key, name in _OTHERS.items() if key in state), None)


def check_state(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    """Check that a state dict is a network's: every tensor in its shape, finite, and no others.

    Raises
    ------
    ModelError
        If it is not.
    """
    _check_names_and_shapes(wanted, state, path)
    parts = tuple({f"{key.partition('.')[0]}." for key in wanted})
    others = sorted(state.keys() - wanted.keys())
    if added := [key for key in others if key.startswith(parts) and not _UNUSED.match(key)]:
        raise ModelError(
            f"{path}: the checkpoint has tensors that the model lacks ({len(added)}, such as "
            f"{added[0]}), as HQ-SAM and adapters have, and would give other masks without them; "
            "expected the tensors of the model alone"
        )
    for key, expected in (("pixel_mean", MEAN), ("pixel_std", STD)):
        found = state[key].flatten().tolist() if key in state else expected
        if len(found) != len(expected) or not np.allclose(found, expected):
            raise ModelError(
                f"{path}: the checkpoint was trained with a {key} of {tuple(found)}, "
                f"expected {expected}, as all SAMs have"
            )
    if bad := [key for key in wanted if not state[key].isfinite().all()]:
        raise ModelError(
            f"{path}: the checkpoint has infinity or NaN in {len(bad)} of its tensors (such as "
            f"{bad[0]}): it is damaged, or its training diverged; expected finite numbers"
        )


def _check_names_and_shapes(
    wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path
) -> None:
    missing = sorted(wanted.keys() - state.keys())
    shaped_otherwise = sorted(
        key for key in wanted.keys() & state.keys() if wanted[key].shape != state[key].shape
    )
    if missing or shaped_otherwise:
        example = (missing or shaped_otherwise)[0]
        if not missing:
            found, expected = (tuple(of[example].shape) for of in (state, wanted))
            example = f"{example}, {found} and not {expected}"
        raise ModelError(
            f"{path}: the checkpoint lacks {len(missing)} tensors and has "
            f"{len(shaped_otherwise)} of another shape (such as {example}); "
            "expected all tensors of the model"
        )


def _read_file(path: Path) -> object:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise _damaged(path) from error
    with path.open("rb") as file:
        is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    if is_archive and not _is_intact(path):
        raise _damaged(path)
    try:
        # What torch warns of in files that it then refuses is not the user's to know.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *_DAMAGE) as error:
        if not is_archive:
            raise _damaged(path) from error
        raise ModelError(
            f"{path}: the checkpoint cannot be read: it is whole, but holds more than tensors by "
            "name, such as a pickled model or its settings, which could run anything; save the "
            "state dict alone: torch.save(model.state_dict(), FILE)"
        ) from error


def _is_intact(archive: Path) -> bool:
    """Verify the checksums of a zip archive, which torch does not look at."""
    try:
        with zipfile.ZipFile(archive) as members:
            return members.testzip() is None
    except (zipfile.BadZipFile, zlib.error, OSError, *_DAMAGE):
        return False


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"{path}: the checkpoint cannot be read: it is damaged, cut short, or not a plain "
        "safetensors or PyTorch state dict; fetch it again, or save the state dict alone: "
        "torch.save(model.state_dict(), FILE)"
    )


def _only_network(content: object, path: Path) -> dict[str, Tensor]:
    """Select the tensors of the one SAM in a file, or all tensors if there is none."""
    state_dicts = dict(_state_dicts(content))
    if not state_dicts:
        raise ModelError(f"{path}: the checkpoint holds no state dict (names with tensors)")
    networks = {
        name + before: network
        for name, state in state_dicts.items()
        for before, network in _networks(state).items()
    }
    if len(networks) > 1:
        names = ", ".join(name.rstrip(".") or "the file itself" for name in networks)
        raise ModelError(
            f"{path}: the checkpoint holds {len(networks)} SAMs ({names}); "
            "save the state dict of one of them alone"
        )
    return next(iter((networks or state_dicts).values()))


def _state_dicts(
    content: object, name: str = "", depth: int = _DEPTH
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Find all dicts of tensors by name, in dicts of any keys."""
    if not isinstance(content, dict) or not depth:
        return
    # A tensor that was saved as a parameter comes back as one, with gradients to be recorded.
    tensors = {
        ".".join(part for part in key.split(".") if part not in _WRAPPERS): value.detach()
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if tensors:
        yield name, tensors
    for key, value in content.items():
        yield from _state_dicts(value, f"{name}{key}.", depth - 1)


def _networks(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Group tensors by the prefix of a SAM's own names, and remove the prefix."""
    found = (_ENCODER.match(key) for key in state)
    befores = dict.fromkeys(match["before"] for match in found if match)
    return {
        before: {
            key.removeprefix(before): tensor
            for key, tensor in state.items()
            if key.startswith(before)
        }
        for before in befores
    }


def _with_timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors of MobileSAM's own image encoder as timm's TinyViT names them."""
    if not any(key.startswith("image_encoder.patch_embed.seq.") for key in state):
        return state
    return {_timm_name(key): tensor for key, tensor in state.items()}


def _timm_name(key: str) -> str:
    name = key.removeprefix("image_encoder.").replace(".c.weight", ".conv.weight")
    for theirs, timms in _TIMM_NAMES.items():
        if name.startswith(theirs):
            return f"image_encoder.trunk.{timms}{name.removeprefix(theirs)}"
    return key
