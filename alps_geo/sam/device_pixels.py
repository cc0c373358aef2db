"""Logits to pixels on a GPU: stability, boxes and packed masks, without waiting for the host.

The results of `alps_geo.sam.pixels`, but many masks at once, enlarged as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from alps_geo.sam.frame import SIDE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.sam.frame import Frame

_PIXELS = 2**25
"""Pixels enlarged at once, of all masks."""


def measured(logits: Tensor, frame: Frame, offset: float) -> tuple[Tensor, Tensor]:
    """Measure masks of the size of the image.

    Parameters
    ----------
    logits : (M, 256, 256) float32
    frame : Frame
        Position of the image in the encoder's square.
    offset : float
        In logits.

    Returns
    -------
    stability : (M,) float32
        IoU of each mask above ``offset`` with itself above ``-offset``.
    bbox : (M, 4) int64
        Half-open boxes of the pixels above 0; all 0 if there are none.
    """
    stability, bbox = [], []
    for part in torch.split(logits, _at_once(frame)):
        pixels = _enlarged(part, frame)
        inner, outer = ((pixels > level).sum((1, 2)) for level in (offset, -offset))
        stability.append(inner / outer.clamp(min=1))
        inside = pixels > 0
        bounds = [_bounds(inside.any(axis)) for axis in (2, 1)]
        bbox.append(torch.stack([b[end] for end in (0, 1) for b in bounds], dim=1))
    return torch.cat(stability), torch.cat(bbox)


def packed_sizes(bbox: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the bytes of masks with such (M, 4) boxes."""
    sizes: NDArray[np.int64] = -(-(bbox[:, 2:] - bbox[:, :2]).prod(axis=1) // 8)
    return sizes


def packed(logits: Tensor, bbox: Tensor, sizes: NDArray[np.int64], frame: Frame) -> Tensor:
    """Pack masks inside their boxes as `numpy.packbits` does.

    Parameters
    ----------
    logits : (M, 256, 256) float32
    bbox : (M, 4) int64
        From `measured`.
    sizes : (M,) int64
        From `packed_sizes`: known to the host, which need not wait for the GPU.
    frame : Frame

    Returns
    -------
    (B,) uint8
        One mask after the other, each from a byte of its own on.
    """
    count = _at_once(frame)
    parts = [
        _packed_inside(
            _enlarged(logits[start : start + count], frame) > 0,
            bbox[start : start + count],
            int(sizes[start : start + count].sum()),
        )
        for start in range(0, len(logits), count)
    ]
    return torch.cat([logits.new_zeros(0, dtype=torch.uint8), *parts])


def _packed_inside(inside: Tensor, bbox: Tensor, size: int) -> Tensor:
    """Pack (M, H, W) bool inside boxes into so many bytes in all."""
    masks, height, width = inside.shape
    top, left, bottom, right = bbox.unbind(1)
    pixels = (bottom - top) * (right - left)
    sizes = (pixels + 7) // 8
    # For every byte its mask, and for each of its bits the pixel within that mask's box.
    every_mask = torch.arange(masks, device=inside.device)
    mask = torch.repeat_interleave(every_mask, sizes, output_size=size)
    byte = torch.arange(size, device=inside.device) - (sizes.cumsum(0) - sizes)[mask]
    bit = torch.arange(8, device=inside.device)
    pixel = byte[:, None] * 8 + bit
    is_there = pixel < pixels[mask, None]
    across = (right - left)[mask, None]
    row = (top[mask, None] + pixel // across).clamp(max=height - 1)
    col = left[mask, None] + pixel % across
    values = inside.flatten()[(mask[:, None] * height + row) * width + col] & is_there
    weights = 2 ** torch.arange(7, -1, -1, dtype=torch.uint8, device=inside.device)
    return (values * weights).sum(1, dtype=torch.uint8)


def _bounds(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Find the first and one beyond the last True in each row of (M, n) bool; 0 and 0 if none."""
    along = torch.arange(inside.shape[1], device=inside.device)
    first = torch.where(inside, along, inside.shape[1]).amin(1)
    last = torch.where(inside, along + 1, 0).amax(1)
    return torch.minimum(first, last), last


def _at_once(frame: Frame) -> int:
    return max(1, _PIXELS // max(SIDE**2, frame.height * frame.width))


def _enlarged(logits: Tensor, frame: Frame) -> Tensor:
    """Enlarge masks by way of the encoder's square, as segment_anything does: (M, H, W)."""
    rows, cols = frame.input_shape
    square = F.interpolate(logits[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)
    inside = square[:, :, :rows, :cols]
    if frame.input_shape != frame.shape:
        inside = F.interpolate(inside, frame.shape, mode="bilinear", align_corners=False)
    return inside[:, 0]
