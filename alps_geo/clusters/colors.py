"""Colours of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import colorcet
import numpy as np
from scipy.spatial import KDTree
from skimage.color import rgb2lab

if TYPE_CHECKING:
    from numpy.typing import NDArray

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255 each."""

_DARKEST, _LIGHTEST = 24, 232
PALEST = 190
"""Lowest part of a colour that is too near the pale grey of unlabelled pixels."""

_STEPS = 1 / 1.2207440846057596 ** np.arange(1, 4)
"""Powers of the root of x^4 = x + 1: the steps of the R3 sequence along three axes."""

_CHOSEN, _CANDIDATES = 768, 4096


def default_colors(count: int) -> NDArray[np.uint8]:
    """Colours that are easy to tell apart, shape (count, 3): Glasbey's sequence as in colorcet.

    Glasbey et al. 2007, doi 10.1002/col.20327, grown from the ten colours of D3's category10. After
    the 256 of the sequence its own rule goes on, each colour as far as possible from all before,
    and after 1024 colours from all over the cube of red, green and blue. No colour comes twice.
    """
    glasbey: NDArray[np.uint8] = np.rint(255 * np.array(colorcet.glasbey_category10)).astype(
        np.uint8
    )
    if count <= len(glasbey):
        return glasbey[:count]
    spread = _spread_colors(2 * count + _CANDIDATES)
    chosen = _farthest(glasbey, spread[:_CANDIDATES])
    colors = np.concatenate([glasbey, chosen, spread])
    _, first = np.unique(_codes(colors), return_index=True)
    return colors[np.sort(first)[:count]]


def _spread_colors(count: int) -> NDArray[np.uint8]:
    """Spread up to so many colours evenly over the cube of red, green and blue, without pale ones.

    The R3 sequence of Roberts 2018, "The unreasonable effectiveness of quasirandom sequences": each
    point falls between those before it.
    """
    points = (0.5 + np.arange(1, count + 1)[:, None] * _STEPS) % 1
    colors: NDArray[np.uint8] = np.rint(_DARKEST + points * (_LIGHTEST - _DARKEST)).astype(np.uint8)
    return np.compress(colors.min(axis=1) < PALEST, colors, axis=0)


def _farthest(known: NDArray[np.uint8], candidates: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Choose candidates one by one, each the farthest in CIELAB from all known and chosen ones."""
    lab, known_lab = (rgb2lab(each[None])[0] for each in (candidates, known))
    distance, _ = KDTree(known_lab).query(lab)
    chosen = np.empty(_CHOSEN, dtype=np.int64)
    for i in range(_CHOSEN):
        chosen[i] = distance.argmax()
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[i]], axis=1))
    return candidates[chosen]


def unused_colors(used: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Take the next default colours that are not among the used ones, shape (count, 3)."""
    candidates = default_colors(len(used) + count)
    fresh = ~np.isin(_codes(candidates), _codes(used))
    return candidates[fresh][:count]


def hex_color(color: Color) -> str:
    """Return a colour in hexadecimal digits, as in CSS: #1f77b4."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _codes(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Encode each colour, shape (n, 3), as one number, shape (n,)."""
    return np.asarray(colors.astype(np.int64) @ np.array([65536, 256, 1]))
