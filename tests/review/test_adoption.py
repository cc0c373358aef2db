"""The meaning of edits of clusters and names, and the line on those without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alps_geo.clusters.legend import Legend
from alps_geo.errors import RunError
from alps_geo.outputs.gpkg.edited import Edit, FoundEdits
from alps_geo.review.adoption import Resolved, resolve

LEGEND = Legend.default(4).named({1: "water", 2: "wood", 4: "water"})

# Four segments in each cluster, of ids 11 to 14, 21 to 24 and so on.
COUNT = 4


def found(*edits: tuple[int, Any, str], path: str = "a.gpkg") -> FoundEdits:
    """Edits of segments, each with the cluster and name that it got."""
    staying = dict.fromkeys(LEGEND.palette, COUNT)
    made = []
    for segment, cluster, name in edits:
        before = segment // 10
        staying[before] -= cluster != before
        made.append(Edit(segment, before, cluster, name))
    return FoundEdits(Path(path), tuple(made), staying, 0, 0, 0, (), 0)


def resolved(*edits: tuple[int, Any, str]) -> Resolved:
    return resolve({"a": found(*edits)}, LEGEND)


@pytest.mark.parametrize(
    ("edits", "clusters", "created"),
    [
        # To a cluster of before, with the name left as it was, in step, or emptied.
        ([(11, 2, "water"), (12, 2, "wood"), (13, 2, "")], {11: 2, 12: 2, 13: 2}, {}),
        ([(31, 1, ""), (32, 1, "water")], {31: 1, 32: 1}, {}),
        # By name: the first cluster of the name, or a new one for all that have it.
        ([(21, 2, "water")], {21: 1}, {}),
        ([(21, 2, "road"), (31, 3, "road")], {21: 5, 31: 5}, {5: "road"}),
        # By an id that is not in use: a name next to one of them is that of the cluster.
        ([(21, 9, "wood"), (22, 9, "roof"), (11, 9, "")], {21: 9, 22: 9, 11: 9}, {9: "roof"}),
        ([(31, 7, ""), (21, 2, "road")], {31: 7, 21: 8}, {7: "", 8: "road"}),
        ([(31, 7, "roof"), (21, 2, "roof")], {31: 7, 21: 7}, {7: "roof"}),
    ],
)
def test_segments_go_where_a_person_put_them(
    edits: list[tuple[int, Any, str]], clusters: dict[int, int], created: dict[int, str]
) -> None:
    got = resolved(*edits)
    assert got.clusters == {"a": clusters}
    assert {i: got.legend.names.get(i, "") for i in got.created} == created
    assert got.renamed == {}
    assert len(set(got.legend.palette.values())) == len(got.legend)


def test_a_name_that_all_segments_of_a_cluster_got_is_that_of_the_cluster() -> None:
    lake = [(number, 1, "lake") for number in range(11, 15)]
    assert resolved(*lake).renamed == {1: "lake"}
    assert resolved(*lake).clusters == {}
    # One of them elsewhere, and others moved in under the new name or the old one of theirs.
    got = resolved(*lake[:3], (14, 2, "water"), (31, 1, "lake"), (21, 1, "wood"))
    assert got.renamed == {1: "lake"}
    assert got.clusters == {"a": {14: 2, 31: 1, 21: 1}}
    # All but one, or all of one scene alone, are some segments of another name.
    assert resolved(*lake[:3]).clusters == {"a": dict.fromkeys((11, 12, 13), 5)}
    both = resolve({"a": found(*lake), "b": found(path="b.gpkg")}, LEGEND)
    assert both.renamed == {}
    assert set(both.clusters["a"].values()) == {5}


def test_a_name_that_was_emptied_everywhere_is_gone() -> None:
    got = resolved(*((number, 2, "") for number in range(21, 25)))
    assert got.renamed == {2: ""}
    assert 2 not in got.legend.names


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ([(11, None, "water")], "cluster of segment 11 is NULL, expected the id of a cluster"),
        ([(11, 0, "water")], "cluster of segment 11 is 0, expected"),
        ([(11, -3, "water")], "cluster of segment 11 is -3, expected"),
        ([(11, 70_000, "water")], "is 70000, expected the id of a cluster, or for a new one"),
        ([(11, 2.5, "water")], "cluster of segment 11 is 2.5, expected"),
        ([(11, "wood", "water")], "cluster of segment 11 is 'wood', expected"),
        ([(11, 1, "a\tb")], "segment 11: the name 'a\\tb' of cluster 1 holds characters"),
        ([(11, 1, "")], "cluster_name of segment 11 is empty, and its cluster 1 is named 'water'"),
        ([(21, 2, "9")], "cluster_name of segment 21 is '9', expected a name; to give it cluster"),
        (
            [(21, 1, "road")],
            "cluster 1 and cluster_name 'road', and cluster 1 is named 'water'",
        ),
        ([(21, 3, "road")], "cluster_name 'road', and cluster 3 has no name; expected one"),
        ([(21, 9, "road"), (22, 9, "roof")], "segment 22 gives the new cluster 9 the name 'roof'"),
    ],
)
def test_an_edit_without_a_meaning_is_named(edits: list[tuple[int, Any, str]], told: str) -> None:
    with pytest.raises(RunError) as raised:
        resolved((12, 2, "water"), *edits)
    assert str(raised.value).startswith("a.gpkg: ")
    assert told in str(raised.value)


def test_no_id_goes_beyond_what_a_raster_holds() -> None:
    with pytest.raises(RunError, match="would have the id 65536, expected 65535 at most"):
        resolved((11, 65_535, "water"), (21, 2, "road"))
