"""The tile grid of a scene: pure arithmetic on pixel ranges, no I/O.

Windows overlap so that every object narrower than the overlap is whole in at least one of them.
Cores are cut at the middle of each overlap, so that they cover every pixel exactly once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window

from alps_geo.errors import SettingsError
from alps_geo.windows import within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """One unit of work.

    Attributes
    ----------
    row, col : int
        Position in the grid.
    window : rasterio.windows.Window
        The pixels that are read, in scene pixels.
    core : rasterio.windows.Window
        The pixels inside `window` that this tile decides, in scene pixels.
    """

    row: int
    col: int
    window: Window
    core: Window

    @property
    def core_slices(self) -> tuple[slice, slice]:
        """The core as (row, col) slices into an array that covers `window`."""
        return within(self.core, self.window)


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a scene.

    Parameters
    ----------
    height, width : int
        Shape of the scene, in pixels.
    tile_size : int
        Height and width of a window, in pixels; windows are smaller only where the scene is.
    overlap : int
        Pixels that neighbouring windows share at least. There are as few windows as that allows,
        spread evenly from edge to edge of the scene, so most share more.
    offset : (int, int)
        Rows and columns by which windows are moved down and to the right. None is moved beyond the
        scene: the last one stays, and so does one at the first row or column.

    Raises
    ------
    SettingsError
        If a size is not positive, the overlap is negative or more than half a tile, or the offset
        is negative or not less than the distance between two windows.
    """

    height: int
    width: int
    tile_size: int
    overlap: int
    offset: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise SettingsError(f"a scene of {self.height} x {self.width} pixels has no pixel")
        if self.tile_size < 1:
            raise SettingsError(f"tile size is {self.tile_size}, expected 1 pixel or more")
        if not 0 <= self.overlap <= self.tile_size // 2:
            raise SettingsError(
                f"overlap is {self.overlap} pixels, expected 0 to {self.tile_size // 2}: "
                f"at most half of the tile size {self.tile_size}"
            )
        for axis, offset, step in zip(("rows", "columns"), self.offset, self.steps, strict=True):
            if not 0 <= offset < max(step, 1):
                raise SettingsError(
                    f"offset is {offset} {axis}, expected 0 to {max(step, 1) - 1}: "
                    "less than the distance between two windows"
                )

    @property
    def steps(self) -> tuple[int, int]:
        """Distance between the first two windows of an unmoved grid, in rows and columns.

        0 where there is one window only. Others are as far apart, or one pixel more.
        """
        rows, cols = (
            _starts(length, self.tile_size, self.overlap) for length in (self.height, self.width)
        )
        return (rows[1] if len(rows) > 1 else 0, cols[1] if len(cols) > 1 else 0)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tile rows and tile columns."""
        return len(self._rows), len(self._cols)

    def __len__(self) -> int:
        return len(self._rows) * len(self._cols)

    def __iter__(self) -> Iterator[Tile]:
        """All tiles, row by row."""
        rows, cols = self.shape
        return (self[row, col] for row, col in product(range(rows), range(cols)))

    def __getitem__(self, index: tuple[int, int]) -> Tile:
        row, col = index
        rows, cols = self._rows[row], self._cols[col]
        return Tile(
            row,
            col,
            Window.from_slices(rows.window, cols.window),
            Window.from_slices(rows.core, cols.core),
        )

    def index(self, tile: Tile) -> int:
        """Index of a tile in the order of iteration."""
        return tile.row * len(self._cols) + tile.col

    def after(self, tile: Tile) -> list[Tile]:
        """Return the neighbours to the right and below."""
        rows, cols = self.shape
        after = ((tile.row, tile.col + 1), (tile.row + 1, tile.col))
        return [self[row, col] for row, col in after if row < rows and col < cols]

    def owners(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """Find the tiles whose cores hold points.

        Parameters
        ----------
        points : ndarray of float, shape (n, 2)
            (row, col) in scene pixels; pixel (0, 0) reaches from 0 to 1.

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices in the order of iteration.
        """
        row, col = (
            np.searchsorted([span.core[1] for span in spans[:-1]], along, side="right")
            for spans, along in zip((self._rows, self._cols), points.T, strict=True)
        )
        return np.asarray(row * len(self._cols) + col, dtype=np.int64)

    def see_whole(
        self, tiles: NDArray[np.integer], boxes: NDArray[np.integer]
    ) -> NDArray[np.bool_]:
        """Check boxes against the windows of tiles: True if the window surely cuts nothing off.

        A box that touches the edge of a window may go on beyond it, except at the scene's edge.

        Parameters
        ----------
        tiles : ndarray of int, shape (n,)
            An index in the order of iteration for each box.
        boxes : ndarray of int, shape (n, 2, 2)
            First row and the one after the last, then columns, in scene pixels.
        """
        positions = np.divmod(tiles, len(self._cols))
        whole = np.ones(len(boxes), dtype=np.bool_)
        for spans, position, box in zip(
            (self._rows, self._cols), positions, boxes.transpose(1, 2, 0), strict=True
        ):
            start, stop = np.array([span.window for span in spans]).T
            whole &= (position == 0) | (start[position] < box[0])
            whole &= (position == len(spans) - 1) | (box[1] < stop[position])
        return whole

    def weights(self, tile: Tile) -> NDArray[np.float64]:
        """Weight of each pixel of a tile's window, shape of the window.

        Falls from 1 to 0 across each overlap, so that the values that several tiles have for one
        pixel blend without a seam: the weights of all tiles that see it add up to 1.
        """
        return np.outer(_ramp(self._rows, tile.row), _ramp(self._cols, tile.col))

    def around(self, tile: Tile) -> list[Tile]:
        """Return the tile, then all others whose windows reach into its core, row by row."""
        return self.seeing(tile.core)

    def seeing(self, window: Window) -> list[Tile]:
        """Return the tiles whose windows reach into a window of the scene, row by row.

        The one whose core holds the first pixel comes before all others.
        """
        first = np.array([[window.row_off, window.col_off]]) + 0.5
        owner = divmod(int(self.owners(first)[0]), len(self._cols))
        rows, cols = (
            _reaching(spans, (extent.start, extent.stop))
            for spans, extent in zip((self._rows, self._cols), window.toslices(), strict=True)
        )
        others = (position for position in product(rows, cols) if position != owner)
        return [self[owner], *(self[position] for position in others)]

    @cached_property
    def _rows(self) -> tuple[_Span, ...]:
        return _spans(self.height, self.tile_size, self.overlap, self.offset[0])

    @cached_property
    def _cols(self) -> tuple[_Span, ...]:
        return _spans(self.width, self.tile_size, self.overlap, self.offset[1])


@dataclass(frozen=True)
class _Span:
    """One tile along one axis; both ranges half-open."""

    window: tuple[int, int]
    core: tuple[int, int]


def _ramp(spans: tuple[_Span, ...], position: int) -> NDArray[np.float64]:
    """Weights of one tile along one axis: its share in the tents of all tiles that see a pixel."""
    centres = np.arange(*spans[position].window, dtype=np.float64) + np.float64(0.5)
    nearby = _reaching(spans, spans[position].window)
    tents = {other: _tent(spans, other, centres) for other in nearby}
    return np.asarray(tents[position] / sum(tents.values()))


def _tent(
    spans: tuple[_Span, ...], position: int, centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance to the nearest edge of a window that is not an edge of the scene; 0 outside."""
    start, stop = spans[position].window
    far = np.full_like(centres, stop - start)
    before = centres - start if position > 0 else far
    after = stop - centres if position + 1 < len(spans) else far
    return np.clip(np.minimum(before, after), 0, None)


def _reaching(spans: tuple[_Span, ...], extent: tuple[int, int]) -> range:
    """Tiles along one axis whose windows share a pixel with some half-open extent."""
    return range(
        bisect_right(spans, extent[0], key=lambda span: span.window[1]),
        bisect_left(spans, extent[1], key=lambda span: span.window[0]),
    )


def _starts(length: int, tile_size: int, overlap: int) -> list[int]:
    """First pixel of each window along one axis of an unmoved grid."""
    last = length - min(tile_size, length)
    steps = -(-last // (tile_size - overlap))
    return [last * step // max(steps, 1) for step in range(steps + 1)]


def _spans(length: int, tile_size: int, overlap: int, offset: int) -> tuple[_Span, ...]:
    starts = _starts(length, tile_size, overlap)
    if offset:
        inner = (start + offset for start in starts[:-1])
        starts = [0, *(start for start in inner if start < starts[-1]), starts[-1]]
    windows = [(start, start + min(tile_size, length)) for start in starts]
    midlines = [(after[0] + before[1]) // 2 for before, after in pairwise(windows)]
    edges = [0, *midlines, length]
    return tuple(_Span(window, core) for window, core in zip(windows, pairwise(edges), strict=True))
