"""Differences of colours to the eye, also to eyes that lack a kind of cone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from numpy.typing import NDArray

    from alps_geo.clusters.colors import Color

SIGHTS = {
    "normal sight": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
"""Kinds of sight: the linear red, green and blue that look as a colour does to it.

Machado, Oliveira and Fernandes 2009, doi 10.1109/TVCG.2009.113, of severity 1.
"""

PLAIN = 8.0
"""Difference, in CIEDE2000, above which two colours are told apart on a map."""

_KNEE, _SLOPE = 0.04045, 12.92


def seen(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIELAB of colours, shape (n, 3), for each kind of sight: shape (3, n, 3)."""
    encoded = colors / 255
    linear = np.where(encoded <= _KNEE, encoded / _SLOPE, ((encoded + 0.055) / 1.055) ** 2.4)
    views = np.stack([np.clip(linear @ matrix.T, 0, 1) for matrix in SIGHTS.values()])
    low = views <= _KNEE / _SLOPE
    again = np.where(low, views * _SLOPE, 1.055 * np.maximum(views, 1e-9) ** (1 / 2.4) - 0.055)
    lab: NDArray[np.float64] = rgb2lab(again)
    return lab


def differences(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the differences of colours as `seen` gives them, in CIEDE2000, for each sight.

    Parameters
    ----------
    one, other : ndarray of float64, shape (3, ..., 3)
        Colours, of shapes that go together.
    """
    found: NDArray[np.float64] = deltaE_ciede2000(one, other)  # type: ignore[no-untyped-call]
    return found


def pair_differences(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the differences of all pairs of colours for each kind of sight: shape (3, n, n)."""
    views = seen(colors)
    return differences(views[:, :, None], views[:, None, :])


def is_apart(color: Color, others: NDArray[np.uint8]) -> bool:
    """Return True if a colour differs by `PLAIN` from others, shape (n, 3), for every sight."""
    one = seen(np.array([color], np.uint8))
    return bool((differences(one, seen(others)) >= PLAIN).all())


MOST_COMPARED = 512
"""Clusters up to which all pairs of colours are compared."""


@dataclass(frozen=True)
class Alike:
    """Two clusters whose colours are hard to tell apart.

    Attributes
    ----------
    clusters : (int, int)
        Their ids.
    sight : str
        Kind of sight to which they differ least, of `SIGHTS`.
    difference : float
        That difference, in CIEDE2000.
    """

    clusters: tuple[int, int]
    sight: str
    difference: float


def alike_colors(
    palette: Mapping[int, Color], names: Mapping[int, str], changed: Container[int] | None = None
) -> list[Alike]:
    """List clusters whose colours differ by less than `PLAIN`, the most alike first.

    Clusters of one name count as one class. Legends of more than `MOST_COMPARED` clusters, which
    no eye tells apart, are not looked at.

    Parameters
    ----------
    palette : mapping of int to Color
        Colours of all clusters.
    names : mapping of int to str
        Names of clusters that have one.
    changed : container of int, optional
        Clusters of which each pair has one at least; by default all.
    """
    if not 2 <= len(palette) <= MOST_COMPARED:
        return []
    ids, sights = list(palette), list(SIGHTS)
    views = seen(np.array(list(palette.values()), np.uint8))
    found = []
    for i, one in enumerate(ids[:-1]):
        apart = differences(views[:, i : i + 1], views[:, i + 1 :])
        for other, each in zip(ids[i + 1 :], apart.T, strict=True):
            same = one in names and names[one] == names.get(other)
            counts = changed is None or one in changed or other in changed
            if each.min() < PLAIN and not same and counts:
                found.append(Alike((one, other), sights[int(each.argmin())], float(each.min())))
    return sorted(found, key=lambda each: each.difference)
