"""Views: parts of a tile that the mask generator is shown on their own, and so larger.

The masks of all views are taken for masks of the tile, but for those that a border of the view
cuts and those that another view has found too. The embeddings of views are blended with that of
the whole tile. One view is held at a time, or as many as the model encodes together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window

from alps_geo.features.blending import EmbeddingMean, PartEmbedding
from alps_geo.masks.duplicates import without_duplicates
from alps_geo.masks.generator import check_tile
from alps_geo.masks.tile_masks import TileMasks
from alps_geo.windows import origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from alps_geo.masks.generator import MaskGenerator, MaskModel, TileImage

OVERLAP_SHARE = 8
"""Neighbouring views share their size, divided by this."""

MARGIN_SHARE = 64
"""A mask is taken to be cut this near to a border inside the tile: the size, divided by this."""


@dataclass(frozen=True)
class View:
    """A part of a tile.

    Attributes
    ----------
    rows, cols : slice
        The part, in pixels of the tile's window.
    inner_rows, inner_cols : (bool, bool)
        True for the first and the last border that lie inside the tile.
    size : int
        The size that was asked for, in pixels.
    """

    rows: slice
    cols: slice
    inner_rows: tuple[bool, bool]
    inner_cols: tuple[bool, bool]
    size: int

    def image(self, tile: TileImage) -> TileImage:
        """Cut the part out of the picture of the tile."""
        rows, cols = self.rows, self.cols
        row, col = origin(tile.window)
        return replace(
            tile,
            pixels=np.ascontiguousarray(tile.pixels[rows, cols]),
            valid=np.ascontiguousarray(tile.valid[rows, cols]),
            window=Window(
                col + cols.start, row + rows.start, cols.stop - cols.start, rows.stop - rows.start
            ),
        )

    def moved(self, masks: TileMasks, shape: tuple[int, int]) -> TileMasks:
        """Move the masks that no border inside the tile cuts into a tile of this shape."""
        margin = self.size // MARGIN_SHARE
        is_cut = np.zeros(len(masks), dtype=np.bool_)
        for axis, inner in enumerate((self.inner_rows, self.inner_cols)):
            distances = masks.bbox[:, axis], masks.shape[axis] - masks.bbox[:, axis + 2]
            for distance, is_inner in zip(distances, inner, strict=True):
                is_cut |= is_inner & (distance <= margin)
        corner = self.rows.start, self.cols.start
        return masks.take(np.flatnonzero(~is_cut)).within(shape, corner)

    def part(
        self, embedding: NDArray[np.floating], cell_size: tuple[float, float]
    ) -> PartEmbedding:
        """Embedding of the part, whose weight rises over the overlap with its neighbours."""
        overlap = self.size // OVERLAP_SHARE
        above, below = (overlap * inner for inner in self.inner_rows)
        left, right = (overlap * inner for inner in self.inner_cols)
        feathers = (above, below), (left, right)
        return PartEmbedding(embedding, cell_size, self.rows, self.cols, feathers)


def cut_views(shape: tuple[int, int], size: int) -> list[View]:
    """Cut a tile of this shape into views, which cover it.

    Along each axis there are as few views as possible of at most nine eighths of the size, all of
    the same length and at even distances; neighbours share an eighth of the size at least. There
    is none where one would be the whole tile.

    >>> [(view.rows.start, view.rows.stop) for view in cut_views((1024, 300), 512)]
    [(0, 544), (480, 1024)]
    """
    spans = [_spans(length, size) for length in shape]
    if max(map(len, spans)) == 1:
        return []
    return [
        View(
            rows,
            cols,
            (rows.start > 0, rows.stop < shape[0]),
            (cols.start > 0, cols.stop < shape[1]),
            size,
        )
        for rows, cols in product(*spans)
    ]


def _spans(length: int, size: int) -> list[slice]:
    """Spans of the views along one axis."""
    overlap = size // OVERLAP_SHARE
    count = max(1, -(-(length - overlap) // size))
    side = -(-(length + (count - 1) * overlap) // count)
    gaps = max(1, count - 1)
    starts = ((length - side) * index // gaps for index in range(count))
    return [slice(start, start + side) for start in starts]


@dataclass(frozen=True, eq=False)
class Looker:
    """A mask generator that is shown parts of tiles.

    Attributes
    ----------
    generator : MaskGenerator
        The unloaded generator.
    model : MaskModel
        The loaded generator.
    sizes : tuple of int
        Sizes of the views, in pixels, falling.
    """

    generator: MaskGenerator
    model: MaskModel
    sizes: tuple[int, ...]

    def add_views(
        self,
        tile: TileImage,
        masks: TileMasks,
        embedding: NDArray[np.float32],
        points: Callable[[slice, slice], NDArray[np.float64] | None],
    ) -> tuple[TileMasks, NDArray[np.float32]]:
        """Add the masks and embeddings of views to those of a whole tile.

        Parameters
        ----------
        tile : TileImage
            The picture of the tile.
        masks : TileMasks
            Its masks.
        embedding : ndarray of float32, shape (C, h, w)
            Its embedding.
        points : callable
            Finds the prompts of the part in some rows and columns of the tile, as
            `alps_geo.masks.generator.MaskModel.masks` takes them.

        Returns
        -------
        masks : TileMasks
            Masks of the tile and of all views, best first and each once.
        embedding : ndarray of float32, shape (C, h, w)
            Mean of the tile's embedding and of that of each size of views.

        Raises
        ------
        ModelError
            If the generator breaks its contract.
        MemoryError
            If memory does not suffice.
        """
        found = [masks]
        shape = masks.shape
        cell_size = self.generator.cell_size(shape)
        total, count = embedding.astype(np.float64), np.ones(embedding.shape[1:])
        for size in self.sizes:
            mean = EmbeddingMean.of_none(embedding.shape, cell_size)
            for view, image, encoded in self._encoded(tile, size):
                of_view, cells = (
                    self.model.masks(image, encoded, points(view.rows, view.cols)),
                    self.model.embedding(image, encoded),
                )
                check_tile(self.generator, image, of_view, cells)
                found.append(view.moved(of_view, shape))
                mean = mean.plus(view.part(cells, self.generator.cell_size(of_view.shape)))
            total, count = total + mean.values(), count + mean.covered
        view_of = np.repeat(np.arange(len(found)), list(map(len, found)))
        together = TileMasks.concatenate(found)
        kept = without_duplicates(together, view_of)
        return together.take(kept), (total / count).astype(np.float32)

    def _encoded(self, tile: TileImage, size: int) -> Iterator[tuple[View, TileImage, Any]]:
        """Encode the views of a size that hold data."""
        views = [
            view
            for view in cut_views(tile.valid.shape[:2], size)
            if tile.valid[view.rows, view.cols].any()
        ]
        at_once = self.model.images_at_once
        for start in range(0, len(views), at_once):
            group = views[start : start + at_once]
            images = [view.image(tile) for view in group]
            yield from zip(group, images, self.model.encode(images), strict=True)
