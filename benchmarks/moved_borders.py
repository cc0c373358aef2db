"""Borders of ids in two runs of a scene whose tiles differ, compared with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.grid import TileGrid

    Ids = NDArray[np.integer]


def excess_along_lines(
    one: Ids, other: Ids, grid: TileGrid, moved: TileGrid
) -> tuple[float, float]:
    """Compare lines where tiles meet in one of two rasters with the same lines of the other."""
    counts: list[tuple[int, int]] = []
    for axis in (0, 1):
        pair = [np.moveaxis(ids, axis, 0) for ids in (one, other)]
        lines = [
            {tile.core.toslices()[axis].start for tile in each} - {0} for each in (grid, moved)
        ]
        for meeting, line in [(i, line) for i in (0, 1) for line in lines[i] - lines[1 - i]]:
            differing = [int((ids[line] != ids[line - 1]).sum()) for ids in pair]
            counts.append((differing[meeting], differing[1 - meeting]))
    return _ratio_excess(np.array(counts))


def excess_in_overlaps(
    one: Ids, other: Ids, grid: TileGrid, moved: TileGrid
) -> tuple[float, float]:
    """Compare how many borders there are on pixels that several tiles see in one run only."""
    first, second = _tiles_over(grid) == 1, _tiles_over(moved) == 1
    before, after = _borders(one), _borders(other)
    several = np.where(first, 0, before) * second + np.where(second, 0, after) * first
    alone = np.where(second, 0, before) * first + np.where(first, 0, after) * second
    counts = [[part[tile.core.toslices()].sum() for part in (several, alone)] for tile in grid]
    return _ratio_excess(np.array(counts))


def _tiles_over(grid: TileGrid) -> NDArray[np.int64]:
    """Count the tiles that see each pixel."""
    count = np.zeros((grid.height, grid.width), dtype=np.int64)
    for tile in grid:
        count[tile.window.toslices()] += 1
    return count


def _borders(ids: Ids) -> NDArray[np.int64]:
    """Count for each pixel from how many of those below and on the right it differs."""
    count = np.zeros(ids.shape, dtype=np.int64)
    count[:-1] += ids[:-1] != ids[1:]
    count[:, :-1] += ids[:, :-1] != ids[:, 1:]
    return count


def _ratio_excess(counts: NDArray[np.integer]) -> tuple[float, float]:
    """Excess of the first of two columns over the second, and a jackknife over the rows."""
    here, there = counts.T
    without = (here.sum() - here) / (there.sum() - there)
    rows = len(counts)
    error = np.sqrt((rows - 1) / rows * ((without - without.mean()) ** 2).sum())
    return float(here.sum() / there.sum() - 1), float(error)
