"""The weights of SAM's prompt encoder and mask decoder, under the names that checkpoints use.

`alps_geo.sam.decoder` computes with them. Only the parts that a point needs are here.
"""

from __future__ import annotations

from math import tau
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alps_geo.sam.frame import CELL, CHANNELS, SIDE

HEADS = 8

_LAYERS = 2
_OUTPUTS = 4
"""Masks of a prompt: the single one, and the three."""


class Tokens(nn.Module):
    """Learned tokens; to make a `torch.nn.Embedding` would import all of torch's compiler."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, CHANNELS))


class Attention(nn.Module):
    """The projections of an attention, which may be done with fewer channels."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(CHANNELS, inner)
        self.k_proj = nn.Linear(CHANNELS, inner)
        self.v_proj = nn.Linear(CHANNELS, inner)
        self.out_proj = nn.Linear(inner, CHANNELS)

    def forward(self, positioned: Tensor, tokens: Tensor) -> Tensor:
        """Let (P, T, 256) tokens attend to each other; queries and keys hold their positions."""
        query, key, value = (
            projection(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for projection, x in (
                (self.q_proj, positioned),
                (self.k_proj, positioned),
                (self.v_proj, tokens),
            )
        )
        found = F.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.out_proj(found.transpose(1, 2).flatten(2))
        return attended


class TokenPerceptron(nn.Module):
    """Two linear layers for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(CHANNELS, 8 * CHANNELS)
        self.lin2 = nn.Linear(8 * CHANNELS, CHANNELS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Treat (P, T, 256) tokens."""
        result: Tensor = self.lin2(F.relu(self.lin1(tokens)))
        return result


class Layer(nn.Module):
    """One layer of the transformer between a prompt's tokens and the image's."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention(CHANNELS)
        self.norm1 = nn.LayerNorm(CHANNELS)
        self.cross_attn_token_to_image = Attention(CHANNELS // 2)
        self.norm2 = nn.LayerNorm(CHANNELS)
        self.mlp = TokenPerceptron()
        self.norm3 = nn.LayerNorm(CHANNELS)
        self.norm4 = nn.LayerNorm(CHANNELS)
        self.cross_attn_image_to_token = Attention(CHANNELS // 2)


class Transformer(nn.Module):
    """Two layers, and the prompt's last look at the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(_LAYERS))
        self.final_attn_token_to_image = Attention(CHANNELS // 2)
        self.norm_final_attn = nn.LayerNorm(CHANNELS)

    @property
    def both(self) -> tuple[Layer, Layer]:
        """The two layers."""
        return cast("tuple[Layer, Layer]", tuple(self.layers))


class Head(nn.Module):
    """Three linear layers, from a token to its answer."""

    def __init__(self, result: int) -> None:
        super().__init__()
        sizes = CHANNELS, CHANNELS, result
        self.layers = nn.ModuleList(nn.Linear(CHANNELS, size) for size in sizes)

    def forward(self, token: Tensor) -> Tensor:
        """Turn (P, 256) tokens into (P, result)."""
        first, second, last = self.layers
        result: Tensor = last(F.relu(second(F.relu(first(token)))))
        return result


class MaskDecoder(nn.Module):
    """SAM's mask decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = Transformer()
        self.iou_token = Tokens(1)
        self.mask_tokens = Tokens(_OUTPUTS)
        self.output_upscaling = nn.ModuleDict(
            {
                "0": nn.ConvTranspose2d(CHANNELS, CHANNELS // 4, 2, stride=2),
                "1": nn.LayerNorm(CHANNELS // 4, eps=1e-6),
                "3": nn.ConvTranspose2d(CHANNELS // 4, CHANNELS // 8, 2, stride=2),
            }
        )
        self.output_hypernetworks_mlps = nn.ModuleList(Head(CHANNELS // 8) for _ in range(_OUTPUTS))
        self.iou_prediction_head = Head(_OUTPUTS)

    @property
    def upscaling(self) -> tuple[nn.ConvTranspose2d, nn.LayerNorm, nn.ConvTranspose2d]:
        """Layers that upscale the image's tokens, without the activations between."""
        return cast(
            "tuple[nn.ConvTranspose2d, nn.LayerNorm, nn.ConvTranspose2d]",
            tuple(self.output_upscaling.values()),
        )


class Frequencies(nn.Module):
    """A positional encoding by sines and cosines of random frequencies."""

    def __init__(self) -> None:
        super().__init__()
        frequencies = torch.empty(2, CHANNELS // 2)
        self.register_buffer("positional_encoding_gaussian_matrix", frequencies)

    def forward(self, position: Tensor) -> Tensor:
        """Encode (..., 2) positions, (x, y) with 1 for the side of the square: (..., 256)."""
        frequencies = cast("Tensor", self.positional_encoding_gaussian_matrix)
        angles = tau * ((2 * position - 1) @ frequencies)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """SAM's prompt encoder, for points on objects."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = Frequencies()
        # The embedding of a point on an object is number 1; 0 is for points that are on none.
        self.point_embeddings = nn.ModuleDict({"1": Tokens(1)})
        self.not_a_point_embed = Tokens(1)
        self.no_mask_embed = Tokens(1)

    def forward(self, points: Tensor) -> Tensor:
        """Embed (P, 2) points, (x, y) in input pixels: (P, 2, 256), the point and "no other"."""
        on_object = cast("Tokens", self.point_embeddings["1"]).weight
        point = self.pe_layer((points + 0.5) / SIDE) + on_object
        other = self.not_a_point_embed.weight.expand(len(points), -1)
        return torch.stack([point, other], dim=1)

    def grid(self) -> Tensor:
        """Encode the position of each of the embedding's cells: (4096, 256)."""
        weight = self.no_mask_embed.weight
        along = (torch.arange(SIDE // CELL, device=weight.device) + 0.5) * (CELL / SIDE)
        y, x = torch.meshgrid(along, along, indexing="ij")
        encoded: Tensor = self.pe_layer(torch.stack([x, y], dim=-1).flatten(0, 1))
        return encoded


class DecoderNetwork(nn.Module):
    """Prompt encoder and mask decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()
