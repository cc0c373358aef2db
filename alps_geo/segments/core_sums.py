"""Sums over the pixels of the segments in the core of a tile.

Each pixel counts once, in however many tiles it lies: its images are the scene's. Only embeddings
come from tiles. Where several tiles see a pixel, their embeddings blend, by weights that add up to
1. So segments are described as if the scene were one image, whichever tile their outlines come
from.

Where tiles know the mean embedding of whole masks, as of the published recipe, each pixel brings
that of the mask that owns it, and the `sam` embedding is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import intersection

from alps_geo.features.embeddings import embedding_sums
from alps_geo.features.images import CorePixels
from alps_geo.features.sums import MASKS, WEIGHT, RegionSums, pixel_sums
from alps_geo.windows import buffered, within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.features.columns import ColumnSchema
    from alps_geo.features.embeddings import CellSize, Embeddings
    from alps_geo.features.images import BandScale
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.scene import TilePixels
    from alps_geo.segments.paint import PaintedCore

    NamedSums = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Source:
    """Loaders of a scene's embeddings and pixels.

    Attributes
    ----------
    embeddings : callable
        Loads those of a tile. It is called several times for each, block by block.
    read : callable
        Reads the pixels of a window.
    scale : BandScale
        Level and spread of the scene's bands.
    views : TileGrid
        The tiles that have embeddings: those of the segments, or others.
    cell_size : CellSize
        Size of the cells of the `sam` embedding.
    """

    embeddings: Callable[[Tile], Embeddings]
    read: Callable[[Window], TilePixels]
    scale: BandScale
    views: TileGrid
    cell_size: CellSize


@dataclass(frozen=True)
class SegmentSums:
    """Sums of some segments, with their ids.

    Attributes
    ----------
    ids : ndarray of uint32, shape (n,)
        The segments.
    sums : RegionSums
        One row for each.
    """

    ids: NDArray[np.uint32]
    sums: RegionSums


def core_sums(
    tile: Tile, painted: PaintedCore, source: Source, schema: ColumnSchema
) -> SegmentSums:
    """Sum over the pixels of the segments in the painted core of a tile."""
    core = _CoreSegments.of(tile, painted)
    if not len(core):
        return SegmentSums(core.ids, schema.no_segments())
    named = _image_sums(core, source, schema) | _described(core, painted, source, schema)
    named[MASKS] = core.summed(painted.scores * painted.pixels[:, None])
    return SegmentSums(core.ids, RegionSums(core.summed(painted.pixels[:, None])[:, 0], named))


@dataclass(frozen=True)
class _CoreSegments:
    """The k segments that have pixels in a tile's core.

    Attributes
    ----------
    tile : Tile
        The tile.
    ids : ndarray of uint32, shape (k,)
        Their ids.
    row_of : ndarray of int64, shape (n + 1,)
        Row of the segment of each fragment of `PaintedCore`, 1..k; 0 for none.
    rows : ndarray of int64, shape of the core
        Row of the segment of each pixel; 0 for none.
    """

    tile: Tile
    ids: NDArray[np.uint32]
    row_of: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, tile: Tile, painted: PaintedCore) -> _CoreSegments:
        # The first of them is 0.
        known, row_of = np.unique(painted.ids, return_inverse=True)
        return cls(tile, known[1:], row_of, row_of[painted.number])

    def __len__(self) -> int:
        return len(self.ids)

    def summed(self, values: NDArray[np.number]) -> NDArray[np.float64]:
        """Add up values (n, D) of the fragments of each segment, shape (k, D)."""
        sums = np.zeros((len(self) + 1, values.shape[1]))
        np.add.at(sums, self.row_of[1:], values)
        return sums[1:]


def _image_sums(core: _CoreSegments, source: Source, schema: ColumnSchema) -> NamedSums:
    """Sum the images of the schema over a core."""
    # As far as the tile has been read before.
    window = buffered(core.tile.core, schema.reach, core.tile.window)
    pixels = CorePixels(source.read(window), window, core.tile.core, source.scale)
    return {
        each.name: pixel_sums(core.rows, len(core), each.images(pixels))
        for each in schema.pixel_sums
    }


def _described(
    core: _CoreSegments, painted: PaintedCore, source: Source, schema: ColumnSchema
) -> NamedSums:
    """Sum weights and embeddings over a core's pixels, from means of whole masks where known."""
    if not painted.means.shape[1] or "sam" not in schema.embeddings:
        return _embedding_sums(core, source, schema.embeddings)
    area = core.summed(painted.pixels[:, None])
    others = _embedding_sums(core, source, tuple(e for e in schema.embeddings if e != "sam"))
    weight = others.get(WEIGHT, area)
    # Divided by the weight, the sum is the mean of the segment's masks.
    sums = core.summed(painted.means * painted.pixels[:, None]) * weight / area
    return {**others, WEIGHT: weight, "sam": sums}


def _embedding_sums(core: _CoreSegments, source: Source, names: Sequence[str]) -> NamedSums:
    """Sum weights and embeddings over a core's pixels, of all tiles that see them."""
    if not names:
        return {}
    count, area = len(core), core.tile.core
    weight = np.zeros((count, 1))
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for view in source.views.seeing(area):
        embeddings = source.embeddings(view)
        if not embeddings.sam.size:
            continue
        shared = intersection(area, view.window)
        there = within(shared, view.window)
        part = core.rows[within(shared, area)]
        weights = source.views.weights(view)
        weight += pixel_sums(part, count, weights[None, *there])
        for name, sums in found.items():
            cells: NDArray[np.floating] = getattr(embeddings, name)
            cell_size = _cell_size(name, cells, source, weights.shape)
            sums.append(embedding_sums(part, count, cells, cell_size, weights, there))
    nothing = np.zeros((count, 0))
    total = {name: np.sum(sums, axis=0) if sums else nothing for name, sums in found.items()}
    return {WEIGHT: weight, **total}


def _cell_size(
    name: str, cells: NDArray[np.floating], source: Source, shape: tuple[int, ...]
) -> tuple[float, float]:
    """Height and width of an embedding's cell, in pixels of a tile of this shape."""
    height, width = shape
    if name == "sam":
        return source.cell_size((height, width))
    return height / cells.shape[1], width / cells.shape[2]
