"""Natural colours, measured by other libraries than those that choose them."""

from __future__ import annotations

from colorsys import rgb_to_hsv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from color_differences import differences, lab_of
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000

from alps_geo.clusters.named_colors import USUAL, usual_color
from alps_geo.clusters.natural_colors import MOST_NATURAL, PLAINLY_APART, natural_colors
from alps_geo.clusters.sight import PLAIN, SIGHTS, alike_colors, seen

if TYPE_CHECKING:
    from numpy.typing import NDArray


def least(colors: NDArray[np.uint8]) -> dict[str, float]:
    """Smallest difference of two colours for each kind of sight."""
    return {sight: float(differences(colors, sight).min()) for sight in SIGHTS}


def test_sight_is_that_of_machado() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (500, 3), dtype=np.uint8)
    for sight, lab in zip(SIGHTS, seen(colors), strict=True):
        np.testing.assert_allclose(lab, lab_of(colors, sight), atol=0.02)


LOOK = st.tuples(*[st.integers(0, 255)] * 3)


@given(st.lists(LOOK, min_size=24, max_size=PLAINLY_APART), st.sampled_from([1, 4, 40]))
@settings(max_examples=60)
def test_every_eye_tells_24_clusters_apart(looks: list[tuple[int, ...]], crowding: int) -> None:
    """However alike they look: as drawn, and drawn together to a few greys."""
    values = np.array(looks) / crowding + 100 * (crowding > 1)
    assert min(least(natural_colors(values)).values()) >= PLAIN - 0.02


def test_a_band_that_is_full_everywhere_leaves_colours_apart() -> None:
    looks = np.tile([0.0, 0.0, 255.0], (24, 1))
    looks[:, 0] = np.arange(24)
    assert min(least(natural_colors(looks)).values()) >= PLAIN - 0.02


def test_colours_are_those_of_things() -> None:
    """Dark blue water, green forest, tan ground and a red roof keep their hues."""
    looks = np.array([[30, 45, 80], [50, 75, 45], [180, 150, 120], [170, 80, 60], [200, 200, 205]])
    water, forest, ground, roof, bright = natural_colors(looks).astype(float) / 255
    hue = [360 * rgb_to_hsv(*color)[0] for color in (water, forest, ground, roof)]
    assert 190 < hue[0] < 260
    assert 75 < hue[1] < 170
    assert 20 < hue[2] < 60
    assert hue[3] < 25 or hue[3] > 340
    assert water.max() < ground.max() < bright.min() + 0.3
    assert rgb_to_hsv(*bright)[1] < 0.3


def test_the_same_looks_give_the_same_colours() -> None:
    looks = np.random.default_rng(1).uniform(0, 255, (24, 3))
    np.testing.assert_array_equal(natural_colors(looks), natural_colors(looks.copy()))


@pytest.mark.parametrize("count", [1, 2, 60, MOST_NATURAL, MOST_NATURAL + 40])
def test_any_number_of_clusters_has_colours(count: int) -> None:
    looks = np.random.default_rng(2).uniform(0, 255, (count, 3))
    looks[::7] = np.nan
    colors = natural_colors(looks)
    assert len(np.unique(colors, axis=0)) == count


def test_colours_that_are_taken_are_left() -> None:
    rng = np.random.default_rng(3)
    taken = np.array([[30, 100, 40], [200, 160, 130], [80, 80, 90]], np.uint8)
    colors = natural_colors(rng.normal([70, 90, 60], 20, (20, 3)).clip(0, 255), taken)
    alone, other = np.indices((20, 3)).reshape(2, -1)
    for sight in SIGHTS:
        one, two = lab_of(colors, sight)[alone], lab_of(taken, sight)[other]
        assert deltaE_ciede2000(one, two).min() >= PLAIN - 0.02  # type: ignore[no-untyped-call]


def test_a_single_cluster_looks_as_it_is() -> None:
    ((red, green, blue),) = natural_colors(np.array([[60.0, 90, 50]]))
    assert green > max(red, blue)


def test_usual_names_have_colours_apart() -> None:
    colors = np.array(list(dict.fromkeys(USUAL.values())), dtype=np.uint8)
    assert len(colors) > 20
    assert min(least(colors).values()) >= PLAIN


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("Water", "water"),
        ("deciduous forest", "forest"),
        ("TREES", "forest"),
        ("forest road", "road"),
        ("bare_soil", "soil"),
        ("houses, red", "house"),
        ("Beaches", "sand"),
    ],
)
def test_names_are_understood(name: str, usual: str) -> None:
    assert usual_color(name) == USUAL[usual]


def test_other_names_have_no_usual_colour() -> None:
    assert usual_color("xylophone") is None
    assert usual_color("12") is None


def test_alike_colours_are_found() -> None:
    palette = {1: (200, 60, 50), 2: (110, 110, 50), 5: (40, 90, 200), 7: (42, 90, 200)}
    found = alike_colors(palette, {})
    assert found[0].clusters == (5, 7)
    assert found[0].difference < 2
    assert {each.clusters for each in alike_colors(palette, {}, {1})} <= {(1, 2)}
    # Two clusters of one class may have one colour.
    assert not alike_colors(palette, {5: "water", 7: "water"}, {5, 7})
