"""Extents of groups of fragments: all cores are painted, and the pixels of each group measured.

Blocks of tiles are painted and measured on their own, and put together along their edges. All
figures are whole numbers, so the blocks decide none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.segments.blocks import tile_blocks
from alps_geo.segments.borders import Borders
from alps_geo.segments.kept_tiles import expect
from alps_geo.segments.paint import paint_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper
    from alps_geo.grid import TileGrid
    from alps_geo.segments.blocks import TileBlock
    from alps_geo.segments.matching import Joined, JoinedPart
    from alps_geo.segments.paint import Load, PaintedCore
    from alps_geo.segments.painting import Painting

    Groups = NDArray[np.uint32]


@dataclass(frozen=True)
class Extents:
    """Area, tiles and borders of each group in `Joined`; row i is group i + 1.

    Attributes
    ----------
    area : ndarray of int64, shape (n,)
        Pixels.
    claimed : ndarray of bool, shape (n,)
        True unless all of them come from unclaimed fragments.
    first_tile, last_tile, first_block, last_block : ndarray of int32, shape (n,)
        See `alps_geo.segments.stitch.Stitched`.
    borders : Borders
        Their borders.
    valid_pixels : int
        See `alps_geo.segments.stitch.Segments`.
    """

    area: NDArray[np.int64]
    claimed: NDArray[np.bool_]
    first_tile: NDArray[np.int32]
    last_tile: NDArray[np.int32]
    first_block: NDArray[np.int32]
    last_block: NDArray[np.int32]
    borders: Borders
    valid_pixels: int


def paint_all(
    grid: TileGrid, joined: Joined, load: Load, painting: Painting, mapper: Mapper
) -> Extents:
    """Paint all cores, and measure the pixels of each group.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    joined : Joined
        Groups and ranks of all fragments.
    load : callable
        Loads the outlines of a tile.
    painting : Painting
        Where to write the cores.
    mapper : Mapper
        Maps the painting over blocks of tiles.

    Raises
    ------
    RunError
        If the painting cannot be written.
    """
    blocks = tile_blocks(grid)
    items = ((block, joined.part(_around(grid, block))) for block in blocks)
    area = np.zeros(joined.count + 1, dtype=np.int64)
    claimed = np.zeros(joined.count + 1, dtype=np.bool_)
    last_tile, last_block = np.zeros((2, joined.count + 1), dtype=np.int32)
    first_tile, first_block = np.full((2, joined.count + 1), len(grid), dtype=np.int32)
    borders = [Borders.none()]
    # The groups right above a block, 0 beyond the scene, and to the left of it.
    above, left = np.zeros(grid.width, dtype=np.uint32), np.zeros(0, dtype=np.uint32)
    valid_pixels = 0
    found = mapper.map(partial(_painter, grid, load, painting), items)
    for block, part in zip(blocks, found, strict=True):
        valid_pixels += part.valid_pixels
        area[part.groups] += part.area
        claimed[part.groups[part.claimed]] = True
        first_tile[part.groups] = np.minimum(first_tile[part.groups], part.first_tile)
        last_tile[part.groups] = np.maximum(last_tile[part.groups], part.last_tile)
        first_block[part.groups] = np.minimum(first_block[part.groups], block.index)
        last_block[part.groups] = block.index
        cols = block.window.toslices()[1]
        borders += [part.borders, Borders.across(above[cols], part.edges.top)]
        if cols.start > 0:
            borders.append(Borders.across(left, part.edges.left))
        above[cols], left = part.edges.bottom, part.edges.right
    return Extents(
        area[1:],
        claimed[1:],
        first_tile[1:],
        last_tile[1:],
        first_block[1:],
        last_block[1:],
        Borders.together(borders),
        valid_pixels,
    )


def _around(grid: TileGrid, block: TileBlock) -> set[int]:
    """Return the indices of the tiles whose windows reach into the cores of a block."""
    return {grid.index(other) for tile in block.tiles for other in grid.around(tile)}


@dataclass(frozen=True)
class _Edges:
    """Groups of the pixels along the edges of a block."""

    top: Groups
    bottom: Groups
    left: Groups
    right: Groups

    @classmethod
    def none(cls, block: TileBlock) -> _Edges:
        """Return edges of a block without groups."""
        window = block.window
        along = window.width, window.width, window.height, window.height
        return cls(*(np.zeros(length, dtype=np.uint32) for length in along))


@dataclass(frozen=True)
class _BlockExtents:
    """As `Extents`, of the groups in a block.

    Attributes
    ----------
    groups : ndarray of uint32, shape (k,)
        The groups of the rows.
    edges : _Edges
        Groups along its edges.
    """

    groups: Groups
    area: NDArray[np.int64]
    claimed: NDArray[np.bool_]
    first_tile: NDArray[np.int32]
    last_tile: NDArray[np.int32]
    borders: Borders
    edges: _Edges
    valid_pixels: int


def _painter(
    grid: TileGrid, load: Load, painting: Painting
) -> Callable[[tuple[TileBlock, JoinedPart]], _BlockExtents]:
    """Return the painting of a block, with groups and ranks of the fragments around its tiles."""

    def painted(item: tuple[TileBlock, JoinedPart]) -> _BlockExtents:
        block, joined = item
        expect(load, (each for tile in block.tiles for each in grid.around(tile)))
        measure = _BlockMeasure(grid, block)
        cores = (paint_core(grid, tile, joined, load) for tile in block.tiles)
        painting.write(block, measure.measured(cores))
        return measure.extents(sum(load(tile).valid_pixels for tile in block.tiles))

    return painted


class _BlockMeasure:
    """Measures the cores of a block as they come."""

    def __init__(self, grid: TileGrid, block: TileBlock) -> None:
        self._grid, self._block = grid, block
        self._cores: list[tuple[int, Groups, NDArray[np.int64], NDArray[np.bool_]]] = []
        self._borders = [Borders.none()]
        self._edges = _Edges.none(block)

    def measured(self, cores: Iterator[PaintedCore]) -> Iterator[PaintedCore]:
        """Measure each core, and hand it on."""
        # The groups right above a core, 0 beyond the block, and to the left of it.
        above, left = np.zeros(self._block.window.width, np.uint32), np.zeros(0, np.uint32)
        for tile, core in zip(self._block.tiles, cores, strict=True):
            index = self._grid.index(tile)
            self._cores.append((index, core.ids[1:], core.pixels, core.claimed))
            rows, cols = self._block.core_of(tile)
            block = core.ids[core.number]
            self._borders += [Borders.between(block), Borders.across(above[cols], block[0])]
            if cols.start > 0:
                self._borders.append(Borders.across(left, block[:, 0]))
            above[cols], left = block[-1], block[:, -1]
            self._note_edges(rows, cols, block)
            yield core

    def _note_edges(self, rows: slice, cols: slice, block: Groups) -> None:
        edges, window = self._edges, self._block.window
        if rows.start == 0:
            edges.top[cols] = block[0]
        if rows.stop == window.height:
            edges.bottom[cols] = block[-1]
        if cols.start == 0:
            edges.left[rows] = block[:, 0]
        if cols.stop == window.width:
            edges.right[rows] = block[:, -1]

    def extents(self, valid_pixels: int) -> _BlockExtents:
        """Return the extents of all cores together."""
        every, row = np.unique(
            np.concatenate([groups for _, groups, _, _ in self._cores]), return_inverse=True
        )
        area = np.zeros(len(every), dtype=np.int64)
        np.add.at(area, row, np.concatenate([pixels for _, _, pixels, _ in self._cores]))
        claimed = np.zeros(len(every), dtype=np.bool_)
        claimed[row[np.concatenate([claimed for _, _, _, claimed in self._cores])]] = True
        last_tile = np.zeros(len(every), dtype=np.int32)
        first_tile = np.full(len(every), len(self._grid), dtype=np.int32)
        tiles = [np.full(len(groups), index) for index, groups, _, _ in self._cores]
        np.maximum.at(last_tile, row, np.concatenate(tiles).astype(np.int32))
        np.minimum.at(first_tile, row, np.concatenate(tiles).astype(np.int32))
        borders = Borders.together(self._borders)
        return _BlockExtents(
            every, area, claimed, first_tile, last_tile, borders, self._edges, valid_pixels
        )
