"""The image encoders: an RGB tile in, one embedding out, nothing kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import torch
from PIL import Image
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.image_encoder import get_rel_pos
from timm.models.tiny_vit import ConvNorm
from torch import Tensor, nn

from alps_geo.sam.frame import SIDE, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from segment_anything.modeling.image_encoder import Attention

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""ImageNet's mean and standard deviation of R, G, B, as SAM was trained with."""

_SCORES = 2**24
"""Attention scores whose addend is held at once on a CPU: 64 MiB in float32."""


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


class FusedAttention(nn.Module):
    """SAM's ViT attention with relative positions, through torch's fused attention.

    The decomposed relative positions (MViTv2, arXiv 2112.01526, section 4.1) are an addend to the
    scores, which `scaled_dot_product_attention` takes as a mask. So scores are never stored; the
    addend is, for some rows of queries at a time on a CPU. The same sums in another order.

    Parameters
    ----------
    attention : segment_anything.modeling.image_encoder.Attention
        Whose weights to use.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.qkv, self.proj = attention.qkv, attention.proj
        for name, table in (("rel_rows", attention.rel_pos_h), ("rel_cols", attention.rel_pos_w)):
            side = (table.shape[0] + 1) // 2
            self.register_buffer(name, get_rel_pos(side, side, table.detach()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, H, W, C) tokens."""
        batch, height, width, channels = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        grid = query.reshape(batch, self.num_heads, height, width, -1)
        by_row = torch.einsum("bnhwc,hkc->bnhwk", grid, self.rel_rows).contiguous()
        by_col = torch.einsum("bnhwc,wkc->bnhwk", grid, self.rel_cols).contiguous()
        step = height
        if x.device.type == "cpu":
            step = max(1, _SCORES // (batch * self.num_heads * height * width**2))
        parts = []
        for start in range(0, height, step):
            rows = slice(start, start + step)
            addend = by_row[:, :, rows, :, :, None] + by_col[:, :, rows, :, None, :]
            queries = grid[:, :, rows].flatten(2, 3)
            mask = addend.view(batch, self.num_heads, -1, height * width)
            parts.append(nn.functional.scaled_dot_product_attention(queries, key, value, mask))
        found = torch.cat(parts, dim=2).transpose(1, 2).reshape(batch, height, width, channels)
        attended: Tensor = self.proj(found)
        return attended


def fuse_attention(encoder: nn.Module) -> None:
    """Replace the attention of every block of a SAM's ViT encoder, in place."""
    blocks: Any = encoder.blocks
    for block in blocks:
        block.attn = FusedAttention(block.attn)


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
    pixels = torch.tensor(resized, device=device).permute(2, 0, 1).float()
    mean = torch.tensor(MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(STD, device=device).view(3, 1, 1)
    padding = (0, SIDE - cols, 0, SIDE - rows)
    return nn.functional.pad((pixels - mean) / std, padding)[None]
