import re
from collections.abc import Callable

import numpy as np
import pytest
from color_differences import differences, lab_of
from hypothesis import given, settings
from hypothesis import strategies as st

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.legend import Legend
from alps_geo.clusters.natural_colors import natural_colors
from alps_geo.clusters.sight import PLAIN, SIGHTS
from alps_geo.errors import RunError

NAMES = st.dictionaries(st.integers(1, 9), st.sampled_from(["water", "path", "Wiese ä", ""]))


def test_new_clusters_have_colours_and_no_names() -> None:
    legend = Legend.default(5)
    assert legend.ids.tolist() == [1, 2, 3, 4, 5]
    assert legend.ids.dtype == np.int64
    np.testing.assert_array_equal(legend.colors, default_colors(5))
    assert legend.colors.dtype == np.uint8
    assert legend.names == {}


def test_names_and_colours_are_given_and_taken_away() -> None:
    legend = Legend.default(5).named({5: "Wiese ä", 2: " open water "}).recolored({2: (1, 2, 3)})
    assert list(legend.names.items()) == [(2, "open water"), (5, "Wiese ä")]
    assert legend.palette == {**Legend.default(5).palette, 2: (1, 2, 3)}
    assert list(legend.palette) == [1, 2, 3, 4, 5]
    assert legend.named({5: ""}).names == {2: "open water"}


def test_names_may_hold_the_joiners_that_their_script_needs() -> None:
    lakes = "\u062f\u0631\u06cc\u0627\u0686\u0647\u200c\u0647\u0627"
    assert Legend.default(5).named({1: lakes}).names == {1: lakes}


def test_a_merged_cluster_takes_the_first_name_that_there_is() -> None:
    legend = Legend.default(5).named({3: "river", 4: "lake"})
    assert legend.merged([4, 1, 3]).names == {1: "river"}
    assert legend.merged([4, 1, 3], "water").names == {1: "water"}
    assert legend.merged([4, 1, 3], "").names == {}
    assert legend.merged([1, 2]).names == legend.names


@given(NAMES, st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=8))
def test_names_survive_merges(names: dict[int, str], pairs: list[tuple[int, int]]) -> None:
    """However clusters are merged, the first name of those that became one is kept."""
    legend, became = Legend.default(9).named(names), {i: i for i in range(1, 10)}
    for pair in pairs:
        one, two = sorted(became[i] for i in pair)
        if one != two:
            merged = legend.merged([two, one])
            kept = legend.names.get(one) or legend.names.get(two)
            assert merged.names.get(one) == kept
            others = {i: name for i, name in legend.names.items() if i not in (one, two)}
            assert merged.names == ({one: kept} if kept else {}) | others
            became = {i: one if to == two else to for i, to in became.items()}
            legend = merged
    assert legend.ids.tolist() == sorted(set(became.values()))
    whole = Legend.default(9).palette
    assert legend.palette == {i: whole[i] for i in legend.palette}


@given(st.integers(1, 400), st.integers(1, 20), st.integers(0, 400))
@settings(max_examples=20)
def test_further_clusters_follow_the_highest_id_with_colours_of_their_own(
    count: int, more: int, reserved: int
) -> None:
    red, green, blue = default_colors(count + more + 400)[count + reserved].tolist()
    legend = Legend.default(count).recolored({1: (red, green, blue)})
    extended = legend.extended(more)
    assert extended.ids.tolist() == list(range(1, count + more + 1))
    assert extended.palette.items() >= legend.palette.items()
    assert len(set(extended.palette.values())) == count + more


def test_new_clusters_can_be_told_apart_where_the_others_can() -> None:
    looks = np.random.default_rng(3).uniform(40, 200, (24, 3))
    legend = Legend.default(24).with_colors(natural_colors(looks))
    parts = legend.extended(2, like=5)
    grown = parts.added(30, "water").added(31, "")
    assert grown.palette.items() >= legend.palette.items()
    assert min(float(differences(grown.colors, sight).min()) for sight in SIGHTS) >= PLAIN - 0.02
    parent, *new = lab_of(parts.colors, "normal sight")[[4, 24, 25]]
    far = np.linalg.norm(lab_of(Legend.default(40).colors, "normal sight") - parent, axis=1)
    assert all(np.linalg.norm(each - parent) < np.median(far) for each in new)
    red, _, blue = grown.palette[30]
    assert blue > red


def test_a_legend_is_made_again_of_its_arrays() -> None:
    legend = Legend.default(6).named({2: "water", 6: "road"}).merged([2, 3])
    names = [legend.names.get(i, "") for i in legend.palette]
    assert Legend.of_arrays(legend.ids, names, legend.colors) == legend


@pytest.mark.parametrize(
    ("palette", "names", "message"),
    [
        ({2: (0, 0, 0), 1: (1, 1, 1)}, {}, "do not ascend"),
        ({0: (0, 0, 0)}, {}, "do not ascend, expected them to, from 1"),
        ({1: (0, 0, 0), 2: (0, 0, 0)}, {2: "a", 1: "b"}, "do not ascend"),
        ({1: (0, 0, 0)}, {4: "water"}, r"names of \[4\], which are no clusters"),
    ],
)
def test_a_legend_that_contradicts_itself_is_refused(
    palette: dict[int, tuple[int, int, int]], names: dict[int, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Legend(palette, names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda legend: legend.named({9: "x"}), "no cluster 9; expected some of 1 to 5"),
        (lambda legend: legend.recolored({0: (0, 0, 0)}), "no cluster 0; expected"),
        (lambda legend: legend.merged([1, 7, 8]), "no cluster 7, 8; expected"),
        (lambda legend: legend.merged([2, 2]), "clusters to merge: 2; expected two"),
        (lambda legend: legend.merged([]), "clusters to merge: none; expected two"),
        (lambda legend: legend.merged([2, 3]).merged([3, 4]), "expected some of 1 to 2, 4 to 5"),
        (lambda legend: legend.named({1: "a\nb"}), r"name 'a\nb' of cluster 1"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(
    change: Callable[[Legend], Legend], message: str
) -> None:
    with pytest.raises(RunError, match=re.escape(message)):
        change(Legend.default(5))
