"""Sums over the pixels of the segments of a scene, to describe them by.

Blocks of tiles are summed on their own; segments that lie in several are put together.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import rasterio

from alps_geo.features.mapping import HERE
from alps_geo.features.sums import BANDS, MASKS, SQUARES, RegionSums
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.segments.blocks import tile_blocks
from alps_geo.segments.core_sums import SegmentSums, core_sums
from alps_geo.segments.kept_tiles import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.columns import Columns, ColumnSchema
    from alps_geo.features.mapping import Mapper
    from alps_geo.grid import TileGrid
    from alps_geo.segments.blocks import TileBlock
    from alps_geo.segments.core_sums import Source
    from alps_geo.segments.painting import Painting
    from alps_geo.segments.stitch import Stitched

Value = TypeVar("Value")


@dataclass(frozen=True)
class SegmentRows:
    """Columns of some segments, with their ids and the sums that attributes are made of.

    Attributes
    ----------
    ids : ndarray of uint32, shape (n,)
        The segments.
    columns : Columns
        One row for each; values are float32.
    sums : RegionSums
        `BANDS`, `SQUARES` and `MASKS` of each.
    """

    ids: NDArray[np.uint32]
    columns: Columns
    sums: RegionSums

    @classmethod
    def of(cls, schema: ColumnSchema, found: SegmentSums) -> SegmentRows:
        """Describe segments by their sums."""
        columns = schema.columns(found.sums)
        named = {name: found.sums.named[name] for name in (BANDS, SQUARES, MASKS)}
        return cls(
            found.ids,
            replace(columns, values=columns.values.astype(np.float32)),
            RegionSums(found.sums.area, named),
        )


def sum_segments(
    grid: TileGrid,
    segments: Stitched,
    source: Source,
    schema: ColumnSchema,
) -> Iterator[SegmentSums]:
    """Sum over the pixels of each segment.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    segments : Stitched
        The segments.
    source : Source
        The scene's embeddings and pixels.
    schema : ColumnSchema
        Decides which sums there are.

    Yields
    ------
    SegmentSums
        The segments that end in a block of tiles, each once.

    Raises
    ------
    RunError
        If the painting of the segments cannot be read.
    """
    return _pooled(grid, segments, _Pooling(segments.painting, source, schema, _as_they_are), HERE)


def segment_rows(
    grid: TileGrid,
    segments: Stitched,
    source: Source,
    schema: ColumnSchema,
    mapper: Mapper = HERE,
) -> Generator[SegmentRows, None, None]:
    """Sum over the pixels of each segment, and describe it by its columns.

    Only segments that go on in a block to come are held, so memory follows the strips along the
    edges of blocks and not the scene.

    Parameters
    ----------
    grid, segments, source, schema
        As for `sum_segments`; `source` and the painting have to pickle if `mapper` maps in other
        processes.
    mapper : Mapper
        Maps the sums over blocks of tiles.

    Yields
    ------
    SegmentRows
        The segments that end in a block of tiles, each once. Closing the generator ends all work.

    Raises
    ------
    RunError
        If the painting of the segments cannot be read.
    """
    finish = partial(SegmentRows.of, schema)
    return _pooled(grid, segments, _Pooling(segments.painting, source, schema, finish), mapper)


def _as_they_are(found: SegmentSums) -> SegmentSums:
    return found


@dataclass(frozen=True)
class _Pooling(Generic[Value]):
    """The sums of a block of tiles; any process can be given it.

    Attributes
    ----------
    painting : Painting
        Pixels of the segments.
    source, schema
        As for `sum_segments`.
    finish : callable
        Turns the sums of segments into the values to yield.
    """

    painting: Painting
    source: Source
    schema: ColumnSchema
    finish: Callable[[SegmentSums], Value]

    def prepare(
        self, grid: TileGrid, in_one: _InOne
    ) -> Callable[[TileBlock], tuple[list[Value], _Parts]]:
        """Return the function that sums a block.

        It returns finished segments, which lie in the block alone, and parts of the others.
        """

        def summed(block: TileBlock) -> tuple[list[Value], _Parts]:
            finished: list[Value] = []
            parts: list[_Parts] = []
            cores = zip(block.tiles, self.painting.cores(block), strict=True)
            views = self.source.views.seeing
            expect(self.source.embeddings, (each for t in block.tiles for each in views(t.core)))
            with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
                for tile, core in cores:
                    found = core_sums(tile, core, self.source, self.schema)
                    part = _Parts.of(grid.index(tile), found)
                    # Most segments are finished at once, so that few sums are held.
                    parts.append(self._finish(part, in_one.tile, finished))
            rest = self._finish(_Parts.together(parts), in_one.block, finished)
            return finished, rest

        return summed

    def _finish(self, parts: _Parts, whole: NDArray[np.bool_], finished: list[Value]) -> _Parts:
        """Finish those that are whole of all segments (n,), and return the parts of the others."""
        inside = whole[parts.ids.astype(np.int64) - 1]
        if inside.any():
            finished.append(self.finish(parts.take(inside).added_up()))
        return parts.take(~inside)


@dataclass(frozen=True)
class _InOne:
    """True for each segment (n,) that lies in one tile alone, or in one block alone."""

    tile: NDArray[np.bool_]
    block: NDArray[np.bool_]

    @classmethod
    def of(cls, segments: Stitched) -> _InOne:
        """Compare the first and the last tile and block of each."""
        return cls(
            segments.first_tile == segments.last_tile,
            segments.first_block == segments.last_block,
        )


@dataclass(frozen=True)
class _Parts:
    """Sums of the parts of segments in cores; one segment has a row for each of its tiles.

    Attributes
    ----------
    ids : ndarray of uint32, shape (n,)
        Segment of each row.
    tiles : ndarray of int64, shape (n,)
        Index of the tile of each row.
    sums : RegionSums
        The rows.
    """

    ids: NDArray[np.uint32]
    tiles: NDArray[np.int64]
    sums: RegionSums

    @classmethod
    def of(cls, index: int, found: SegmentSums) -> _Parts:
        """Return the sums of the core of the tile of an index."""
        return cls(found.ids, np.full(len(found.ids), index), found.sums)

    @classmethod
    def together(cls, parts: Sequence[_Parts]) -> _Parts:
        """Put the rows of at least one below each other."""
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.tiles for part in parts]),
            RegionSums.concatenate([part.sums for part in parts]),
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> _Parts:
        """Return some rows."""
        return _Parts(self.ids[rows], self.tiles[rows], self.sums.take(rows))

    def added_up(self) -> SegmentSums:
        """Add up the rows of each segment, by ascending id.

        In the order of the tiles, whatever blocks they come from: sums of floats depend on it.
        """
        ordered = self.take(np.argsort(self.tiles, kind="stable"))
        ids, row = np.unique(ordered.ids, return_inverse=True)
        return SegmentSums(ids, ordered.sums.grouped(row + 1, len(ids)))


def _pooled(
    grid: TileGrid, segments: Stitched, pooling: _Pooling[Value], mapper: Mapper
) -> Generator[Value, None, None]:
    """Sum block by block; segments of several blocks are held until the last of them."""
    blocks = tile_blocks(grid)
    nothing = pooling.schema.no_segments()
    held = _Parts(np.empty(0, np.uint32), np.empty(0, np.int64), nothing)
    prepare = partial(pooling.prepare, grid, _InOne.of(segments))
    with closing(mapper.map(prepare, blocks)) as found:
        for block, (finished, parts) in zip(blocks, found, strict=True):
            # Nothing is held that has been handed on.
            while finished:
                yield finished.pop(0)
            held = _Parts.together([held, parts])
            ended = segments.last_block[held.ids.astype(np.int64) - 1] == block.index
            if ended.any():
                yield pooling.finish(held.take(ended).added_up())
                held = held.take(~ended)
