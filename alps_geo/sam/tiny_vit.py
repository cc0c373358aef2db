"""MobileSAM's image encoder, TinyViT-5M, in little memory.

Faster Segment Anything (arXiv 2306.14289) takes TinyViT (arXiv 2207.10666), keeps its last grid at
64 x 64 cells, and ends with SAM's neck. The first layers have 256 channels for each of 256 x 256
pixels. On a CPU they are computed by strips of rows, which pull the rows that they need from the
layer before: the values are those of whole layers, and a strip stays in cache. The later
layers treat windows, and then tokens, one by one, and so take some of them at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alps_geo.sam import memory, threads
from alps_geo.sam.frame import CHANNELS, SIDE
from alps_geo.sam.pointwise import PointwiseConvolution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STRIP = 8
"""Rows, of the 128 that the first layers end with, computed at once on each thread of a CPU."""

_TOKENS = 4096
"""Tokens that an attention or a perceptron treats at once on a CPU, on all threads."""

_EXPANSION = 4
"""Hidden channels for each channel, in convolutions and perceptrons."""


@dataclass(frozen=True)
class Rows:
    """A grid of pixels whose rows are computed when they are taken.

    Attributes
    ----------
    height : int
        Rows in all.
    take : callable
        Gives the rows [first, last) as (B, C, last - first, W).
    """

    height: int
    take: Callable[[int, int], Tensor]

    @classmethod
    def of(cls, grid: Tensor) -> Rows:
        """Take rows from a (B, C, H, W) grid that is there."""
        return cls(grid.shape[2], lambda first, last: grid[:, :, first:last])

    def whole(self, step: int) -> Tensor:
        """Compute all rows, `step` at a time."""
        strips = [(a, min(a + step, self.height)) for a in range(0, self.height, step)]
        return torch.cat(threads.side_by_side(lambda strip: self.take(*strip), strips), dim=2)


class Convolution(nn.Conv2d):
    """A convolution that computes some rows of its result from some rows of its source."""

    def __init__(
        self, channels: int, result: int, side: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels, result, side, stride, side // 2, groups=groups)

    def height(self, source: int) -> int:
        """Rows of the result for the rows of a source."""
        return (source - 1) // self.stride[0] + 1

    def needs(self, first: int, last: int, height: int) -> tuple[int, int]:
        """Range of a source's rows, `height` in all, that the rows [first, last) need."""
        above, below = self._reach(first, last)
        return max(0, above), min(height, below)

    def rows(self, source: Tensor, first: int, last: int, height: int) -> Tensor:
        """Compute the rows [first, last) from the rows of a source that they need."""
        above, below = self._reach(first, last)
        if above < 0 or below > height:
            source = F.pad(source, (0, 0, max(0, -above), max(0, below - height)))
        padding = 0, self.kernel_size[1] // 2
        return F.conv2d(source, self.weight, self.bias, self.stride, padding, groups=self.groups)

    def _reach(self, first: int, last: int) -> tuple[int, int]:
        stride, margin = self.stride[0], self.kernel_size[0] // 2
        return first * stride - margin, (last - 1) * stride + margin + 1


class PatchEmbedding(nn.Module):
    """Pixels to a grid a quarter as high and wide."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Convolution(3, channels // 2, 3, stride=2)
        self.conv2 = Convolution(channels // 2, channels, 3, stride=2)

    def forward(self, source: Rows) -> Rows:
        """Rows that are computed from pixels when they are taken."""
        between = self.conv1.height(source.height)

        def take(first: int, last: int) -> Tensor:
            start, stop = self.conv2.needs(first, last, between)
            pixels = source.take(*self.conv1.needs(start, stop, source.height))
            half = F.gelu(self.conv1.rows(pixels, start, stop, source.height))
            return self.conv2.rows(half, first, last, between)

        return Rows(self.conv2.height(between), take)


class InvertedBottleneck(nn.Module):
    """A depthwise convolution between two pointwise ones, plus the input: MBConv."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = _EXPANSION * channels
        self.conv1 = Convolution(channels, hidden, 1)
        self.conv2 = Convolution(hidden, hidden, 3, groups=hidden)
        self.conv3 = Convolution(hidden, channels, 1)

    def forward(self, source: Rows) -> Rows:
        """Rows that are computed from the layer before when they are taken."""

        def take(first: int, last: int) -> Tensor:
            start, stop = self.conv2.needs(first, last, source.height)
            before = source.take(start, stop)
            wide = F.gelu(self.conv1(before))
            wide = F.gelu(self.conv2.rows(wide, first, last, source.height))
            return F.gelu(self.conv3(wide) + before[:, :, first - start : last - start])

        return Rows(source.height, take)


class PatchMerging(nn.Module):
    """A grid to one of other channels, half as high and wide if the stride is 2."""

    def __init__(self, channels: int, result: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, result, 1)
        self.conv2 = Convolution(result, result, 3, stride, groups=result)
        self.conv3 = Convolution(result, result, 1)

    def forward(self, source: Rows) -> Rows:
        """Rows that are computed from the layer before when they are taken."""

        def take(first: int, last: int) -> Tensor:
            wide = F.gelu(self.conv1(source.take(*self.conv2.needs(first, last, source.height))))
            merged: Tensor = self.conv3(F.gelu(self.conv2.rows(wide, first, last, source.height)))
            return merged

        return Rows(self.conv2.height(source.height), take)


class WindowAttention(nn.Module):
    """Attention among the tokens of a window; a bias for each distance of rows and columns."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, side**2))

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, H, W, C) tokens, zeros added to fill the last windows."""
        batch, height, width, channels = x.shape
        side = self.side
        padded = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, cols = padded.shape[1] // side, padded.shape[2] // side
        grid = padded.view(batch, rows, side, cols, side, channels).transpose(2, 3)
        bias = self._bias()
        windows = _by_parts(
            lambda part: self._attend(part, bias), grid.reshape(-1, side**2, channels)
        )
        grid = windows.view(batch, rows, cols, side, side, channels).transpose(2, 3)
        return grid.reshape(padded.shape)[:, :height, :width]

    def _attend(self, windows: Tensor, bias: Tensor) -> Tensor:
        count, tokens, channels = windows.shape
        # For each head its query, key and value, one after the other.
        qkv = self.qkv(self.norm(windows)).view(count, tokens, self.heads, 3, -1)
        query, key, value = qkv.permute(3, 0, 2, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value, bias)
        attended: Tensor = self.proj(found.transpose(1, 2).reshape(count, tokens, channels))
        return attended

    def _bias(self) -> Tensor:
        """Spread the biases over all pairs of tokens: (heads, tokens, tokens)."""
        along = torch.arange(self.side, device=self.attention_biases.device)
        apart = (along[:, None] - along).abs()
        pairs = apart[:, None, :, None] * self.side + apart[None, :, None, :]
        return self.attention_biases[:, pairs.reshape(self.side**2, -1)]


class Perceptron(nn.Module):
    """A layer norm and two linear layers, for each token."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, _EXPANSION * channels)
        self.fc2 = nn.Linear(_EXPANSION * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add the layers' output to (N, C) tokens."""
        added: Tensor = x + self.fc2(F.gelu(self.fc1(self.norm(x))))
        return added


class Block(nn.Module):
    """Attention in windows, a depthwise convolution that joins them, and a perceptron."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.attn = WindowAttention(channels, heads, side)
        self.local_conv = Convolution(channels, channels, 3, groups=channels)
        self.mlp = Perceptron(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Change (B, H, W, C) tokens."""
        x = x + self.attn(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return _by_parts(self.mlp, x.reshape(-1, x.shape[3])).view(x.shape)


class ConvolutionStage(nn.Module):
    """The first stage: bottlenecks only."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(InvertedBottleneck(channels) for _ in range(depth))

    def forward(self, source: Rows) -> Rows:
        """Rows that are computed from the patch embedding when they are taken."""
        for block in self.blocks:
            source = block(source)
        return source


class AttentionStage(nn.Module):
    """A later stage: a change of grid, then blocks with attention."""

    def __init__(
        self, channels: int, result: int, depth: int, heads: int, side: int, stride: int = 2
    ) -> None:
        super().__init__()
        self.downsample = PatchMerging(channels, result, stride)
        self.blocks = nn.Sequential(*(Block(result, heads, side) for _ in range(depth)))

    def forward(self, source: Rows, step: int) -> Tensor:
        """Compute a (B, C, H, W) grid from rows, `step` of its rows at a time."""
        # The rows may come a long way: each strip pulls its own through all layers before.
        pixels = self.downsample(source).whole(step)
        result: Tensor = self.blocks(pixels.permute(0, 2, 3, 1))
        return result.permute(0, 3, 1, 2)


class Trunk(nn.Module):
    """TinyViT-5M without a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(64)
        self.stages = nn.ModuleList(
            [
                ConvolutionStage(64, depth=2),
                AttentionStage(64, 128, depth=2, heads=4, side=7),
                AttentionStage(128, 160, depth=6, heads=5, side=14),
                # MobileSAM doesn't halve the last grid.
                AttentionStage(160, 320, depth=2, heads=10, side=7, stride=1),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, 3, H, W) pixels into (B, 320, H / 16, W / 16)."""
        step = x.shape[2] if memory.wants_large_batches(x) else _STRIP
        first, second, third, fourth = self.stages
        x = second(first(self.patch_embed(Rows.of(x))), step)
        x = third(Rows.of(x), step)
        result: Tensor = fourth(Rows.of(x), step)
        return result


class ChannelNorm(nn.LayerNorm):
    """SAM's layer norm over the channels of a (B, C, H, W) grid."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each pixel."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TinyVitEncoder(nn.Module):
    """MobileSAM's image encoder."""

    img_size = SIDE

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.neck = nn.Sequential(
            PointwiseConvolution(320, CHANNELS),
            ChannelNorm(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            ChannelNorm(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, 1024, 1024) normalised pixels to (B, 256, 64, 64)."""
        embedding: Tensor = self.neck(self.trunk(x))
        return embedding


def fold_norms(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold every batch norm of a TinyViT's float32 tensors into the convolution before it.

    A norm that is incomplete stays as it is, and so its convolution will be missed.
    """
    folded = dict(state)
    for name in [key.removesuffix(".conv.weight") for key in state if key.endswith(".conv.weight")]:
        weight = state[f"{name}.conv.weight"]
        parts = [f"{name}.bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        if all(part in state and state[part].shape == weight.shape[:1] for part in parts):
            gain, bias, mean, variance = (folded.pop(part) for part in parts)
            gain = gain * torch.rsqrt(variance + nn.BatchNorm2d(1).eps)
            folded[f"{name}.weight"] = folded.pop(f"{name}.conv.weight") * gain.view(-1, 1, 1, 1)
            folded[f"{name}.bias"] = bias - mean * gain
    return folded


def _by_parts(step: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
    """Apply a step to windows (n, T, C) or tokens (n, C), on a CPU to some of them at a time."""
    if memory.wants_large_batches(items):
        return step(items)
    # All threads have as many parts to do, of one size, and hold no more than one would.
    workers = threads.workers_for(items)
    rounds = ceil(items[..., 0].numel() / _TOKENS)
    parts = torch.tensor_split(items, min(len(items), rounds * workers))
    return torch.cat(threads.side_by_side(step, parts))
