"""Classes of a few samples: the same in rasters, polygons, record and model, in any CRS."""

from __future__ import annotations

import json
from shutil import copytree
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from class_samples import (
    WORDS,
    assert_classes_agree,
    brightest,
    classes,
    ids,
    legend,
    points,
    segments,
)
from edited_runs import (
    SCENES,
    assert_consistent,
    done,
    edit,
    finished_crops,
    polygons,
    query,
    refused,
)
from helpers import alps_geo

import alps_geo as library
from alps_geo.runs.own_results import is_own_result

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory) / "out"


@pytest.fixture(scope="module")
def classified(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = copytree(finished, tmp_path_factory.mktemp("classified") / "out")
    samples = points(run, run.parent / "points.gpkg")
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return copytree(finished, tmp_path / "out")


def test_all_results_say_the_same(classified: Path) -> None:
    assert list(legend(classified).values()) == sorted(WORDS)
    assert_classes_agree(classified)
    assert_consistent(classified)
    record = json.loads((classified / "run.json").read_text())
    assert sum(each["share"] for each in record["classes"]) == pytest.approx(
        record["labelled_share"]
    )
    assert {f"{scene}/classes.tif" for scene in SCENES} < set(record["files"])
    # A glob must not take it for a scene.
    assert all(is_own_result(classified / scene / "classes.tif") for scene in SCENES)


def test_samples_keep_their_class_and_are_sure(classified: Path) -> None:
    for scene in SCENES:
        sampled, words = brightest(classified, scene)
        found = segments(classified, scene).loc[sampled]
        assert found["class"].tolist() == words
        assert (found[["class_confidence", "class_margin"]] == 1).all(axis=None)


def test_names_and_styles_are_where_gis_programs_look(classified: Path) -> None:
    path = classified / "first" / "classes.tif.aux.xml"
    names = [element.text for element in ET.parse(path).iter("Category")]
    assert names[1:] == sorted(WORDS)
    styles = query(
        polygons(classified),
        "SELECT f_table_name, styleName, useAsDefault, styleQML FROM layer_styles ORDER BY id",
    )
    assert [style[:3] for style in styles] == [
        ("segments", "clusters", 1),
        ("segments", "outlines", 0),
        ("segments", "confidence", 0),
        ("segments", "source", 0),
        ("segments", "classes", 0),
        ("classes", "classes", 1),
    ]
    for _, _, _, qml in styles[4:]:
        categories = [each.attrib["value"] for each in ET.fromstring(qml).iter("category")]
        assert categories == [*sorted(WORDS), ""]
    listed = dict(pyogrio.list_layers(polygons(classified)))
    assert listed["classes"] == "MultiPolygon"


def test_areas_of_a_small_scene_are_told_in_square_metres(run: Path, tmp_path: Path) -> None:
    samples = points(run, tmp_path / "points.gpkg")
    shown = alps_geo("classify", run, "--samples", samples).stdout
    record = json.loads((run / "run.json").read_text())
    assert "area, m²" in shown
    assert all(f"{each['area']:,.0f}" in shown for each in record["classes"])


def test_areas_lines_and_points_in_any_crs_give_their_segments(run: Path) -> None:
    """Whole segments drawn as polygons, points and lines inside of them are the same samples."""
    sampled, words = brightest(run, "first")
    found = segments(run).loc[sampled]
    middle = found.geometry.representative_point()
    line = [shapely.LineString([(p.x - 0.4, p.y), (p.x + 0.4, p.y)]) for p in middle]
    shapes = [
        (found.geometry, "poly.geojson", 4326),
        (gpd.GeoSeries(line, crs=found.crs), "lines.shp", 3857),
        (middle, "points.gpkg", 32618),
    ]
    expected = None
    for geometry, name, crs in shapes:
        frame = gpd.GeoDataFrame({"kind": words}, geometry=geometry.to_numpy(), crs=found.crs)
        path = run.parent / name
        frame.to_crs(crs).to_file(path)
        done(alps_geo("classify", run, "--samples", path, "--field", "kind", "--quiet"))
        assert segments(run).loc[sampled, "class"].tolist() == words
        now = [classes(run, scene) for scene in SCENES]
        if expected is not None:
            np.testing.assert_array_equal(now, expected)
        expected = now


def test_a_raster_of_numbers_keeps_its_numbers(run: Path) -> None:
    sampled, words = brightest(run, "first")
    numbers = {"wood": 3, "grass": 7, "road": 12}
    values = np.zeros(ids(run).max() + 1, np.uint8)
    values[sampled] = [numbers[word] for word in words]
    with rasterio.open(run / "first" / "segments.tif") as like:
        profile = {"driver": "GTiff", "height": like.height, "width": like.width, "count": 1}
        placed = {"crs": like.crs, "transform": like.transform, "dtype": "uint8", "nodata": 0}
    path = run.parent / "classes_of_mine.tif"
    with rasterio.open(path, "w", **profile, **placed) as raster:
        raster.write(values[ids(run)], 1)
    done(alps_geo("classify", run, "--samples", path, "--quiet"))
    assert legend(run) == {3: "3", 7: "7", 12: "12"}
    assert set(np.unique(classes(run, "second"))) <= {0, 3, 7, 12}
    assert_classes_agree(run)
    assert segments(run).loc[sampled, "class"].tolist() == [str(numbers[word]) for word in words]


def test_the_same_samples_give_the_same_bytes(classified: Path, run: Path) -> None:
    samples = classified.parent / "points.gpkg"
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    for name in ("first/classes.tif", "second/classes.png", "classes.npz"):
        assert (run / name).read_bytes() == (classified / name).read_bytes()
    before = (run / "first" / "segments.gpkg").read_bytes()
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    assert query(polygons(run), "SELECT count(*) FROM layer_styles") == [(6,)]
    assert len((run / "first" / "segments.gpkg").read_bytes()) == len(before)


def test_an_edited_style_by_class_is_not_overwritten_unasked(classified: Path, run: Path) -> None:
    samples = classified.parent / "points.gpkg"
    again = ("classify", run, "--samples", samples, "--classifier", "logistic")
    done(alps_geo(*again, "--quiet"))
    edit(polygons(run, "second"), "UPDATE layer_styles SET styleQML = '<qgis/>'")
    styles = "SELECT styleName, styleQML FROM layer_styles ORDER BY id"
    before = query(polygons(run, "second"), styles)
    refused(alps_geo(*again), "second/segments.gpkg: the style classes was edited by hand")
    assert query(polygons(run, "second"), styles) == before
    done(alps_geo(*again, "--quiet", "--discard-edits"))
    after = query(polygons(run, "second"), styles)
    edited = [name for name, style in after if style == "<qgis/>"]
    assert edited == ["clusters", "outlines", "confidence", "source"]
    done(alps_geo(*again, "--quiet"))


def test_named_clusters_are_samples(run: Path) -> None:
    done(alps_geo("clusters", "name", run, "1=wood", "2=wood", "3=road", "--quiet"))
    done(alps_geo("classify", run, "--from-names", "--quiet"))
    assert list(legend(run).values()) == ["road", "wood"]
    found = segments(run)
    sure = found[found["class_confidence"] == 1]
    assert set(sure["cluster"]) <= {1, 2, 3}
    assert set(sure["class"]) == {"road", "wood"}
    colors = {each["name"]: each["color"] for each in record_of(run)["classes"]}
    of_clusters = {each["cluster"]: each["color"] for each in record_of(run)["clusters"]}
    assert colors == {"wood": of_clusters[1], "road": of_clusters[3]}


def record_of(run: Path) -> Any:
    return json.loads((run / "run.json").read_text())


@pytest.mark.parametrize("classifier", ["random-forest", "logistic"])
def test_other_classifiers_give_samples_their_class(run: Path, classifier: str) -> None:
    samples = points(run, run.parent / "points.gpkg")
    options = ("--classifier", classifier, "--no-balance", "--per-scene", "--seed", "3")
    done(alps_geo("classify", run, "--samples", samples, *options, "--quiet"))
    assert_classes_agree(run)


def test_a_model_classifies_another_run_of_the_same_features(classified: Path, run: Path) -> None:
    model = classified / "classes.npz"
    done(alps_geo("classify", run, "--model", model, "--quiet"))
    assert_classes_agree(run)
    share = np.mean([classes(run, scene) == classes(classified, scene) for scene in SCENES])
    assert share > 0.9
    sampled, _ = brightest(run, "second")
    new = segments(run, "second").loc[sampled].representative_point()
    frame = gpd.GeoDataFrame({"class": ["water"] * 4}, geometry=new.to_numpy()[:4], crs=new.crs)
    frame.to_file(run.parent / "more.gpkg")
    both = ("--model", model, "--samples", run.parent / "more.gpkg")
    done(alps_geo("classify", run, *both, "--quiet"))
    assert list(legend(run).values()) == [*sorted(WORDS), "water"]
    samples = {each["name"]: each["samples"] for each in record_of(run)["classes"]}
    assert samples == {"grass": 8, "road": 8, "wood": 8, "water": 4}


def test_classes_stay_when_clusters_change(classified: Path, tmp_path: Path) -> None:
    run = copytree(classified, tmp_path / "out")
    before = [classes(run, scene) for scene in SCENES]
    for words in (("name", "1=a"), ("merge", "1", "2"), ("split", "1", "--into", "2")):
        done(alps_geo("clusters", words[0], run, *words[1:], "--quiet"))
        assert_classes_agree(run)
        assert_consistent(run)
    np.testing.assert_array_equal([classes(run, scene) for scene in SCENES], before)


def test_from_python(run: Path) -> None:
    opened = library.open_run(run)
    assert opened.classes.empty
    found = opened.classify(points(run, run.parent / "points.gpkg"), classifier="logistic")
    assert found["name"].tolist() == sorted(WORDS)
    assert found["samples"].tolist() == [8, 8, 8]
    assert found["area_m2"].sum() == pytest.approx(2 * 120 * 160, rel=0.01)
