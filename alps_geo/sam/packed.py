"""Masks packed into bits inside their boxes; needs neither torch nor a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """Masks of one image.

    Attributes
    ----------
    bbox : (N, 4) int64
        (row_min, col_min, row_max, col_max) in pixels, half-open.
    predicted_iou, stability_score : (N,) float32
    bits : list of (B,) uint8
        Each mask cropped to its bbox, row by row, packed eight pixels to a byte.
    """

    bbox: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    bits: list[NDArray[np.uint8]]

    def __getitem__(self, keep: NDArray[np.int64]) -> PackedMasks:
        return PackedMasks(
            self.bbox[keep],
            self.predicted_iou[keep],
            self.stability_score[keep],
            [self.bits[i] for i in keep],
        )

    def __len__(self) -> int:
        return len(self.bbox)


def join(parts: Sequence[PackedMasks]) -> PackedMasks:
    """Concatenate masks; none for no parts."""
    return PackedMasks(
        np.concatenate([np.zeros((0, 4), dtype=np.int64), *(part.bbox for part in parts)]),
        _concatenate([part.predicted_iou for part in parts]),
        _concatenate([part.stability_score for part in parts]),
        [bits for part in parts for bits in part.bits],
    )


def crop_bits(packed: NDArray[np.uint8], box: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Crop a mask, packed row by row at full width, to its bbox and pack it again."""
    row_min, col_min, row_max, col_max = box
    return np.packbits(np.unpackbits(packed[row_min:row_max], axis=1)[:, col_min:col_max])


def _concatenate(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(0, dtype=np.float32), *parts])
