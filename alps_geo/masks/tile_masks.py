"""The masks of one tile, stored as bits inside their boxes; needs neither torch nor a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class TileMasks:
    """Masks of one tile; they may overlap.

    Attributes
    ----------
    shape : (int, int)
        Height and width of the tile's window, in pixels.
    bbox : (N, 4) int32
        (row_min, col_min, row_max, col_max) in window pixels, half-open; the mask lies inside.
    predicted_iou : (N,) float32
        The generator's own estimate of the mask's IoU with the object.
    stability_score : (N,) float32
        IoU of the mask with itself under a shifted threshold.
    area : (N,) int64
        Pixels inside the mask.
    bits : (B,) uint8
        The masks one after the other, each cropped to its bbox, row by row, packed eight pixels to
        a byte as `numpy.packbits` does, and starting on a new byte.
    offsets : (N + 1,) int64
        Mask i is stored in ``bits[offsets[i]:offsets[i + 1]]``.
    """

    shape: tuple[int, int]
    bbox: NDArray[np.int32]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    area: NDArray[np.int64]
    bits: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        shape: tuple[int, int],
        bbox: ArrayLike,
        bits: Sequence[NDArray[np.uint8]],
        predicted_iou: ArrayLike,
        stability_score: ArrayLike,
    ) -> TileMasks:
        """Collect masks of a window of this shape.

        Parameters
        ----------
        shape, bbox, predicted_iou, stability_score
            As the attributes.
        bits : sequence of (B,) uint8
            `numpy.packbits` of each mask inside its bbox.

        Examples
        --------
        >>> corner = np.ones((2, 3), dtype=bool)
        >>> masks = TileMasks.of((8, 8), [[0, 0, 2, 3]], [np.packbits(corner)], [0.9], [0.8])
        >>> len(masks), int(masks.area[0])
        (1, 6)
        """
        return cls(
            shape,
            np.asarray(bbox, dtype=np.int32).reshape(-1, 4),
            np.asarray(predicted_iou, dtype=np.float32),
            np.asarray(stability_score, dtype=np.float32),
            np.array([np.unpackbits(each).sum() for each in bits], dtype=np.int64),
            np.concatenate([np.zeros(0, dtype=np.uint8), *bits]),
            np.cumsum([0, *map(len, bits)], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.bbox)

    def slices(self, index: int) -> tuple[slice, slice]:
        """Bbox of one mask as (row, col) slices into an array that covers the window."""
        row_min, col_min, row_max, col_max = self.bbox[index].tolist()
        return slice(row_min, row_max), slice(col_min, col_max)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """One mask, cropped to its bbox: bool, True inside."""
        row_min, col_min, row_max, col_max = self.bbox[index].tolist()
        shape = row_max - row_min, col_max - col_min
        stored = self.bits[self.offsets[index] : self.offsets[index + 1]]
        return np.unpackbits(stored, count=shape[0] * shape[1]).reshape(shape).view(np.bool_)

    def take(self, chosen: NDArray[np.integer]) -> TileMasks:
        """Choose masks by their indices, in that order."""
        bits = [self.bits[self.offsets[index] : self.offsets[index + 1]] for index in chosen]
        return TileMasks.of(
            self.shape,
            self.bbox[chosen],
            bits,
            self.predicted_iou[chosen],
            self.stability_score[chosen],
        )

    def within(self, shape: tuple[int, int], corner: tuple[int, int]) -> TileMasks:
        """Move masks into a window of this shape that holds their own at a (row, col)."""
        return replace(self, shape=shape, bbox=self.bbox + np.array(corner * 2, dtype=np.int32))

    @classmethod
    def concatenate(cls, parts: Sequence[TileMasks]) -> TileMasks:
        """Collect all masks of one or more that are of the same shape."""
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(
            parts[0].shape,
            np.concatenate([part.bbox for part in parts]),
            np.concatenate([part.predicted_iou for part in parts]),
            np.concatenate([part.stability_score for part in parts]),
            np.concatenate([part.area for part in parts]),
            np.concatenate([part.bits for part in parts]),
            np.append(0, np.cumsum(counts)).astype(np.int64),
        )

    def clipped(self, region: NDArray[np.bool_]) -> TileMasks:
        """Intersect all masks with a region (H, W); boxes stay as they are."""
        if region.all():
            return self
        crops = [self.mask(index) & region[self.slices(index)] for index in range(len(self))]
        bits = [np.packbits(crop) for crop in crops]
        return replace(
            self,
            area=np.array([np.count_nonzero(crop) for crop in crops], dtype=np.int64),
            bits=np.concatenate([self.bits[:0], *bits]),
        )

    def painted(self, chosen: NDArray[np.integer]) -> NDArray[np.int32]:
        """Paint masks into one image, small ones over large ones.

        Parameters
        ----------
        chosen : ndarray of int
            Indices of those to paint; of two of equal area the later owns the pixels that they
            share.

        Returns
        -------
        ndarray of int32, shape (H, W)
            Mask that owns the pixel, from 1; 0 for none.
        """
        owner = np.zeros(self.shape, dtype=np.int32)
        for index in chosen[np.argsort(-self.area[chosen], kind="stable")].tolist():
            owner[self.slices(index)][self.mask(index)] = index + 1
        return owner
