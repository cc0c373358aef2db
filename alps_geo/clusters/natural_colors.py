"""Colours of clusters after their look in the image, and apart to every eye.

A cluster's colour begins at its mean colour in the image, without the haze of the image, over the
whole range of lightness and more vivid. Then it takes the nearest colour that differs from those of
all other clusters by `alps_geo.clusters.sight.PLAIN`, for every kind of sight.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from skimage.color import rgb2lab

from alps_geo.clusters.colors import PALEST, unused_colors
from alps_geo.clusters.sight import PLAIN, differences, seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Gaps = Callable[[int], NDArray[np.float64]]

MOST_NATURAL = 256
"""Clusters that have natural colours; further ones have any that are not taken."""

PLAINLY_APART = 32
"""Clusters that always find colours `PLAIN` apart; of more, the nearest are nearer."""

_LIGHTNESS, _MOST_CONTRAST = (22.0, 88.0), 3.0
_CHROMA, _MOST_VIVID = 40.0, 2.5
"""Chroma of the more colourful quarter of clusters, and the most that chroma is raised by."""

_LEVELS = np.linspace(20, 240, 15)
_CROWDING, _STEP = 0.75, 0.85
_NONE = np.empty((0, 3), np.uint8)
_ROUNDS, _MOST_MOVED = 6, 64


def natural_colors(
    looks: NDArray[np.float64], taken: NDArray[np.uint8] = _NONE
) -> NDArray[np.uint8]:
    """Choose colours that look as clusters do, and that can be told apart, shape (k, 3).

    Colours of up to `PLAINLY_APART` clusters differ by `PLAIN` in CIEDE2000 or more, for normal
    sight, protanopia and deuteranopia alike. The same looks give the same colours.

    Parameters
    ----------
    looks : ndarray of float64, shape (k, 3)
        Mean red, green and blue of each cluster in the image, 0 to 255, the most important cluster
        first; NaN where a cluster has none.
    taken : ndarray of uint8, shape (m, 3)
        Colours of other clusters, that these are to differ from too.
    """
    if not len(looks):
        return _NONE
    natural = _nearest(_targets(np.nan_to_num(looks[:MOST_NATURAL], nan=127.5)), taken)
    used = np.concatenate([natural, taken])
    return np.concatenate([natural, unused_colors(used, len(looks) - len(natural))])


def near_colors(wishes: NDArray[np.uint8], taken: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Choose colours near to wishes that can be told apart from each other and those taken.

    They differ as those of `natural_colors`, or less if those taken leave no such room. Of more
    than `MOST_NATURAL` colours together they are any that are not taken.

    Parameters
    ----------
    wishes : ndarray of uint8, shape (k, 3)
        The colours to come near to, the most important first.
    taken : ndarray of uint8, shape (m, 3)
        Colours of others.

    Returns
    -------
    ndarray of uint8, shape (k, 3)
        The colours.
    """
    if not len(wishes):
        return _NONE
    if len(wishes) + len(taken) > MOST_NATURAL:
        return unused_colors(taken, len(wishes))
    return _nearest(seen(wishes)[0], taken)


def _nearest(targets: NDArray[np.float64], taken: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Choose the colours nearest to targets in CIELAB, shape (k, 3), that are apart from all."""
    colors, views = _candidates()
    distances = np.stack([_misses(views, target) for target in targets])
    gaps = cache(partial(_gaps, views))
    free = np.full(len(colors), np.inf)
    for each in seen(taken).swapaxes(0, 1):
        free = np.minimum(free, differences(views, each[:, None]).min(axis=0))
    apart = PLAIN * min(1.0, (PLAINLY_APART / (len(targets) + len(taken))) ** _CROWDING)
    while (chosen := _pick(misses := _where(free >= apart, distances), gaps, apart)) is None:
        packed = _packed(free >= apart, gaps, apart)
        if len(packed) >= len(targets):
            chosen = _exchanged(misses, packed)
            break
        apart *= _STEP
    for _ in range(_ROUNDS if len(targets) <= _MOST_MOVED else 0):
        moved = _moved(misses, gaps, _exchanged(misses, chosen), apart)
        if np.array_equal(moved, chosen):
            break
        chosen = moved
    found: NDArray[np.uint8] = colors[chosen]
    return found


def _targets(looks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the colours to come near to, in CIELAB: clear, of all lightnesses, and vivid."""
    # Haze adds the same light, mostly blue, to everything; it shows in the darkest cluster.
    haze = looks.min(axis=0) - looks.min()
    lab: NDArray[np.float64] = rgb2lab(((looks - haze) / np.maximum(255 - haze, 1))[None])[0]
    dark, light = float(lab[:, 0].min()), float(lab[:, 0].max())
    lowest, highest = _LIGHTNESS
    contrast = min(_MOST_CONTRAST, (highest - lowest) / max(light - dark, 1e-6))
    half = contrast * (light - dark) / 2
    middle = np.clip((dark + light) / 2, lowest + half, highest - half)
    lab[:, 0] = middle + contrast * (lab[:, 0] - (dark + light) / 2)
    colorful = float(np.percentile(np.hypot(lab[:, 1], lab[:, 2]), 75))
    lab[:, 1:] *= np.clip(_CHROMA / max(colorful, 1e-6), 1, _MOST_VIVID)
    return lab


@cache
def _candidates() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the colours to choose from, none too pale, and how they are seen."""
    levels = np.rint(_LEVELS).astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    colors = colors[colors.min(axis=1) < PALEST]
    return colors, seen(colors)


def _gaps(views: NDArray[np.float64], chosen: int) -> NDArray[np.float64]:
    """Return the difference of each candidate to a chosen one, by the sight to which it is least.

    Shape (c,).
    """
    smallest: NDArray[np.float64] = differences(views, views[:, chosen : chosen + 1]).min(axis=0)
    return smallest


def _misses(views: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances of candidates to a target in CIELAB, shape (c,)."""
    return np.asarray(np.linalg.norm(views[0] - target, axis=-1))


def _where(allowed: NDArray[np.bool_], misses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances of candidates to targets, infinite for candidates that are not allowed."""
    return np.where(allowed, misses, np.inf)


def _pick(misses: NDArray[np.float64], gaps: Gaps, apart: float) -> NDArray[np.int64] | None:
    """Give each target the nearest candidate that is apart from all before; None if one has none.

    Parameters
    ----------
    misses : ndarray of float64, shape (k, c)
        Distances of candidates to targets.
    gaps : callable
        Differences of all candidates, shape (c,), to one of them.
    apart : float
        Least difference of two colours.
    """
    gap = np.full(misses.shape[1], np.inf)
    chosen = []
    for miss in misses:
        allowed = _where(gap >= apart, miss)
        nearest = int(allowed.argmin())
        if not np.isfinite(allowed[nearest]):
            return None
        chosen.append(nearest)
        gap = np.minimum(gap, gaps(nearest))
    return np.array(chosen)


def _packed(allowed: NDArray[np.bool_], gaps: Gaps, apart: float) -> NDArray[np.int64]:
    """Choose candidates that are apart, whatever the targets: the first that is, again and again.

    In the order of the lattice they lie closer together than where targets begin.
    """
    left, chosen = allowed.copy(), []
    while left.any():
        chosen.append(int(left.argmax()))
        left &= gaps(chosen[-1]) >= apart
    return np.array(chosen, dtype=np.int64)


def _exchanged(misses: NDArray[np.float64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give chosen colours, one or more for each target, so that all together come nearest."""
    given: NDArray[np.int64] = chosen[linear_sum_assignment(misses[:, chosen] ** 2)[1]]
    return given


def _moved(
    misses: NDArray[np.float64], gaps: Gaps, chosen: NDArray[np.int64], apart: float
) -> NDArray[np.int64]:
    """Move each colour in turn to the candidate nearest to its target that the others leave."""
    moved = chosen.copy()
    gap = np.stack([gaps(each) for each in chosen.tolist()])
    for i, miss in enumerate(misses):
        gap[i] = np.inf
        moved[i] = _where(gap.min(axis=0) >= apart, miss).argmin()
        gap[i] = gaps(int(moved[i]))
    return moved
