"""The masks of one tile, stored as bits inside their boxes; needs neither torch nor a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.sam.frame import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TileMasks:
    """The masks of one tile and the embedding that they came from.

    Attributes
    ----------
    shape : (int, int)
        Height and width of the tile's window, in pixels.
    bbox : (N, 4) int32
        (row_min, col_min, row_max, col_max) in window pixels, half-open; nothing of the mask lies
        outside.
    predicted_iou : (N,) float32
        The model's own prediction of the mask's IoU with the object.
    stability_score : (N,) float32
        IoU of the mask with itself under a shifted logit threshold.
    area : (N,) int64
        Pixels inside the mask.
    bits : (B,) uint8
        The masks one after the other, each cropped to its bbox, row by row, packed eight pixels to
        a byte as `numpy.packbits` does, and starting on a new byte.
    offsets : (N + 1,) int64
        Mask i is stored in ``bits[offsets[i]:offsets[i + 1]]``.
    embedding : (C, h, w) float32
        The encoder's output where it holds the image, without the padding. `frame` says which
        pixels a cell covers.
    """

    shape: tuple[int, int]
    bbox: NDArray[np.int32]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    area: NDArray[np.int64]
    bits: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    embedding: NDArray[np.float32]

    @classmethod
    def from_dense(
        cls,
        masks: NDArray[np.bool_],
        predicted_iou: NDArray[np.float32],
        stability_score: NDArray[np.float32],
        embedding: NDArray[np.float32],
    ) -> TileMasks:
        """Pack (N, H, W) bool masks; an empty mask gets the empty bbox (0, 0, 0, 0)."""
        bbox = np.array([_bbox(mask) for mask in masks], dtype=np.int32).reshape(-1, 4)
        crops = (
            mask[box[0] : box[2], box[1] : box[3]] for mask, box in zip(masks, bbox, strict=True)
        )
        bits = [np.packbits(crop) for crop in crops]
        height, width = masks.shape[1:]
        return cls(
            (height, width),
            bbox,
            np.asarray(predicted_iou, dtype=np.float32),
            np.asarray(stability_score, dtype=np.float32),
            masks.sum(axis=(1, 2), dtype=np.int64),
            np.concatenate([np.zeros(0, dtype=np.uint8), *bits]),
            np.cumsum([0, *map(len, bits)], dtype=np.int64),
            np.asarray(embedding, dtype=np.float32),
        )

    def __len__(self) -> int:
        return len(self.bbox)

    @property
    def frame(self) -> Frame:
        """Where the tile lies in the encoder's input, and its pixels in the embedding's cells."""
        return Frame(*self.shape)

    def slices(self, index: int) -> tuple[slice, slice]:
        """Give the bbox of one mask as (row, col) slices into an array that covers the window."""
        row_min, col_min, row_max, col_max = self.bbox[index].tolist()
        return slice(row_min, row_max), slice(col_min, col_max)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """One mask, cropped to its bbox: bool, True inside."""
        row_min, col_min, row_max, col_max = self.bbox[index].tolist()
        shape = row_max - row_min, col_max - col_min
        stored = self.bits[self.offsets[index] : self.offsets[index + 1]]
        return np.unpackbits(stored, count=shape[0] * shape[1]).reshape(shape).view(np.bool_)

    def clipped(self, region: NDArray[np.bool_]) -> TileMasks:
        """Take out of all masks what lies outside a region (H, W); boxes stay as they are."""
        if region.all():
            return self
        crops = [self.mask(index) & region[self.slices(index)] for index in range(len(self))]
        bits = [np.packbits(crop) for crop in crops]
        return replace(
            self,
            area=np.array([np.count_nonzero(crop) for crop in crops], dtype=np.int64),
            bits=np.concatenate([self.bits[:0], *bits]),
        )

    def to_dense(self) -> NDArray[np.bool_]:
        """All masks at the size of the window: (N, H, W) bool."""
        dense = np.zeros((len(self), *self.shape), dtype=np.bool_)
        for index in range(len(self)):
            dense[index][self.slices(index)] = self.mask(index)
        return dense


def _bbox(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows = np.flatnonzero(mask.any(axis=1))
    cols = np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1
