"""Styles: the meaning and colours of each, and pictures that QGIS draws in them."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import rasterio
from class_samples import WORDS, points
from edited_runs import done, edit, finished_crops, polygons, query
from helpers import alps_geo
from in_qgis import in_qgis

from alps_geo.outputs.id_styles import write_segments_style

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("images_encoded_once")

GREY = "#808080"
VIRIDIS = {"#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy a run, with classes."""
    place = tmp_path_factory.mktemp("styles") / "place"
    run = shutil.copytree(finished_crops(tmp_path_factory), place) / "out"
    done(alps_geo("clusters", "name", run, "2=road & <tar>", "--quiet"))
    done(alps_geo("classify", run, "--samples", points(run, place / "points.gpkg"), "--quiet"))
    return run


@pytest.fixture(scope="module")
def seen(run: Path) -> dict[str, Any]:
    """Draw all styles in QGIS, one segment without values, and one of unknown values."""
    path = polygons(run)
    by_area = "SELECT segment_id FROM segments ORDER BY area_m2 DESC LIMIT 2"
    (largest,), (second,) = query(path, by_area)
    edit(
        path,
        "UPDATE segments SET cluster = 99, source = 'drawn', class = 'else' "
        f"WHERE segment_id = {second}",
    )
    edit(
        path,
        "UPDATE segments SET confidence = NULL, source = NULL, cluster = NULL, class = NULL "
        f"WHERE segment_id = {largest}",
    )
    return in_qgis("qgis_styles.py", path, str(run.parent))


def entries(run: Path, name: str) -> list[tuple[str, str]]:
    """List value and label of the categories of a style of the segments."""
    ((qml,),) = query(
        polygons(run),
        "SELECT styleQML FROM layer_styles WHERE f_table_name = 'segments' AND styleName = ?",
        name,
    )
    listed = [each.attrib for each in ET.fromstring(qml).iter("category")]
    return [(each["value"], each["label"]) for each in listed]


def test_every_style_says_in_words_which_value_has_which_colour(seen: dict[str, Any]) -> None:
    others = "all other values"
    steps = ["0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1"]
    by_class = [*sorted(WORDS), others]
    assert {name: each["legend"] for name, each in seen["styles"].items()} == {
        "segments clusters": ["1", "road & <tar> (2)", "3", "4", others],
        "segments outlines": [""],
        "segments confidence": [*steps, others],
        "segments source": ["found by SAM", "filled in", others],
        "segments classes": by_class,
        "classes classes": by_class,
    }
    assert all(each["read"] and each["display"] for each in seen["styles"].values())


@pytest.mark.parametrize("style", ["clusters", "confidence", "source", "classes"])
def test_values_that_have_no_entry_are_drawn_in_grey(seen: dict[str, Any], style: str) -> None:
    found = seen["styles"][f"segments {style}"]
    assert found["drawn"][GREY] > 0.01
    assert found["sld"][GREY] == pytest.approx(found["drawn"][GREY], rel=0.2)


def test_confidence_is_light_where_it_is_high(seen: dict[str, Any]) -> None:
    drawn = seen["styles"]["segments confidence"]["drawn"]
    assert len(VIRIDIS & set(drawn)) > 1
    assert sum(drawn.get(each, 0) for each in (*VIRIDIS, GREY)) > 0.3


def test_outlines_leave_the_inside_of_segments_open(seen: dict[str, Any]) -> None:
    drawn = seen["styles"]["segments outlines"]["near"]
    assert drawn["#ffffff"] > 0.5
    dark = sum(share for name, share in drawn.items() if int(name[1:3], 16) < 200)
    assert dark > 0.01


def test_borders_are_seen_at_1_to_500(seen: dict[str, Any]) -> None:
    near = seen["styles"]["segments source"]["near"]
    fills = {"#0072b2", "#e69f00", GREY, "#ffffff"}
    assert sum(share for name, share in near.items() if name not in fills) > 0.005


def test_other_programs_draw_the_same_colours(seen: dict[str, Any]) -> None:
    for name in ("segments clusters", "segments confidence", "classes classes"):
        style = seen["styles"][name]
        drawn = {k: v for k, v in style["drawn"].items() if k not in (GREY, "#ffffff")}
        color, share = max(drawn.items(), key=lambda each: float(each[1]))
        assert style["sld"][color] == pytest.approx(share, abs=0.1)


def test_segments_of_a_raster_are_apart_and_its_legend_is_no_list(
    run: Path, seen: dict[str, Any]
) -> None:
    found = seen["rasters"]["segments.tif"]
    with rasterio.open(run / "first" / "segments.tif") as raster:
        count = int(raster.read(1).max())
    assert found["valid"]
    assert found["renderer"] == "singlebandpseudocolor"
    assert found["legend"] < 5
    assert len(found["drawn"]) > count / 2
    assert seen["rasters"]["labels.tif"]["legend"] == 5


@pytest.mark.parametrize(("count", "listed"), [(0, 1), (1, 1), (40, 40), (200_000, 20_000)])
def test_the_style_of_a_raster_stays_small(tmp_path: Path, count: int, listed: int) -> None:
    write_segments_style(tmp_path / "segments.tif", count)
    items = [each.attrib for each in ET.parse(tmp_path / "segments.qml").iter("item")]
    values = [int(each["value"]) for each in items]
    assert len(values) == listed
    assert (values[0], values[-1]) == (1, max(count, 1))
    assert all(one["color"] != two["color"] for one, two in pairwise(items))
    assert (tmp_path / "segments.qml").stat().st_size < 1_500_000


def test_a_style_has_an_entry_for_every_value(run: Path) -> None:
    assert [value for value, _ in entries(run, "source")] == ["sam", "fill", ""]
    assert [value for value, _ in entries(run, "classes")] == [*sorted(WORDS), ""]


def test_a_style_lists_all_parts_that_it_has(run: Path) -> None:
    """Newer versions of QGIS read no others."""
    owners = {
        "renderer-v2": "Symbology",
        "aliases": "Fields",
        "previewExpression": "LayerConfiguration",
        "mapTip": "MapTips",
    }
    for (qml,) in query(polygons(run), "SELECT styleQML FROM layer_styles"):
        root = ET.fromstring(qml)
        listed = root.attrib["styleCategories"].split("|")
        assert {owners[part.tag] for part in root} <= set(listed)
