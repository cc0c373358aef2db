"""The image encoders: an RGB tile in, one embedding out, nothing kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import torch
from PIL import Image
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import ConvNorm
from torch import Tensor, nn

from alps_geo.sam.frame import SIDE, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""ImageNet's mean and standard deviation of R, G, B, as SAM was trained with."""


class TinyVitEncoder(nn.Module):
    """MobileSAM's image encoder: timm's TinyViT-5M kept at 64 x 64 cells, then SAM's neck.

    Faster Segment Anything (arXiv 2306.14289) after TinyViT (arXiv 2207.10666).
    """

    img_size = SIDE

    def __init__(self) -> None:
        super().__init__()
        trunk: Any = timm.create_model("tiny_vit_5m_224", num_classes=0)
        # MobileSAM doesn't halve the grid before its last stage, so that it ends at 64 x 64.
        trunk.stages[3].downsample.conv2.conv.stride = (1, 1)
        parts = OrderedDict(patch_embed=trunk.patch_embed, stages=trunk.stages)
        self.trunk = nn.Sequential(parts)
        self.neck = nn.Sequential(
            nn.Conv2d(320, 256, 1, bias=False),
            LayerNorm2d(256),
            nn.Conv2d(256, 256, 3, padding=1, bias=False),
            LayerNorm2d(256),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, 1024, 1024) normalised pixels to (B, 256, 64, 64)."""
        embedding: Tensor = self.neck(self.trunk(x))
        return embedding


def fuse_norms(module: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place: the same values, sooner."""
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, child.fuse())  # type: ignore[no-untyped-call]
        else:
            fuse_norms(child)


def to_input(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Resize, normalise and pad an image as SAM was trained.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Red, green, blue.
    device : torch.device
        Where the result lies.

    Returns
    -------
    (1, 3, 1024, 1024) float32
        Normalised pixels, zero where the image ends.
    """
    rows, cols = Frame(image.shape[0], image.shape[1]).input_shape
    resized = image
    if image.shape[:2] != (rows, cols):
        resized = np.asarray(Image.fromarray(image).resize((cols, rows), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(np.array(resized)).to(device).permute(2, 0, 1).float()
    mean = torch.tensor(MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(STD, device=device).view(3, 1, 1)
    padding = (0, SIDE - cols, 0, SIDE - rows)
    return nn.functional.pad((pixels - mean) / std, padding)[None]
