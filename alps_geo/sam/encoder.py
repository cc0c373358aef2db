"""An RGB tile as an encoder takes it, and the encoders of vit_b, vit_l and vit_h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from alps_geo.sam.frame import SIDE, Frame
from alps_geo.sam.pointwise import PointwiseConvolution

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from segment_anything.modeling.image_encoder import Attention

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""ImageNet's mean and standard deviation of R, G, B, as SAM was trained with."""

_SCORES = 2**24
"""Attention scores whose addend is held at once on a CPU: 64 MiB in float32."""


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
        from segment_anything.modeling.image_encoder import get_rel_pos

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


def vit_encoder(name: str) -> nn.Module:
    """Build the encoder of vit_b, vit_l or vit_h, as segment_anything has it, without weights."""
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        encoder: nn.Module = sam_model_registry[name]().image_encoder
        neck: Any = encoder.neck
        neck[0] = PointwiseConvolution(neck[0].in_channels, neck[0].out_channels)
    return encoder


def fuse_attention(encoder: nn.Module) -> None:
    """Replace the attention of every block of a SAM's ViT encoder, in place."""
    blocks: Any = encoder.blocks
    for block in blocks:
        block.attn = FusedAttention(block.attn)


def to_input(image: NDArray[np.uint8], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Resize, normalise and pad an image as SAM was trained.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Red, green, blue.
    device : torch.device
        Where the result lies.
    dtype : torch.dtype
        What it is rounded to, once it is normalised in float32.

    Returns
    -------
    (1, 3, 1024, 1024)
        Normalised pixels, zero where the image ends; the channels of a pixel lie side by side.
    """
    rows, cols = Frame(image.shape[0], image.shape[1]).input_shape
    resized = image
    if image.shape[:2] != (rows, cols):
        resized = np.asarray(Image.fromarray(image).resize((cols, rows), Image.Resampling.BILINEAR))
    pixels = torch.tensor(resized, device=device).float()
    pixels.sub_(torch.tensor(MEAN, device=device)).div_(torch.tensor(STD, device=device))
    square = torch.zeros(1, SIDE, SIDE, 3, dtype=dtype, device=device)
    square[0, :rows, :cols] = pixels
    return square.permute(0, 3, 1, 2)
