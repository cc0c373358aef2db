"""Backbones of timm, whose features are a second embedding next to the generator's own."""

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
from alps_geo.sam.memory import NO_ROOM, memory_errors
from alps_geo.sam.model import choose_device
from alps_geo.sam.weights import file_sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, for a backbone that doesn't say how its images were normalised."""


@dataclass(frozen=True)
class TimmBackbone:
    """A backbone of timm (Wightman 2019, doi 10.5281/zenodo.4414861), before it is loaded.

    Attributes
    ----------
    name : str
        As timm calls it, such as "vit_small_patch14_dinov2.lvd142m". Any that takes images of any
        size: convolutional ones and plain vision transformers.
    checkpoint : str or None
        File with its weights, safetensors or a PyTorch state dict; else timm downloads them.
    device : str
        "cpu", "cuda", "mps", or "auto" for the best one there is.
    """

    name: str
    checkpoint: str | None = None
    device: str = "auto"

    def sha256(self) -> str:
        """Digest of the weights.

        Without a checkpoint they are loaded, and downloaded if need be: timm promises nothing about
        the files that it keeps.

        Raises
        ------
        ModelError
            If they are absent, or as for `load`.
        """
        if self.checkpoint is not None:
            return file_sha256(self.checkpoint, f"timm:{self.name}")
        digest = sha256()
        state = TimmBackbone(self.name, device="cpu").load().network.state_dict()
        for key, tensor in sorted(state.items()):
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @memory_errors(NO_ROOM)
    def load(self) -> LoadedTimm:
        """Load the backbone.

        Raises
        ------
        ModelError
            If timm has no such backbone, or its weights cannot be had, or it wants images of one
            size, or memory does not suffice for it (`ModelMemoryError`).
        """
        if self.name.split(".")[0] not in timm.list_models():
            raise ModelError(
                f"timm has no backbone {self.name!r}; expected one of timm.list_models(), such as "
                "vit_small_patch14_dinov2.lvd142m"
            )
        device = choose_device(self.device)
        network, cell = self._network()
        config = getattr(network, "pretrained_cfg", None) or {}
        return LoadedTimm(
            device,
            network.eval().requires_grad_(False).to(device),
            cell,
            tuple(config.get("mean", _MEAN)),
            tuple(config.get("std", _STD)),
        )

    def _network(self) -> tuple[nn.Module, int]:
        """Make the network with its weights, and measure the side of its cells."""
        try:
            with memory_errors():
                network, cell = _create(self.name, pretrained=self.checkpoint is None)
                if self.checkpoint is not None:
                    _load_state(network, self.checkpoint)
        except MemoryError:
            raise
        except Exception as error:
            where = "downloaded" if self.checkpoint is None else f"read from {self.checkpoint}"
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ModelError(
                f"timm:{self.name}: the backbone cannot be {where} ({reason}); expected one that "
                "takes images of any size, and weights that fit it: see --timm-checkpoint"
            ) from error
        return network, cell


@dataclass(frozen=True, eq=False)
class LoadedTimm:
    """A loaded backbone.

    Attributes
    ----------
    device : str
        "cpu", "cuda" or "mps".
    network : torch.nn.Module
        (1, 3, H, W) normalised pixels to a list of one (1, C, H / cell, W / cell).
    cell : int
        Side of a cell, in input pixels.
    mean, std : tuple of float
        Mean and standard deviation of red, green and blue, from 0 to 1, in its training.
    """

    device: str
    network: nn.Module
    cell: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @memory_errors()
    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode an (H, W, 3) uint8 image to (C, h, w) float32, cells over the whole image.

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
        features = self.network(((pixels - mean) / std)[None])[-1][0]
        return np.ascontiguousarray(features.float().cpu().numpy())


def _create(name: str, *, pretrained: bool) -> tuple[nn.Module, int]:
    """Make a network, and try it on an image that is no square."""
    options: dict[str, Any] = {
        "pretrained": pretrained,
        "features_only": True,
        "out_indices": [-1],
    }
    try:
        network: Any = timm.create_model(name, dynamic_img_size=True, **options)
    except TypeError:
        # Only transformers have to be told.
        network = timm.create_model(name, **options)
    cell = int(network.feature_info.reduction()[-1])
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, 2 * cell, 3 * cell))
    return network, cell


def _load_state(network: nn.Module, checkpoint: str) -> None:
    """Load weights under timm's own names; those of its classifier may be there too."""
    state = timm.models.load_state_dict(checkpoint, weights_only=True)
    # Transformers are wrapped into a module that calls them "model".
    wanted = {name.removeprefix("model."): name for name in network.state_dict()}
    missing = sorted(wanted.keys() - state.keys())
    if missing:
        raise ValueError(f"lacks {len(missing)} tensors, such as {missing[0]}")
    network.load_state_dict({wanted[name]: state[name] for name in wanted})
