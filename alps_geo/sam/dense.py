"""Dense features of any timm backbone, beside SAM's own."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import torch
from PIL import Image

from alps_geo.errors import ModelError
from alps_geo.sam.frame import SIDE
from alps_geo.sam.model import choose_device
from alps_geo.sam.resources import memory_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, for a backbone that doesn't say how its images were normalised."""


@dataclass(frozen=True, eq=False)
class DenseModel:
    """A backbone that gives features for the cells of an image.

    Attributes
    ----------
    name : str
        As timm calls it.
    device : str
        "cpu", "cuda" or "mps".
    backbone : torch.nn.Module
        (1, 3, H, W) normalised pixels to a list of one (1, C, H / cell, W / cell).
    cell : int
        Side of a cell, in input pixels.
    mean, std : tuple of float
        Of red, green and blue from 0 to 1, as the backbone was trained with.
    """

    name: str
    device: str
    backbone: nn.Module
    cell: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe an (H, W, 3) uint8 image by (C, h, w) float32, cells over the whole image.

        As SAM does, the backbone sees the image at a longest side of 1024 pixels or so, in whole
        cells.
        """
        scale = SIDE / max(image.shape[:2])
        rows, cols = (
            max(1, round(side * scale / self.cell)) * self.cell for side in image.shape[:2]
        )
        resized = Image.fromarray(image).resize((cols, rows), Image.Resampling.BILINEAR)
        pixels = torch.tensor(np.asarray(resized), device=self.device).permute(2, 0, 1) / 255
        mean = torch.tensor(self.mean, device=self.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=self.device).view(3, 1, 1)
        features = self.backbone(((pixels - mean) / std)[None])[-1][0]
        return np.ascontiguousarray(features.float().cpu().numpy())


@memory_errors()
def load_dense(name: str, checkpoint: str | Path | None = None, device: str = "auto") -> DenseModel:
    """Load a backbone of timm (Wightman 2019, doi 10.5281/zenodo.4414861).

    Parameters
    ----------
    name : str
        As timm calls it, such as "vit_small_patch14_dinov2.lvd142m". Any that takes images of any
        size: convolutional ones and plain vision transformers.
    checkpoint : path, optional
        Its weights, safetensors or a PyTorch state dict; else timm downloads them.
    device : str
        "cpu", "cuda", "mps", or "auto" for the best one there is.

    Raises
    ------
    ModelError
        If timm has no such backbone, or its weights cannot be had, or it wants images of one size,
        or memory doesn't suffice for it (`ModelMemoryError`).
    """
    if name.split(".")[0] not in timm.list_models():
        raise ModelError(
            f"timm has no backbone {name!r}; expected one of timm.list_models(), such as "
            "vit_small_patch14_dinov2.lvd142m"
        )
    place = choose_device(device)
    try:
        with memory_errors():
            backbone, cell = _create(name, pretrained=checkpoint is None)
            if checkpoint is not None:
                _load(backbone, checkpoint)
    except MemoryError:
        raise
    except Exception as error:
        where = "downloaded" if checkpoint is None else f"read from {checkpoint}"
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"timm:{name}: the backbone cannot be {where} ({reason}); expected one that takes "
            "images of any size, and weights that fit it: see --timm-checkpoint"
        ) from error
    config = getattr(backbone, "pretrained_cfg", None) or {}
    return DenseModel(
        name,
        place,
        backbone.eval().requires_grad_(False).to(place),
        cell,
        tuple(config.get("mean", _MEAN)),
        tuple(config.get("std", _STD)),
    )


def dense_sha256(name: str) -> str:
    """Digest of the weights that timm has for a backbone.

    They are loaded, and downloaded if need be: timm promises nothing about the files that it keeps.

    Raises
    ------
    ModelError
        As `load_dense`.
    """
    digest = sha256()
    for key, tensor in sorted(load_dense(name, device="cpu").backbone.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _create(name: str, *, pretrained: bool) -> tuple[nn.Module, int]:
    """Make a backbone, and see that it takes an image that is no square."""
    options: dict[str, Any] = {
        "pretrained": pretrained,
        "features_only": True,
        "out_indices": [-1],
    }
    try:
        backbone: Any = timm.create_model(name, dynamic_img_size=True, **options)
    except TypeError:
        # Only transformers have to be told.
        backbone = timm.create_model(name, **options)
    cell = int(backbone.feature_info.reduction()[-1])
    with torch.inference_mode():
        backbone.eval()(torch.zeros(1, 3, 2 * cell, 3 * cell))
    return backbone, cell


def _load(backbone: nn.Module, checkpoint: str | Path) -> None:
    """Load weights under timm's own names; those of its classifier may be there too."""
    state = timm.models.load_state_dict(str(checkpoint), weights_only=True)
    # Transformers are wrapped into a module that calls them "model".
    wanted = {name.removeprefix("model."): name for name in backbone.state_dict()}
    missing = sorted(wanted.keys() - state.keys())
    if missing:
        raise ValueError(f"lacks {len(missing)} tensors, such as {missing[0]}")
    backbone.load_state_dict({wanted[name]: state[name] for name in wanted})
