"""From the decoder's 256 x 256 logits to pixels on a CPU: stability, and masks packed in bits.

segment_anything enlarges all logits to 1024 x 1024, cuts the padding off, resizes to the image and
only then filters. The pixels here are the same. But enlarging is bilinear, hence separable: columns
first, while there are 256 rows, then rows, in strips that stay in cache and are counted at once.
Strips without a logit that could count are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from alps_geo.sam.frame import SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alps_geo.sam.frame import Frame

LOGITS = 256
"""Side of the decoder's logits."""

_STRIP = 256
"""Image rows enlarged at once."""


@dataclass(frozen=True)
class _Resize:
    """Bilinear resizing along one axis: the two sources of each result, and the second's share."""

    before: Tensor
    after: Tensor
    share: Tensor

    @classmethod
    def between(cls, source: int, result: int) -> _Resize:
        """Sample as `torch.nn.functional.interpolate` does without `align_corners`."""
        position = ((torch.arange(result) + 0.5) * (source / result) - 0.5).clamp(min=0)
        before = position.long().clamp(max=source - 1)
        return cls(before, (before + 1).clamp(max=source - 1), (position - before)[:, None])

    def rows(self, source: Tensor, first: int, last: int, offset: int = 0) -> Tensor:
        """Compute the rows [first, last) from a source whose first row is number `offset`."""
        before, after = self.before[first:last] - offset, self.after[first:last] - offset
        return torch.lerp(source[before], source[after], self.share[first:last])

    def needs(self, first: int, last: int) -> tuple[int, int]:
        """Range, half-open, of the source rows that the rows [first, last) come from."""
        return int(self.before[first]), int(self.after[last - 1]) + 1


class Enlarger:
    """Brings logits to the size of an image, by way of the encoder's square.

    Parameters
    ----------
    frame : Frame
        Position of the image in the encoder's square.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._to_square = _Resize.between(LOGITS, SIDE)
        rows, _ = frame.input_shape
        self._to_image = None
        if frame.input_shape != frame.shape:
            self._to_image = _Resize.between(rows, frame.height)

    def stability(self, logits: Tensor, offset: float) -> Tensor:
        """Compute the IoU of each mask above ``offset`` with itself above ``-offset``.

        Parameters
        ----------
        logits : (M, 256, 256) float32
        offset : float
            In logits.

        Returns
        -------
        (M,) float32
            0 for a mask without a pixel above ``-offset``.
        """
        counts = [self._count(mask, offset) for mask in logits]
        inner, outer = torch.tensor(counts, dtype=torch.float32).view(-1, 2).unbind(1)
        return inner / outer.clamp(min=1)

    def packed(self, logits: Tensor) -> NDArray[np.uint8]:
        """Threshold (M, 256, 256) logits: (M, H, ceil(W / 8)), eight pixels of a row to a byte."""
        height, width = self.frame.shape
        result = np.zeros((len(logits), height, -(-width // 8)), dtype=np.uint8)
        for mask, bits in zip(logits, result, strict=True):
            for first, last, pixels in self._strips(mask, 0):
                bits[first:last] = np.packbits(pixels > 0, axis=-1)
        return result

    def _count(self, logits: Tensor, offset: float) -> tuple[int, int]:
        inner = outer = 0
        for _, _, pixels in self._strips(logits, -offset):
            inner += int(np.count_nonzero(pixels > offset))
            outer += int(np.count_nonzero(pixels > -offset))
        return inner, outer

    def _strips(
        self, logits: Tensor, level: float
    ) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Enlarge one mask by strips of rows, skipping strips with no pixel above `level`."""
        has_any = logits.amax(1) > level
        wide = self._columns(logits)
        for first, last in pairwise([*range(0, self.frame.height, _STRIP), self.frame.height]):
            start, stop = self._sources(first, last)
            if has_any[start:stop].any():
                yield first, last, self._rows(wide, first, last).numpy()

    def _columns(self, logits: Tensor) -> Tensor:
        """Enlarge the columns: (256, W)."""
        square = F.interpolate(logits[None], SIDE, mode="linear", align_corners=False)
        inside = square[:, :, : self.frame.input_shape[1]]
        if self._to_image is not None:
            inside = F.interpolate(inside, self.frame.width, mode="linear", align_corners=False)
        return inside[0]

    def _rows(self, wide: Tensor, first: int, last: int) -> Tensor:
        """Enlarge the rows [first, last) of an image."""
        if self._to_image is None:
            return self._to_square.rows(wide, first, last)
        start, stop = self._to_image.needs(first, last)
        return self._to_image.rows(self._to_square.rows(wide, start, stop), first, last, start)

    def _sources(self, first: int, last: int) -> tuple[int, int]:
        if self._to_image is not None:
            first, last = self._to_image.needs(first, last)
        return self._to_square.needs(first, last)


def boxes(packed: NDArray[np.uint8], width: int) -> NDArray[np.int64]:
    """Find the (row_min, col_min, row_max, col_max) of packed masks, half-open; 0 if empty."""
    result = np.zeros((len(packed), 4), dtype=np.int64)
    for box, mask in zip(result, packed, strict=True):
        rows = np.flatnonzero(mask.any(axis=1))
        if len(rows):
            in_any_row = np.bitwise_or.reduce(mask[rows[0] : rows[-1] + 1], axis=0)
            cols = np.flatnonzero(np.unpackbits(in_any_row, count=width))
            box[:] = rows[0], cols[0], rows[-1] + 1, cols[-1] + 1
    return result
