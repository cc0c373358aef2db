"""Accuracy and areas of a map, estimated from a stratified random sample of its pixels.

Where strata are the classes of the map these are the estimators of Olofsson et al. 2014 (doi
10.1016/j.rse.2014.02.015); where they are others, such as clusters of which several are one class,
those of Stehman 2014 (doi 10.1080/01431161.2014.930207), which include the former.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from alps_geo.errors import SceneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Confidence of all intervals."""

_DEVIATIONS = float(norm.ppf((1 + CONFIDENCE) / 2))


@dataclass(frozen=True)
class Strata:
    """Strata that a sample was drawn from.

    Attributes
    ----------
    names : tuple of str
        Their names.
    pixels : ndarray of int64, shape (s,)
        Pixels of each.
    area : ndarray of float64, shape (s,)
        Area of each, in any unit.
    """

    names: tuple[str, ...]
    pixels: NDArray[np.int64]
    area: NDArray[np.float64]


@dataclass(frozen=True)
class CheckedPoints:
    """Points of a sample whose class on the ground is known.

    Attributes
    ----------
    stratum : ndarray of int64, shape (n,)
        Index of the stratum that each was drawn from.
    mapped, reference : ndarray of int64, shape (n,)
        Index of its class in the map and on the ground.
    pixel_area : ndarray of float64, shape (n,)
        Area of its pixel, in the unit of the strata's area.
    """

    stratum: NDArray[np.int64]
    mapped: NDArray[np.int64]
    reference: NDArray[np.int64]
    pixel_area: NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """An estimate and its standard error; NaN where a sample says nothing of it."""

    value: float
    error: float

    @property
    def margin(self) -> float:
        """Half of the interval of `CONFIDENCE`."""
        return _DEVIATIONS * self.error

    def interval(self, highest: float) -> tuple[float, float]:
        """Return both ends of the interval, inside 0 and the highest possible value."""
        low, high = self.value - self.margin, self.value + self.margin
        return float(np.clip(low, 0, highest)), float(np.clip(high, 0, highest))


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a map.

    Attributes
    ----------
    classes : tuple of str
        The k classes, of map and ground alike.
    counts : ndarray of int64, shape (k, k)
        Points by their class in the map (rows) and on the ground (columns).
    proportions : ndarray of float64, shape (k, k)
        Estimated shares of the area, likewise.
    overall : Estimate
        Share of the area that the map has right.
    users : tuple of Estimate
        For each class the share of its area in the map that is that class on the ground.
    producers : tuple of Estimate
        For each class the share of its area on the ground that the map shows as that class.
    areas : tuple of Estimate
        Area of each class on the ground, free of the bias of the map.
    total : float
        Area of all strata.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    proportions: NDArray[np.float64]
    overall: Estimate
    users: tuple[Estimate, ...]
    producers: tuple[Estimate, ...]
    areas: tuple[Estimate, ...]
    total: float


def estimate_accuracy(points: CheckedPoints, strata: Strata, classes: Sequence[str]) -> Accuracy:
    """Estimate accuracy and areas of a map from a stratified random sample.

    Standard errors have the finite population correction, so that a stratum of which all pixels
    were checked adds none. Where pixels of a stratum differ in area, as in scenes of different
    resolutions, their means are weighted by it.

    Parameters
    ----------
    points : CheckedPoints
        The sample.
    strata : Strata
        Its strata.
    classes : sequence of str
        The classes that `points` count by.

    Raises
    ------
    SceneError
        If a stratum has fewer than two points, and more pixels than points.
    """
    _check_strata(points, strata)
    mapped, known = points.mapped, points.reference
    right, count = mapped == known, len(classes)
    shares = np.zeros((count, count))
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (mapped, known), 1)
    total = float(strata.area.sum())
    for i, j in np.argwhere(counts):
        shares[i, j] = _total(points, strata, (mapped == i) & (known == j)).value / total
    overall = _total(points, strata, right)
    return Accuracy(
        tuple(classes),
        counts,
        shares,
        Estimate(overall.value / total, overall.error / total),
        tuple(_ratio(points, strata, right & (mapped == i), mapped == i) for i in range(count)),
        tuple(_ratio(points, strata, right & (known == i), known == i) for i in range(count)),
        tuple(_total(points, strata, known == i) for i in range(count)),
        total,
    )


def _check_strata(points: CheckedPoints, strata: Strata) -> None:
    """Raise SceneError if a stratum has too few points for an estimate."""
    count = np.bincount(points.stratum, minlength=len(strata.names))
    short = np.flatnonzero((count < 2) & (count < strata.pixels))
    if len(short):
        first = short[0]
        others = f" (and {len(short) - 1} more strata too)" if len(short) > 1 else ""
        points_of = "no checked point" if count[first] == 0 else "one checked point"
        raise SceneError(
            f"the stratum {strata.names[first]} has {points_of}{others}, expected two at least "
            "in each: fill in the reference of more points, or draw a sample of more points"
        )


def _total(
    points: CheckedPoints, strata: Strata, values: NDArray[np.float64 | np.bool_]
) -> Estimate:
    """Estimate the area over which values, shape (n,), add up, each over its pixel."""
    length, stratum, weights = len(strata.names), points.stratum, points.pixel_area
    n = np.bincount(stratum, minlength=length)
    summed = np.maximum(np.bincount(stratum, weights, length), np.finfo(float).tiny)
    means = np.bincount(stratum, weights * values, length) / summed
    away = weights * (values - means[stratum]) / (summed / np.maximum(n, 1))[stratum]
    spread = np.bincount(stratum, away**2, length) / np.maximum(n - 1, 1)
    unseen = 1 - n / strata.pixels
    variance = (strata.area**2 * unseen * spread / np.maximum(n, 1)).sum()
    return Estimate(float(strata.area @ means), float(np.sqrt(max(variance, 0.0))))


def _ratio(
    points: CheckedPoints, strata: Strata, part: NDArray[np.bool_], whole: NDArray[np.bool_]
) -> Estimate:
    """Estimate the share that a part has of the area of a whole."""
    area = _total(points, strata, whole).value
    if area == 0:
        return Estimate(float("nan"), float("nan"))
    share = _total(points, strata, part).value / area
    rest = _total(points, strata, part - share * whole.astype(float))
    return Estimate(share, rest.error / area)
