"""Estimates against the worked examples of the papers that they are from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alps_geo.classes.accuracy import (
    Accuracy,
    CheckedPoints,
    Estimate,
    Strata,
    estimate_accuracy,
)
from alps_geo.errors import SceneError

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASSES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
# Olofsson et al. 2014, table 8: rows are the map, columns the reference.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = 0.09


def olofsson(counts: np.ndarray = COUNTS) -> Accuracy:
    mapped, reference = np.repeat(np.argwhere(counts >= 0), counts.ravel(), axis=0).T
    points = CheckedPoints(mapped, mapped, reference, np.full(len(mapped), HECTARES))
    return estimate_accuracy(points, Strata(CLASSES, PIXELS, PIXELS * HECTARES), CLASSES)


def values(estimates: Sequence[Estimate]) -> list[float]:
    return [each.value for each in estimates]


def margins(estimates: Sequence[Estimate]) -> list[float]:
    return [each.margin for each in estimates]


def test_the_worked_example_of_olofsson() -> None:
    """Section 5.2 and table 9 of the paper.

    It prints 0.23 and 0.01 where its equation 7 gives 0.25 and 0.02, for the producer's accuracy
    of forest gain and of stable non-forest.
    """
    found = olofsson()
    np.testing.assert_array_equal(found.counts, COUNTS)
    shares = [
        [0.0176, 0, 0.0013, 0.0011],
        [0, 0.0110, 0.0016, 0.0024],
        [0.0019, 0, 0.2967, 0.0213],
        [0.0040, 0.0020, 0.0179, 0.6212],
    ]
    np.testing.assert_allclose(found.proportions, shares, atol=5.1e-5)
    assert found.overall.value == pytest.approx(0.947, abs=5e-4)
    assert found.overall.margin == pytest.approx(0.018, abs=1e-3)
    for estimates, paper, half in (
        (found.users, (0.88, 0.73, 0.93, 0.96), (0.07, 0.10, 0.04, 0.02)),
        (found.producers, (0.75, 0.85, 0.93, 0.96), (0.21, 0.25, 0.03, 0.02)),
    ):
        np.testing.assert_allclose(values(estimates), paper, atol=5.1e-3)
        np.testing.assert_allclose(margins(estimates), half, atol=5.1e-3)
    np.testing.assert_allclose(values(found.areas), [21158, 11686, 285770, 581386], atol=1)
    # The paper leaves out the correction for finite populations, and rounds.
    np.testing.assert_allclose(margins(found.areas), [6158, 3756, 15510, 16282], atol=3)
    assert found.total == pytest.approx(900_000)


def letters(text: str) -> np.ndarray:
    return np.array(["ABCD".index(letter) for letter in text])


def test_the_worked_example_of_stehman() -> None:
    """Strata that are not the classes: pages 4931 to 4936 of the paper."""
    points = CheckedPoints(
        stratum=letters("A" * 10 + "B" * 10 + "C" * 10 + "D" * 10),
        mapped=letters("AAAAAAABBB" + "A" + "B" * 9 + "BBCCCCCCBB" + "D" * 10),
        reference=letters("AAAAACBABC" + "ABBBBBAABB" + "CCCCCDDBBA" + "DDDDDDDCCB"),
        pixel_area=np.ones(40),
    )
    pixels = np.array([40_000, 30_000, 20_000, 10_000])
    found = estimate_accuracy(points, Strata(tuple("ABCD"), pixels, pixels * 1.0), "ABCD")
    area_a, area_c = found.areas[0], found.areas[2]
    assert (area_a.value / found.total, area_c.value / found.total) == pytest.approx((0.35, 0.20))
    errors = area_a.error / found.total, area_c.error / found.total
    assert errors == pytest.approx((0.082, 0.064), abs=5e-4)
    overall = found.overall
    assert (overall.value, overall.error) == pytest.approx((0.63, 0.085), abs=5e-4)
    assert found.users[1].value == pytest.approx(0.574, abs=5e-4)
    assert found.producers[1].value == pytest.approx(0.794, abs=5e-4)
    assert found.proportions[1, 2] == pytest.approx(0.08)
    assert found.users[1].error == pytest.approx(0.125, abs=5e-4)
    assert found.producers[1].error == pytest.approx(0.117, abs=5e-4)


def test_a_stratum_that_was_checked_whole_adds_no_error() -> None:
    points = CheckedPoints(np.zeros(4, int), np.zeros(4, int), np.array([0, 1, 0, 0]), np.ones(4))
    found = estimate_accuracy(points, Strata(("a",), np.array([4]), np.array([4.0])), "ab")
    assert (found.overall.value, found.overall.error) == (0.75, 0)


def test_pixels_of_other_sizes_count_by_their_area() -> None:
    """Ten large pixels that are wrong, and ten small ones that are right."""
    large = np.repeat([9.0, 1.0], 10)
    reference = np.repeat([1, 0], 10)
    points = CheckedPoints(np.zeros(20, int), np.zeros(20, int), reference, large)
    found = estimate_accuracy(points, Strata(("a",), np.array([10**6]), np.array([5e6])), "ab")
    assert found.overall.value == pytest.approx(0.1)
    assert found.areas[1].value == pytest.approx(4.5e6)
    assert found.proportions.sum() == pytest.approx(1)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """The area of a class in 1000 samples of 60 from three strata, 95 % intervals."""
    rng = np.random.default_rng(0)
    truth = [rng.random(2000) < share for share in (0.2, 0.5, 0.9)]
    stratum = np.repeat([0, 1, 2], 20)
    pixels = np.full(3, 2000)
    strata, area = Strata(tuple("abc"), pixels, pixels * 1.0), sum(each.sum() for each in truth)
    covered = 0
    for _ in range(1000):
        seen = np.concatenate([rng.choice(each, 20, replace=False) for each in truth]).astype(int)
        points = CheckedPoints(stratum, np.ones(60, int), seen, np.ones(60))
        low, high = estimate_accuracy(points, strata, "xy").areas[1].interval(6000)
        covered += low <= area <= high
    assert 925 <= covered <= 970


def test_a_class_without_points_has_no_accuracy() -> None:
    counts = COUNTS.copy()
    counts[:, 1] = 0
    found = olofsson(counts)
    assert np.isnan(found.producers[1].value)
    assert found.areas[1].value == 0


@pytest.mark.parametrize(("row", "words"), [([0, 0, 0, 0], "no"), ([0, 1, 0, 0], "one")])
def test_a_stratum_needs_two_points(row: list[int], words: str) -> None:
    counts = COUNTS.copy()
    counts[1] = row
    with pytest.raises(SceneError, match=f"stratum forest gain has {words} checked point, "):
        olofsson(counts)
