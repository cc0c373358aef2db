"""Classes made of clusters: by number or by name, without what is ignored."""

from __future__ import annotations

import numpy as np
import pytest

from alps_geo.clusters.legend import Legend
from alps_geo.errors import SettingsError
from alps_geo.outputs.training_set.classes import ClassTable, classes_of
from alps_geo.outputs.training_set.settings import ExportSettings

LEGEND = Legend.default(6).named({1: "water", 3: "road", 4: "water", 6: "7"})


def made(**settings: object) -> ClassTable:
    return classes_of(LEGEND, ExportSettings(**settings))  # type: ignore[arg-type]


def test_every_cluster_is_a_class_of_a_name_of_its_own() -> None:
    table = made()
    assert table.names == ["water 1", "cluster 2", "road", "water 4", "cluster 5", "7"]
    assert [each.clusters for each in table.classes] == [(1,), (2,), (3,), (4,), (5,), (6,)]
    assert table.palette == [list(color) for color in LEGEND.palette.values()]
    assert table.of_clusters(np.arange(7)).tolist() == [-1, 0, 1, 2, 3, 4, 5]


def test_clusters_of_one_name_are_one_class() -> None:
    table = made(by="class")
    assert table.names == ["water", "road", "7"]
    assert table.classes[0].clusters == (1, 4)
    assert table.classes[0].color == LEGEND.palette[1]
    assert table.unlabelled == (2, 5)
    assert table.of_clusters(np.arange(7)).tolist() == [-1, 0, -1, 1, 0, -1, 2]


@pytest.mark.parametrize(
    ("by", "ignore", "names", "unlabelled"),
    [
        ("class", ("water",), ["road", "7"], (1, 2, 4, 5)),
        ("class", ("4",), ["water", "road", "7"], (2, 4, 5)),
        ("cluster", ("water", "2"), ["road", "cluster 5", "7"], (1, 2, 4)),
        # A name before a number.
        ("class", ("7",), ["water", "road"], (2, 5, 6)),
    ],
)
def test_ignored_clusters_are_unlabelled(
    by: str, ignore: tuple[str, ...], names: list[str], unlabelled: tuple[int, ...]
) -> None:
    table = made(by=by, ignore=ignore)
    assert table.names == names
    assert table.unlabelled == unlabelled


@pytest.mark.parametrize(
    ("legend", "settings", "message"),
    [
        (Legend.default(3), {"by": "class"}, "no cluster has a name; give some with"),
        (LEGEND, {"ignore": ("lake",)}, "ignore is 'lake', expected some of 1, 2, 3, 4, 5, 6, wat"),
        (LEGEND, {"by": "class", "ignore": ("water", "road", "6")}, "which leaves no class"),
    ],
)
def test_what_leads_to_no_class_is_one_line(
    legend: Legend, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        classes_of(legend, ExportSettings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "dtype", "ignored"), [(254, "uint8", 255), (255, "uint16", 65535)]
)
def test_masks_are_as_wide_as_the_classes_need(count: int, dtype: str, ignored: int) -> None:
    table = classes_of(Legend.default(count), ExportSettings())
    mask = table.mask(np.array([[0, -1, count - 1]], np.int32))
    assert mask.dtype == dtype
    assert mask.tolist() == [[0, ignored, count - 1]]


def test_a_name_that_looks_like_one_of_ours_stays_its_own() -> None:
    legend = Legend.default(3).named({1: "cluster 2"})
    assert made_names(legend) == ["cluster 2", "cluster 2'", "cluster 3"]


def made_names(legend: Legend) -> list[str]:
    return classes_of(legend, ExportSettings()).names
