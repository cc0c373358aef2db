"""Stratified random samples of pixels: shares of the strata, and pixels drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy.optimize import brentq

from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from rasterio.windows import Window

    Blocks: TypeAlias = Callable[[], Iterator[tuple[int, Window, NDArray[np.int64]]]]
    """Reader of a map: index of a scene, a window of it, and the stratum of each pixel in it.

    The stratum is -1 where a pixel has none. Blocks cover each pixel once, always in one order.
    """

Rule: TypeAlias = Literal["compromise", "proportional", "equal"]

FEWEST = 2
"""Points in a stratum at least, for a standard error."""

_MOST_FOR_RARE = 50
"""Points of a rare stratum that Olofsson et al. 2014 (section 5.1) advise, at least."""


@dataclass(frozen=True)
class Drawn:
    """Pixels that were drawn; the i-th of each array is one of them.

    Attributes
    ----------
    stratum, scene, row, col : ndarray of int64, shape (n,)
        Index of its stratum and of its scene, and its place in that scene.
    """

    stratum: NDArray[np.int64]
    scene: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]


def count_pixels(blocks: Blocks, scenes: int, strata: int) -> NDArray[np.int64]:
    """Count the pixels of each stratum in each scene, shape (scenes, strata)."""
    counts = np.zeros((scenes, strata), np.int64)
    for scene, _, block in blocks():
        counts[scene] += np.bincount(block[block >= 0], minlength=strata)
    return counts


def least_points(size: int, strata: int) -> int:
    """Return the points of each stratum at least, by default under the rule ``compromise``.

    Half of all points are for that, and no stratum needs more than 50.

    >>> least_points(400, 4), least_points(400, 24)
    (50, 8)
    """
    return max(FEWEST, min(_MOST_FOR_RARE, size // (2 * strata)))


def allocate(
    area: NDArray[np.float64], pixels: NDArray[np.int64], size: int, rule: Rule, minimum: int
) -> NDArray[np.int64]:
    """Share points out among strata, shape (s,).

    >>> area = np.array([0.02, 0.015, 0.32, 0.645])
    >>> allocate(area, np.full(4, 10**6), 641, "proportional", 2)
    array([ 13,  10, 205, 413])

    Parameters
    ----------
    area : ndarray of float64, shape (s,)
        Area of each stratum.
    pixels : ndarray of int64, shape (s,)
        Its pixels, above 0: the points that it can have.
    size : int
        Points of all strata; fewer are given where there are fewer pixels.
    rule : str
        ``proportional`` to the area, which makes for the best overall accuracy; ``equal``, for the
        best user's accuracies; or ``compromise``, proportional to the area where that gives
        `minimum` points or more, and `minimum` for all other strata.
    minimum : int
        Points of a stratum under the rule ``compromise``, at least; under the others it is 2.

    Raises
    ------
    SettingsError
        If there are fewer points than the strata need.
    """
    fewest = np.minimum(minimum if rule == "compromise" else FEWEST, pixels)
    if fewest.sum() > size:
        raise SettingsError(
            f"size is {size}, but {len(area)} strata with {int(fewest.max())} points each at "
            f"least take {int(fewest.sum())}: ask for more points, or for a lower minimum"
        )
    if size >= pixels.sum():
        return pixels.copy()
    weights = np.ones(len(area)) if rule == "equal" else area / area.sum()

    def shared(level: float) -> NDArray[np.float64]:
        return np.clip(level * weights, fewest, pixels)

    highest = float((pixels / weights).max())
    level = brentq(lambda level: shared(level).sum() - size, 0.0, highest, xtol=1e-9, rtol=1e-14)
    return _whole(shared(level), size)


def _whole(shares: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Round shares to whole numbers of one sum, by their largest remainders."""
    # Shares that are whole but for the last digits of the level have no remainder.
    shares = np.where(np.abs(shares - np.rint(shares)) < 1e-6, np.rint(shares), shares)
    whole = np.floor(shares).astype(np.int64)
    order = np.argsort(-(shares - whole), kind="stable")
    whole[order[: size - int(whole.sum())]] += 1
    return whole


def draw_pixels(
    blocks: Blocks, pixels: NDArray[np.int64], points: NDArray[np.int64], seed: int
) -> Drawn:
    """Draw pixels of each stratum, all of one stratum alike likely and none twice.

    They come in random order, so that the first of them are spread over all strata too.

    Parameters
    ----------
    blocks : callable
        Reader of the map.
    pixels : ndarray of int64, shape (s,)
        Pixels of each stratum.
    points : ndarray of int64, shape (s,)
        Points to draw of each, not more than its pixels.
    seed : int
        The same seed draws the same pixels of the same map.
    """
    ranks = [
        np.sort(np.random.default_rng([seed, i]).choice(int(count), int(wanted), replace=False))
        for i, (count, wanted) in enumerate(zip(pixels, points, strict=True))
    ]
    passed = np.zeros(len(pixels), np.int64)
    found: list[NDArray[np.int64]] = [np.empty((0, 4), np.int64)]
    for scene, window, block in blocks():
        counts = np.bincount(block[block >= 0], minlength=len(pixels))
        for i in np.flatnonzero(counts):
            first, last = np.searchsorted(ranks[i], (passed[i], passed[i] + counts[i]))
            if first < last:
                rows, cols = np.nonzero(block == i)
                at = ranks[i][first:last] - passed[i]
                row, col = rows[at] + window.row_off, cols[at] + window.col_off
                same = np.ones(len(at), np.int64)
                found.append(np.column_stack([i * same, scene * same, row, col]))
        passed += counts
    every = np.concatenate(found)
    order = np.random.default_rng([seed, len(pixels)]).permutation(len(every))
    return Drawn(*every[order].T)
