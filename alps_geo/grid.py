"""The tile grid of a scene: pure arithmetic on pixel ranges, no I/O.

Windows overlap so that every object narrower than the overlap is whole in at least one of them.
Cores are cut at the middle of each overlap, so that they cover every pixel exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING

from rasterio.windows import Window

from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        top = self.core.row_off - self.window.row_off
        left = self.core.col_off - self.window.col_off
        return slice(top, top + self.core.height), slice(left, left + self.core.width)


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
        Pixels that neighbouring windows share at least; the last window of a row or column is
        moved back into the scene, so it may share more.

    Raises
    ------
    SettingsError
        If a size is not positive, or the overlap is negative or more than half a tile.
    """

    height: int
    width: int
    tile_size: int
    overlap: int

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

    @cached_property
    def _rows(self) -> tuple[_Span, ...]:
        return _spans(self.height, self.tile_size, self.overlap)

    @cached_property
    def _cols(self) -> tuple[_Span, ...]:
        return _spans(self.width, self.tile_size, self.overlap)


@dataclass(frozen=True)
class _Span:
    """One tile along one axis; both ranges half-open."""

    window: tuple[int, int]
    core: tuple[int, int]


def _spans(length: int, tile_size: int, overlap: int) -> tuple[_Span, ...]:
    size = min(tile_size, length)
    last = length - size
    starts = [*range(0, last, tile_size - overlap), last]
    windows = [(start, start + size) for start in starts]
    midlines = [(after[0] + before[1]) // 2 for before, after in pairwise(windows)]
    edges = [0, *midlines, length]
    return tuple(_Span(window, core) for window, core in zip(windows, pairwise(edges), strict=True))
