"""SAM's prompt encoder and mask decoder for many points on one image.

The same answers as segment_anything's `MaskDecoder` for a fraction of the arithmetic:

1. Whatever depends on the image alone is computed once, in `Decoder.prepare`: keys, values and
   queries of the first layer, and the image's share in those of all later layers.
2. The 4096 image tokens are never formed for a prompt (`alps_geo.sam.image_tokens`): projections
   meet the few rows that a prompt has added, and layer norms become one scale for each token.
3. Predicted IoU needs one of a prompt's 7 tokens in the last attention. The three mask tokens
   attend, and pixels are upscaled, only for prompts that have a mask worth keeping.
4. Transposed convolutions of size 2 and stride 2 are matrix products on channels-last tokens,
   where LayerNorm2d is an ordinary layer norm. Pixels are put in order once, at the end, on the
   masks that are kept and not on the 64 and 32 channels before them.

Nothing is approximated; only the order of sums differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from alps_geo.sam import memory
from alps_geo.sam.frame import CELL, SIDE
from alps_geo.sam.image_tokens import (
    ImageTokens,
    Norm,
    Projection,
    Values,
    attended,
    centre,
    pool,
    scores,
)
from alps_geo.sam.network import HEADS

if TYPE_CHECKING:
    from alps_geo.sam.network import Attention, DecoderNetwork, Layer

_GRID = SIDE // CELL

_IOU_TOKEN = slice(0, 1)
_MASK_TOKENS = slice(2, 5)
"""A prompt's tokens: predicted IoU, the single mask, three masks, its point, "no other point"."""

_STRIP = 1024
"""Image tokens, of all prompts, upscaled at once on a CPU: their pixels' channels stay in cache."""


@dataclass(frozen=True)
class LayerKeys:
    """Projections of an image in one layer, shared by all prompts.

    Attributes
    ----------
    key : Projection
    value : Values
        For the prompt's attention to the image.
    query : Projection
    norm : Norm
        For the image's attention to the prompt.
    """

    key: Projection
    value: Values
    query: Projection
    norm: Norm

    @classmethod
    def of(
        cls, layer: Layer, own: Tensor, position: Tensor, shift: Tensor, norm: Norm
    ) -> LayerKeys:
        """Project an image's own share (N, 256), after the norm of the layer before."""
        from_prompt, to_prompt = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        dtype = norm.square.dtype
        return cls(
            Projection.of(own, position + shift, from_prompt.k_proj, dtype),
            Values.of(own, shift, from_prompt.v_proj, dtype),
            Projection.of(own, position + shift, to_prompt.q_proj, dtype),
            norm,
        )


@dataclass(frozen=True)
class ImageKeys:
    """Projections of an image in the whole decoder, shared by all prompts; from `Decoder.prepare`.

    Attributes
    ----------
    first, second : LayerKeys
    last_key : Projection
    last_value : Values
        For the prompt's last attention to the image.
    upscaled : (4096, 256)
        The first upscaling of the image's own share: 4 pixels of 64 channels for each token.
    upscaled_shift : (256,)
        The first upscaling of the shift that every token gets.
    """

    first: LayerKeys
    second: LayerKeys
    last_key: Projection
    last_value: Values
    upscaled: Tensor
    upscaled_shift: Tensor


@dataclass(frozen=True)
class Prompts:
    """A batch of P points before the last attention.

    Attributes
    ----------
    tokens : (P, 7, 256) float32
    position : (P, 7, 256) float32
        The tokens as they came in, which are added to every query and key.
    image : ImageTokens
        The image's tokens as each prompt has changed them.
    """

    tokens: Tensor
    position: Tensor
    image: ImageTokens

    def __getitem__(self, index: Tensor | slice) -> Prompts:
        return Prompts(self.tokens[index], self.position[index], self.image[index])


class Decoder:
    """The prompt encoder and mask decoder of a SAM.

    Parameters
    ----------
    network : alps_geo.sam.network.DecoderNetwork
        In float32.
    dtype : torch.dtype
        Type of whatever has the size of the image. The prompts' few tokens stay in float32.
    """

    def __init__(self, network: DecoderNetwork, dtype: torch.dtype = torch.float32) -> None:
        self._prompt_encoder = network.prompt_encoder
        self._decoder = network.mask_decoder
        self._transformer = network.mask_decoder.transformer
        self._dtype = dtype
        first, norm, second = network.mask_decoder.upscaling
        self._to_pixels = _as_matrix(first.weight)
        self._to_pixels_bias = cast("Tensor", first.bias).repeat(4)
        self._norm = norm.normalized_shape, norm.weight.to(dtype), norm.bias.to(dtype), norm.eps
        self._to_finer = _as_matrix(second.weight).mT.contiguous().to(dtype)
        self._to_finer_bias = cast("Tensor", second.bias).repeat(4).to(dtype)

    def prepare(self, embedding: Tensor) -> ImageKeys:
        """Project a (1, 256, 64, 64) embedding for all prompts of its image."""
        dtype = self._dtype
        first, second = self._transformer.both
        last = self._transformer.final_attn_token_to_image
        output = first.cross_attn_image_to_token.out_proj
        later_output = second.cross_attn_image_to_token.out_proj
        position = self._prompt_encoder.grid()
        image = _columns(embedding.float()) + self._prompt_encoder.no_mask_embed.weight
        no_shift = torch.zeros_like(output.bias)

        # The image's own share before each norm, centred; the gain follows it.
        centred = centre(image + output.bias)
        after_first = centred * first.norm4.weight
        recentred = centre(after_first)
        after_second = recentred * second.norm4.weight

        placed = image + position
        first_keys = LayerKeys(
            Projection.of_unchanged(placed, first.cross_attn_token_to_image.k_proj, dtype),
            Values.of(image, no_shift, first.cross_attn_token_to_image.v_proj, dtype),
            Projection.of_unchanged(placed, first.cross_attn_image_to_token.q_proj, dtype),
            Norm.of(centred, no_shift, (output.weight,), first.norm4, dtype),
        )
        shift = first.norm4.bias
        # The first layer's rows come to the second norm by way of the first one's gain.
        outputs = centre(output.weight.mT).mT * first.norm4.weight[:, None], later_output.weight
        all_shift = centre(shift + later_output.bias)
        second_norm = Norm.of(recentred, all_shift, outputs, second.norm4, dtype)
        second_keys = LayerKeys.of(second, after_first, position, shift, second_norm)
        last_shift = second.norm4.bias
        return ImageKeys(
            first_keys,
            second_keys,
            Projection.of(after_second, position + last_shift, last.k_proj, dtype),
            Values.of(after_second, last_shift, last.v_proj, dtype),
            (after_second @ self._to_pixels).to(dtype),
            (last_shift @ self._to_pixels + self._to_pixels_bias).to(dtype),
        )

    def prompt(self, keys: ImageKeys, points: Tensor) -> Prompts:
        """Take points through the two layers of the transformer.

        Parameters
        ----------
        keys : ImageKeys
            From `prepare`.
        points : (P, 2) float32
            (x, y) in input pixels, all foreground.

        Returns
        -------
        Prompts
        """
        first, second = self._transformer.both
        position = self._tokens(points)
        tokens = first.norm1(first.self_attn(position, position))
        tokens, image = _layer(first, keys.first, tokens, position, None)
        tokens = second.norm1(tokens + second.self_attn(tokens + position, tokens))
        tokens, image = _layer(second, keys.second, tokens, position, image)
        return Prompts(tokens, position, image)

    def predicted_iou(self, keys: ImageKeys, prompts: Prompts) -> Tensor:
        """Predict the IoU of each prompt's three masks: (P, 3) float32."""
        tokens = self._last_attention(keys, prompts, _IOU_TOKEN)
        predicted: Tensor = self._decoder.iou_prediction_head(tokens[:, 0])
        return predicted[:, 1:]

    def logits(self, keys: ImageKeys, prompts: Prompts, which: Tensor) -> Tensor:
        """Compute the logits of wanted masks.

        Parameters
        ----------
        keys : ImageKeys
        prompts : Prompts
        which : (M,) int64
            Mask ``which % 3`` of the three of prompt ``which // 3``.

        Returns
        -------
        (M, 256, 256) float32
        """
        tokens = self._last_attention(keys, prompts, _MASK_TOKENS)
        networks = self._decoder.output_hypernetworks_mlps[1:]
        channels = torch.stack([net(tokens[:, i]) for i, net in enumerate(networks)], dim=1)
        channels = channels.to(self._dtype)
        rows = (prompts.image.rows @ self._to_pixels).to(self._dtype)
        strip = max(1, _STRIP // len(rows))
        if memory.wants_large_batches(rows):
            strip = _GRID**2
        masks = [
            _mix(self._pixels(keys, prompts.image, rows, slice(i, i + strip)), channels, which)
            for i in range(0, _GRID**2, strip)
        ]
        return _in_order(torch.cat(masks, dim=1))

    def _tokens(self, points: Tensor) -> Tensor:
        """Embed prompts: the five output tokens, the point, and "no other point"."""
        output = torch.cat([self._decoder.iou_token.weight, self._decoder.mask_tokens.weight])
        return torch.cat([output.expand(len(points), -1, -1), self._prompt_encoder(points)], dim=1)

    def _last_attention(self, keys: ImageKeys, prompts: Prompts, which: slice) -> Tensor:
        tokens = prompts.tokens[:, which]
        queries = tokens + prompts.position[:, which]
        attention = self._transformer.final_attn_token_to_image
        found = _to_image(attention, queries, keys.last_key, keys.last_value, prompts.image)
        normalised: Tensor = self._transformer.norm_final_attn(tokens + found)
        return normalised

    def _pixels(self, keys: ImageKeys, image: ImageTokens, rows: Tensor, strip: slice) -> Tensor:
        """Upscale some image tokens to 16 pixels each: (P, strip x 16, 32)."""
        scale = image.scale[:, 0, strip, None]
        own = torch.addcmul(keys.upscaled_shift, scale, keys.upscaled[strip])
        pixels = own.baddbmm_(image.weights[:, :, strip].mT, rows)
        shape, weight, bias, eps = self._norm
        pixels = F.gelu(F.layer_norm(pixels.view(-1, *shape), shape, weight, bias, eps))
        finer = F.gelu(F.linear(pixels, self._to_finer, self._to_finer_bias))
        return finer.view(len(rows), -1, finer.shape[1] // 4)


def _layer(
    layer: Layer,
    keys: LayerKeys,
    tokens: Tensor,
    position: Tensor,
    image: ImageTokens | None,
) -> tuple[Tensor, ImageTokens]:
    """Let prompt tokens attend to the image, then the image to them."""
    attention = layer.cross_attn_token_to_image
    found = _to_image(attention, tokens + position, keys.key, keys.value, image)
    tokens = layer.norm2(tokens + found)
    tokens = layer.norm3(tokens + layer.mlp(tokens))

    attention = layer.cross_attn_image_to_token
    each = scores(attention.k_proj(tokens + position), keys.query, image)
    of_each_head = each.view(len(tokens), HEADS, -1, each.shape[-1])
    weights = of_each_head.softmax(2).view(each.shape)
    values = attention.v_proj(tokens)
    return tokens, attended(image, weights, values, attention.out_proj.weight, keys.norm)


def _to_image(
    attention: Attention,
    queries: Tensor,
    key: Projection,
    value: Values,
    image: ImageTokens | None,
) -> Tensor:
    """Let prompt tokens (P, T, 256) attend to the image."""
    weights = scores(attention.q_proj(queries), key, image).softmax(-1)
    found: Tensor = attention.out_proj(pool(weights, value, image))
    return found


def _mix(pixels: Tensor, channels: Tensor, which: Tensor) -> Tensor:
    """Mix the channels of (P, n, 32) pixels by (P, 3, 32) into the wanted masks (M, n)."""
    if memory.wants_large_batches(pixels):
        return (channels @ pixels.mT).flatten(0, 1)[which]
    pairs = (divmod(number, channels.shape[1]) for number in which.tolist())
    return torch.stack([pixels[prompt] @ channels[prompt, mask] for prompt, mask in pairs])


def _columns(grid: Tensor) -> Tensor:
    """Flatten (1, C, h, w) to (h w, C)."""
    return grid[0].flatten(1).mT


def _as_matrix(weight: Tensor) -> Tensor:
    """Lay a transposed convolution's (in, out, 2, 2) out as (in, 4 out), pixel by pixel."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _in_order(pixels: Tensor) -> Tensor:
    """Bring (M, 4096 x 4 x 4) pixels, token by token, into the order of (M, 256, 256)."""
    # rows and columns of tokens, of pixels after the first upscaling, and after the second
    nested = pixels.float().view(-1, _GRID, _GRID, 2, 2, 2, 2)
    return nested.permute(0, 1, 3, 5, 2, 4, 6).reshape(len(pixels), 4 * _GRID, 4 * _GRID)
