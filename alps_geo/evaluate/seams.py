"""Seam excess: how much more often labels change where tiles meet than elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate.rasters import open_ids
from alps_geo.grid import TileGrid
from alps_geo.windows import extended, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.grid import Tile

# Axes of the counts of pairs of adjacent pixels, after that of the tiles.
_SIDEWAYS, _DOWNWARDS = 0, 1
_BORDER, _ELSEWHERE = 0, 1
_ALL, _DIFFERING = 0, 1


@dataclass(frozen=True)
class SeamExcess:
    """Visibility of the borders between tile cores in a raster of ids.

    Attributes
    ----------
    raster : str
        The file.
    tile_size, overlap : int
        The tile grid, in pixels.
    tiles : tuple of int
        Rows and columns of tiles.
    excess : float
        Ratio of the rates at which adjacent pixels differ across borders and elsewhere, minus one:
        0 for no seam, 1 for twice as likely. Infinite if pixels differ only across borders.
    standard_error : float or None
        Standard error of the excess; None if there are too few tiles to estimate it.
    border_pairs, elsewhere_pairs : int
        Pairs of adjacent pixels that were compared.
    border_rate, elsewhere_rate : float
        Share of the pairs that differ; elsewhere as sideways and downwards pairs are mixed across
        the borders.
    """

    raster: str
    tile_size: int
    overlap: int
    tiles: tuple[int, int]
    excess: float
    standard_error: float | None
    border_pairs: int
    elsewhere_pairs: int
    border_rate: float
    elsewhere_rate: float


def evaluate_seams(
    raster: str,
    tile_size: int,
    overlap: int,
    *,
    listen: Callable[[int, int], None] = lambda _done, _total: None,
) -> SeamExcess:
    """Measure the seam excess of labels or segments along the tile grid they were made with.

    Pairs of pixels without ids are left out; a pair of an id and none differs, since a gap along a
    border is a seam as well. Sideways pairs across borders are compared with sideways pairs
    elsewhere, and downward pairs with downward pairs, so that a scene with more changes in one
    direction shows no seam that isn't there.

    The standard error comes from a jackknife that leaves out one tile at a time, with its interior
    and its borders to the right and below (B. Efron, "The jackknife, the bootstrap and other
    resampling plans", 1982): neighbouring pairs are anything but independent, tiles nearly so.
    Memory depends on the tile size only.

    Parameters
    ----------
    raster : str
        Raster of cluster or segment ids, 0 for none.
    tile_size, overlap : int
        Tile grid of the raster, in pixels; cores meet at the middle of the overlap.
    listen : callable
        Called with the number of tiles that are done, and of all.

    Raises
    ------
    SceneError
        If the raster cannot be read, or has no id along any border.
    SettingsError
        If there is no such tile grid, or it has one tile only.
    """
    with open_ids(raster) as ids:
        grid = TileGrid(ids.height, ids.width, tile_size, overlap)
        if len(grid) == 1:
            raise SettingsError(
                f"tile size is {tile_size}, but {raster} has {ids.height} x {ids.width} pixels, "
                "so one tile holds it all and there is no border: give the tile size of the run"
            )
        counts = np.zeros((len(grid), 2, 2, 2), np.int64)
        for number, tile in enumerate(grid):
            counts[number] = _count_tile(ids, tile)
            listen(number + 1, len(grid))
    total = counts.sum(axis=0)
    pairs = total[..., _ALL].sum(axis=0)
    if not pairs[_BORDER]:
        raise SceneError(
            f"{raster}: has no id along any border of {tile_size} px tiles; "
            "expected a raster with ids where tiles meet: give labels.tif or segments.tif"
        )
    differing = float(total[:, _BORDER, _DIFFERING].sum())
    return SeamExcess(
        raster=raster,
        tile_size=tile_size,
        overlap=overlap,
        tiles=grid.shape,
        excess=float(_excess(total)),
        standard_error=_jackknife(counts),
        border_pairs=int(pairs[_BORDER]),
        elsewhere_pairs=int(pairs[_ELSEWHERE]),
        border_rate=differing / float(pairs[_BORDER]),
        elsewhere_rate=float(_expected(total) / pairs[_BORDER]),
    )


def _count_tile(ids: IdRaster, tile: Tile) -> NDArray[np.int64]:
    """Count the pairs of a tile by direction, position and outcome, shape (2, 2, 2)."""
    core = tile.core
    height, width = int(core.height), int(core.width)
    # One more row and column: the pixels across the borders below and to the right.
    pixels = ids.read(extended(core, 1, whole(ids.height, ids.width)))
    counts = np.zeros((2, 2, 2), np.int64)
    counts[_SIDEWAYS] = _count_pairs(pixels[:height], width)
    counts[_DOWNWARDS] = _count_pairs(pixels[:, :width].T, height)
    return counts


def _count_pairs(pixels: NDArray[np.uint32], width: int) -> NDArray[np.int64]:
    """Count pairs of columns; beyond the first `width` of them is another tile."""
    here, there = pixels[:, :-1], pixels[:, 1:]
    there_is_any = (here != 0) | (there != 0)
    differing = here != there
    inside, across = np.s_[:, : width - 1], np.s_[:, width - 1 :]
    counts = [
        [np.count_nonzero(pairs[part]) for pairs in (there_is_any, differing)]
        for part in (across, inside)
    ]
    return np.array(counts, np.int64)


def _expected(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how many border pairs would differ if borders were like everywhere else.

    `counts` is (..., 2, 2, 2): direction, position, outcome.
    """
    elsewhere = counts[..., _ELSEWHERE, :]
    rate = elsewhere[..., _DIFFERING] / np.maximum(elsewhere[..., _ALL], 1)
    expected: NDArray[np.float64] = (counts[..., _BORDER, _ALL] * rate).sum(axis=-1)
    return expected


def _excess(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the seam excess of counts (..., 2, 2, 2); NaN where it is 0 / 0."""
    differing = counts[..., _BORDER, _DIFFERING].sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess: NDArray[np.float64] = differing / _expected(counts) - 1
    return excess


def _jackknife(counts: NDArray[np.int64]) -> float | None:
    """Estimate the standard error by leaving out one tile at a time."""
    filled = counts[counts[..., _ALL].any(axis=(1, 2))]
    without = _excess(filled.sum(axis=0) - filled)
    tiles = len(filled)
    if tiles < 2 or not np.isfinite(without).all():
        return None
    return float(np.sqrt((tiles - 1) / tiles * ((without - without.mean()) ** 2).sum()))
