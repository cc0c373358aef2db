"""The image's tokens in SAM's mask decoder, changed by prompts and yet never formed.

SAM's decoder (Segment Anything, arXiv 2304.02643, appendix A) lets the 4096 image tokens attend to
the 7 tokens of a prompt, with 8 heads. So a prompt changes all 4096 by a product of two thin
matrices: the attention's weights, 56 for each image token, and the 56 rows of 256 channels that
they weigh. All later steps of the decoder are linear in the image tokens, except for layer norms
and softmaxes, so it can be had from the thin matrices and from projections of the image that
all prompts share. `Projection`, `Values` and `Norm` hold those projections; `scores`, `pool` and
`attended` put the two together.

Shapes: P prompts of T tokens, N = 4096 image tokens, H = 8 heads of 16 channels, H T = 56 weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from alps_geo.sam import memory
from alps_geo.sam.network import HEADS

HEAD_CHANNELS = 16


@dataclass(frozen=True)
class ImageTokens:
    """The image's tokens after a prompt's tokens have been attended to.

    Token n of prompt p is ``scale[p, n] * own[n] + weights[p, :, n] @ rows[p] + shift``. `own` is
    the image's own share, the same for all prompts; `shift` is the last norm's bias, the same for
    all tokens; neither is stored, as nothing but their projections is ever needed.

    Attributes
    ----------
    scale : (P, 1, N)
    weights : (P, R, N)
        R is 56 after the first layer and 112 after the second.
    rows : (P, R, 256) float32
    values : tuple of (P, T, 128) float32
        The attention values that each layer's rows were projected from.
    """

    scale: Tensor
    weights: Tensor
    rows: Tensor
    values: tuple[Tensor, ...]

    def __getitem__(self, index: Tensor | slice) -> ImageTokens:
        values = tuple(value[index] for value in self.values)
        return ImageTokens(self.scale[index], self.weights[index], self.rows[index], values)


@dataclass(frozen=True)
class Projection:
    """Keys or queries: the part of the image tokens' projection that no prompt changes.

    Attributes
    ----------
    own : (128, N)
        Of the image's own share, head by head.
    fixed : (128, N) or None
        Of the terms that no prompt changes: positional encoding, shift and the projection's bias.
        None if no prompt has changed anything yet, and `own` has it all.
    weight : (128, 256) float32
        The projection, which the prompts' rows still have to go through.
    """

    own: Tensor
    fixed: Tensor | None
    weight: Tensor

    @classmethod
    def of(
        cls, own: Tensor, fixed: Tensor, linear: torch.nn.Linear, dtype: torch.dtype
    ) -> Projection:
        """Project an image's own share (N, 256) and the terms added to it (N, 256)."""
        weight, bias = linear.weight, linear.bias
        return cls(
            (weight @ own.mT).to(dtype), (weight @ fixed.mT + bias[:, None]).to(dtype), weight
        )

    @classmethod
    def of_unchanged(
        cls, tokens: Tensor, linear: torch.nn.Linear, dtype: torch.dtype
    ) -> Projection:
        """Project image tokens (N, 256) that no prompt has changed yet."""
        return cls(linear(tokens).mT.contiguous().to(dtype), None, linear.weight)


@dataclass(frozen=True)
class Values:
    """An attention's values: the part that no prompt changes.

    Attributes
    ----------
    own : (128, N)
        Of the image's own share, head by head.
    constant : (128,) float32
        Of shift and bias: added to all values, it comes out as it is, as weights sum to one.
    weight : (128, 256) float32
        The projection, which the prompts' rows still have to go through.
    """

    own: Tensor
    constant: Tensor
    weight: Tensor

    @classmethod
    def of(cls, own: Tensor, shift: Tensor, linear: torch.nn.Linear, dtype: torch.dtype) -> Values:
        """Project an image's own share (N, 256) and the tokens' shift (256,)."""
        weight = linear.weight
        return cls((weight @ own.mT).to(dtype), linear(shift), weight)


@dataclass(frozen=True)
class Norm:
    """A layer norm of the image's tokens: the part that no prompt changes.

    Subtracting the mean over channels is linear, so the image's share, the rows and the shift are
    each centred beforehand, and the norm is a division by the token's length. The squared length
    of a sum is the squared lengths of its parts and twice their products.

    Attributes
    ----------
    square : (N,)
        Squared length of the image's own share.
    cross : (N,)
        Twice its product with the shift.
    products : tuple of (128, N)
        Its products with the output projections that the layers' rows come from, head by head.
    shift : (256,) float32
        The previous norm's bias and the output projection's, centred.
    gain : (256,) float32
    eps : float
    """

    square: Tensor
    cross: Tensor
    products: tuple[Tensor, ...]
    shift: Tensor
    gain: Tensor
    eps: float

    @classmethod
    def of(
        cls,
        own: Tensor,
        shift: Tensor,
        outputs: tuple[Tensor, ...],
        norm: torch.nn.LayerNorm,
        dtype: torch.dtype,
    ) -> Norm:
        """Prepare a norm for a centred image share (N, 256) and output projections (256, 128)."""
        return cls(
            own.square().sum(1).to(dtype),
            (2 * own @ shift).to(dtype),
            tuple((output.mT @ own.mT).to(dtype) for output in outputs),
            shift,
            norm.weight,
            norm.eps,
        )


def centre(x: Tensor) -> Tensor:
    """Subtract the mean over channels, the last axis."""
    return x - x.mean(-1, keepdim=True)


def scores(tokens: Tensor, projection: Projection, image: ImageTokens | None) -> Tensor:
    """Multiply prompt tokens with projected image tokens, head by head.

    Parameters
    ----------
    tokens : (P, T, 128) float32
        Projected queries or keys of the prompts.
    projection : Projection
        The image's keys or queries.
    image : ImageTokens or None
        None while nothing has changed them.

    Returns
    -------
    (P, H T, N)
        Divided by the root of the channels of a head.
    """
    tokens = tokens / sqrt(HEAD_CHANNELS)
    prompts, count, _ = tokens.shape
    own, fixed = projection.own, projection.fixed
    result = own.new_empty(prompts, HEADS * count, own.shape[1])
    if image is None or fixed is None:
        _add_products(result, tokens, own.expand(prompts, -1, -1), beta=0)
        return result
    # The projection is folded into the tokens, and these meet the rows, not the 4096 tokens.
    thin = _through(tokens, projection.weight) @ image.rows.mT
    torch.bmm(thin.to(own.dtype), image.weights, out=result)
    if memory.wants_large_batches(own):
        _add_products(result, tokens, torch.addcmul(fixed, image.scale, own), beta=1)
        return result
    # On a CPU the projected image, 2 MiB for each prompt, is formed for one prompt at a time.
    for index, scale in enumerate(image.scale):
        one = slice(index, index + 1)
        _add_products(result[one], tokens[one], torch.addcmul(fixed, scale, own)[None], beta=1)
    return result


def pool(weights: Tensor, values: Values, image: ImageTokens | None) -> Tensor:
    """Average the image tokens' values under a softmax's weights.

    Parameters
    ----------
    weights : (P, H T, N)
        Sum to one over N.
    values : Values
    image : ImageTokens or None
        None while nothing has changed them.

    Returns
    -------
    (P, T, 128) float32
    """
    if image is None:
        pooled = _pool_heads(weights, values.own)
    else:
        pooled = _pool_heads(weights * image.scale, values.own)
        # The weights meet the thin matrix first; then only 56 rows go through the projection.
        rows = (weights @ image.weights.mT).float() @ image.rows
        prompts, _, channels = rows.shape
        by_head = rows.view(prompts, HEADS, -1, channels).transpose(0, 1).flatten(1, 2)
        projected = by_head @ values.weight.view(HEADS, HEAD_CHANNELS, channels).mT
        pooled += projected.view(HEADS, prompts, -1, HEAD_CHANNELS).transpose(0, 1)
    return pooled.transpose(1, 2).flatten(2) + values.constant


def attended(
    image: ImageTokens | None, weights: Tensor, values: Tensor, output: Tensor, norm: Norm
) -> ImageTokens:
    """Let the image's tokens attend to the prompts' tokens, and normalise them.

    Parameters
    ----------
    image : ImageTokens or None
        None while nothing has changed them.
    weights : (P, H T, N)
        Sum to one over the T tokens of each head.
    values : (P, T, 128) float32
        Values of the prompts' tokens.
    output : (256, 128) float32
        The attention's output projection.
    norm : Norm

    Returns
    -------
    ImageTokens
    """
    # Over all rows of a token the weights sum to one for each head: each row takes its part of
    # the terms added to every token.
    rows = centre(_through(values, output.mT)) + norm.shift / HEADS
    all_values: tuple[Tensor, ...] = (values,)
    if image is not None:
        rows = torch.cat([centre(image.rows), rows], dim=1)
        weights = torch.cat([image.weights, weights], dim=1)
        all_values = (*image.values, values)
    square = norm.square + norm.cross if image is None else _square_of_own(image.scale, norm)

    # Half of the rows' part of the squared length, before the last product with the weights.
    half = torch.empty_like(weights)
    for part, value, product in zip(
        half.chunk(len(all_values), dim=1), all_values, norm.products, strict=True
    ):
        _add_products(part, value, product.expand(len(value), -1, -1), beta=0)
    if image is not None:
        half.mul_(image.scale)
    gram = (rows @ rows.mT).to(weights.dtype)
    half.baddbmm_(gram, weights, alpha=0.5)
    square = square + 2 * half.mul_(weights).sum(1, keepdim=True)

    channels = rows.shape[-1]
    inverse_length = torch.rsqrt(square / channels + norm.eps)
    scale = inverse_length if image is None else inverse_length * image.scale
    return ImageTokens(scale, weights.mul_(inverse_length), rows * norm.gain, all_values)


def _square_of_own(scale: Tensor, norm: Norm) -> Tensor:
    return (scale * norm.square + norm.cross) * scale


def _through(tokens: Tensor, weight: Tensor) -> Tensor:
    """Take (P, T, 128) tokens through a projection (128, C), one head at a time: (P, H T, C)."""
    prompts, count, _ = tokens.shape
    by_head = _by_head(tokens).transpose(0, 1).flatten(1, 2)
    rows = by_head @ weight.reshape(HEADS, HEAD_CHANNELS, -1)
    return rows.view(HEADS, prompts, count, -1).transpose(0, 1).flatten(1, 2)


def _add_products(result: Tensor, tokens: Tensor, heads: Tensor, beta: int) -> None:
    """Add the products of (P, T, 128) tokens and (P, 128, N) channels, head by head.

    ``result = beta * result + products``, in place, (P, H T, N).
    """
    by_head = _by_head(tokens).to(heads.dtype)
    if not memory.wants_large_batches(heads):
        for products, its_tokens, its_heads in zip(result, by_head, heads, strict=True):
            channels = its_heads.view(HEADS, HEAD_CHANNELS, -1)
            products.view(HEADS, -1, heads.shape[2]).baddbmm_(its_tokens, channels, beta=beta)
        return
    # On a GPU one large product of a block-diagonal matrix is quicker than many thin ones.
    result.baddbmm_(_block_diagonal(by_head), heads, beta=beta)


def _pool_heads(weights: Tensor, heads: Tensor) -> Tensor:
    """Multiply (P, H T, N) weights with (128, N) channels, head by head: (P, H, T, 16) float32."""
    prompts, _, tokens = weights.shape
    if not memory.wants_large_batches(heads):
        by_head = weights.view(prompts, HEADS, -1, tokens)
        channels = heads.view(HEADS, HEAD_CHANNELS, tokens).mT
        return torch.stack([torch.bmm(prompt, channels) for prompt in by_head]).float()
    every_pair = (weights @ heads.mT).view(prompts, HEADS, -1, HEADS, HEAD_CHANNELS)
    return every_pair.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).float()


def _by_head(tokens: Tensor) -> Tensor:
    """Split the channels of (P, T, 128) tokens into heads: (P, H, T, 16)."""
    prompts, count, _ = tokens.shape
    return tokens.reshape(prompts, count, HEADS, HEAD_CHANNELS).transpose(1, 2)


def _block_diagonal(by_head: Tensor) -> Tensor:
    """Spread (P, H, T, 16) over the diagonal blocks of (P, H T, 128)."""
    prompts, heads, count, channels = by_head.shape
    blocks = by_head.new_zeros(prompts, heads, count, heads, channels)
    blocks.diagonal(dim1=1, dim2=3).copy_(by_head.permute(0, 2, 3, 1))
    return blocks.view(prompts, heads * count, heads * channels)
