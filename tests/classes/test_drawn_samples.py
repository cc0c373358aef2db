"""Allocation of points to strata, and pixels drawn from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from alps_geo.classes.sampling import allocate, count_pixels, draw_pixels
from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.classes.sampling import Blocks, Rule

SHARES, MANY = np.array([0.020, 0.015, 0.320, 0.645]), np.full(4, 10**6)


@pytest.mark.parametrize(
    ("rule", "minimum", "expected"),
    [
        # Olofsson et al. 2014, table 5.
        ("proportional", 2, [13, 10, 205, 413]),
        ("equal", 2, [161, 160, 160, 160]),
        ("compromise", 75, [75, 75, 163, 328]),
    ],
)
def test_points_are_shared_out(rule: Rule, minimum: int, expected: list[int]) -> None:
    assert allocate(SHARES, MANY, 641, rule, minimum).tolist() == expected


def test_a_stratum_gets_no_more_points_than_it_has_pixels() -> None:
    found = allocate(SHARES, np.array([5, 10**6, 10**6, 10**6]), 300, "compromise", 50)
    assert found.tolist() == [5, 50, 81, 164]
    assert allocate(SHARES, np.array([3, 1, 4, 1]), 300, "equal", 2).tolist() == [3, 1, 4, 1]


def test_too_few_points_are_told() -> None:
    with pytest.raises(SettingsError, match=r"size is 100, but 4 strata with 50 .* take 200"):
        allocate(SHARES, MANY, 100, "compromise", 50)


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=40),
    st.integers(80, 3000),
    st.sampled_from(["compromise", "proportional", "equal"]),
)
def test_all_points_are_given_out(pixels: list[int], size: int, rule: Rule) -> None:
    available = np.array(pixels)
    found = allocate(available * 2.5, available, size, rule, 2)
    assert found.sum() == min(size, available.sum())
    assert (found <= available).all()
    assert (found >= np.minimum(2, available)).all()


def two_scenes(side: int) -> Blocks:
    """Read a map of three strata, of which the last is rare, in blocks of a side."""
    rng = np.random.default_rng(5)
    scenes = [rng.choice(4, (40, 30), p=[0.3, 0.5, 0.19, 0.01]) - 1 for _ in range(2)]

    def blocks() -> Iterator[tuple[int, Window, np.ndarray]]:
        for number, scene in enumerate(scenes):
            for row in range(0, 40, side):
                for col in range(0, 30, side):
                    part = scene[row : row + side, col : col + side]
                    yield number, Window(col, row, part.shape[1], part.shape[0]), part

    return blocks


def test_points_lie_in_their_strata() -> None:
    blocks = two_scenes(16)
    pixels = count_pixels(blocks, 2, 3).sum(axis=0)
    wanted = np.array([50, 20, pixels[2]])
    drawn = draw_pixels(blocks, pixels, wanted, seed=3)
    whole = {number: block for number, _, block in two_scenes(40)()}
    found = [whole[s][r, c] for s, r, c in zip(drawn.scene, drawn.row, drawn.col, strict=True)]
    np.testing.assert_array_equal(found, drawn.stratum)
    assert np.bincount(drawn.stratum).tolist() == wanted.tolist()
    places = set(zip(drawn.scene.tolist(), drawn.row.tolist(), drawn.col.tolist(), strict=True))
    assert len(places) == wanted.sum()
    # The strata are mixed, so that the first points are a sample too.
    assert len(set(drawn.stratum[:20].tolist())) > 1
    again = draw_pixels(blocks, pixels, wanted, seed=3)
    np.testing.assert_array_equal(again.row, drawn.row)
    other = draw_pixels(blocks, pixels, wanted, seed=4)
    assert not np.array_equal(other.row, drawn.row)


def test_all_pixels_of_a_stratum_are_alike_likely() -> None:
    blocks = two_scenes(16)
    pixels = count_pixels(blocks, 2, 3).sum(axis=0)
    hits = np.zeros((2, 40, 30))
    for seed in range(400):
        drawn = draw_pixels(blocks, pixels, np.array([100, 0, 0]), seed)
        np.add.at(hits, (drawn.scene, drawn.row, drawn.col), 1)
    inside = hits[np.stack([block for _, _, block in two_scenes(40)()]) == 0]
    expected = 400 * 100 / pixels[0]
    # Chi squared of a uniform draw, within four standard deviations.
    chi = ((inside - expected) ** 2 / expected).sum()
    assert abs(chi - len(inside)) < 4 * np.sqrt(2 * len(inside))
