"""Samples of a run, and the accuracy that is estimated from them."""

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
from edited_runs import ROWS, SCENES, done, finished_crops, query, refused
from helpers import DATA, alps_geo
from rasterio.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

TRUTH = DATA / "naip_md_1m_landcover.tif"
NAMES = {1: "water", 2: "tree", 3: "low", 4: "barren", 5: "sealed", 6: "road"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory) / "out"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Copy a run of two crops with four clusters, one class each but for tree, which has two."""
    copy = copytree(finished, tmp_path / "run")
    done(alps_geo("clusters", "name", copy, "1=tree", "2=low", "3=tree", "4=sealed", "--quiet"))
    return copy


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.json"
    path.write_text(json.dumps(NAMES))
    return path


def pixels(run: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cluster and class on the ground of all pixels."""
    labels, truth = [], []
    for scene, row in zip(SCENES, ROWS, strict=True):
        with rasterio.open(run / scene / "labels.tif") as raster:
            labels.append(raster.read(1))
        with rasterio.open(TRUTH) as raster:
            truth.append(raster.read(1, window=Window(300, row, 160, 120)))
    return np.stack(labels), np.stack(truth)


CLASS = np.array(["", "tree", "low", "tree", "sealed"])


def report(run: Path, *arguments: object) -> dict[str, Any]:
    outcome = alps_geo("assess", "report", run, *arguments, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def record_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


def fill(path: Path, change: Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame]) -> None:
    points = gpd.read_file(path, layer="sample")
    gpd.GeoDataFrame(change(points)).to_file(path, layer="sample", driver="GPKG")


def filled(points: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Have everything right but each seventh point, which is sealed."""
    seventh = points["id"] % 7 == 0
    return points.assign(reference=points["stratum"].where(~seventh, "sealed"))


def test_points_lie_in_the_strata_that_they_tell(run: Path) -> None:
    outcome = alps_geo("assess", "sample", run, "--size", "60", "--minimum", "15")
    done(outcome)
    points = gpd.read_file(run / "sample.gpkg", layer="sample")
    assert len(points) == 60
    assert sorted(points["id"]) == list(range(1, 61))
    assert points["reference"].isna().all()
    assert points.crs == gpd.read_file(run / "first" / "segments.gpkg", layer="segments").crs
    labels, _ = pixels(run)
    for scene, clusters in zip(SCENES, labels, strict=True):
        inside = points[points["scene"] == scene]
        with rasterio.open(run / scene / "labels.tif") as raster:
            at = list(raster.sample(zip(inside.geometry.x, inside.geometry.y, strict=True)))
        assert (CLASS[np.ravel(at)] == inside["stratum"]).all()
        assert (CLASS[clusters[inside["row"], inside["col"]]] == inside["stratum"]).all()
    for name, of_class in points.groupby("stratum"):
        count = int((CLASS[labels] == name).sum())
        assert set(of_class["pixels"]) == {count}
        assert of_class["area"].iloc[0] == pytest.approx(count, rel=1e-2)
        assert len(of_class) >= 15
        assert f"{count:,}" in outcome.stdout
    assert "known to ±" in outcome.stdout


def test_the_allocation_is_printed_as_json(run: Path) -> None:
    outcome = alps_geo("assess", "sample", run, "--size", "60", "--allocation", "equal", "--json")
    assert outcome.exit_code == 0
    found = json.loads(outcome.stdout)
    assert [each["points"] for each in found["allocation_of"]] == [20, 20, 20]
    assert sum(each["pixels"] for each in found["allocation_of"]) == 2 * 160 * 120
    assert 0.05 < found["expected_margin"] < 0.2


def test_qgis_lists_the_classes(run: Path) -> None:
    done(alps_geo("assess", "sample", run, "--size", "60", "--quiet"))
    (name, qml), *more = query(
        run / "sample.gpkg",
        # As QGIS asks: a table without these columns has no style for it.
        "SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault AND ui IS NULL "
        "ORDER BY update_time DESC",
    )
    assert (name, more) == ("sample", [])
    (field,) = ET.fromstring(qml).iter("field")
    assert field.attrib["name"] == "reference"
    values = [each.attrib["value"] for each in field.iter("Option") if "value" in each.attrib]
    assert values == ["low", "sealed", "tree"]


def test_the_same_seed_draws_the_same_points(run: Path, tmp_path: Path) -> None:
    found = []
    for number, seed in enumerate((0, 0, 1)):
        path = tmp_path / f"{number}.gpkg"
        done(alps_geo("assess", "sample", run, "--size", "60", "--seed", seed, "-o", path, "-q"))
        found.append(gpd.read_file(path, layer="sample"))
    assert found[0].equals(found[1])
    assert not found[0].geometry.equals(found[2].geometry)


def test_a_sample_of_all_pixels_gives_the_truth_without_an_error(run: Path, names: Path) -> None:
    done(alps_geo("assess", "sample", run, "--size", "999999", "--quiet"))
    found = report(run, "--reference", TRUTH, "--names", names, "--new-classes")
    labels, truth = pixels(run)
    mapped, known = CLASS[labels], np.array(["", *NAMES.values()])[truth]
    assert found["points"] == labels.size
    assert found["overall"]["value"] == pytest.approx((mapped == known).mean(), abs=2e-6)
    assert found["overall"]["margin"] == pytest.approx(0, abs=1e-9)
    for each in found["classes"]:
        right = ((mapped == known) & (known == each["class"])).sum()
        there = (known == each["class"]).sum()
        assert each["points_on_ground"] == there
        assert each["area"]["value"] == pytest.approx(there, rel=1e-2)
        assert each["producers_accuracy"]["value"] == pytest.approx(right / there, abs=1e-5)


@pytest.mark.parametrize("strata", ["class", "cluster"])
def test_intervals_hold_the_accuracy_of_the_whole_map(run: Path, names: Path, strata: str) -> None:
    """Also where the strata are clusters, two of which are one class."""
    done(alps_geo("assess", "sample", run, "--strata", strata, "--size", "800", "--quiet"))
    found = report(run, "--reference", TRUTH, "--names", names, "--new-classes")
    labels, truth = pixels(run)
    right = CLASS[labels] == np.array(["", *NAMES.values()])[truth]
    low, high = found["overall"]["low"], found["overall"]["high"]
    assert low < right.mean() < high
    assert high - low < 0.08
    assert len(found["strata"]) == (3 if strata == "class" else 4)
    trees = next(each for each in found["classes"] if each["class"] == "tree")
    assert trees["area"]["low"] < (truth == 2).sum() < trees["area"]["high"]


@pytest.mark.parametrize("name", ["filled.geojson", "filled.shp", "filled.gpkg"])
def test_any_vector_format_and_crs_does(run: Path, tmp_path: Path, name: str) -> None:
    done(alps_geo("assess", "sample", run, "--size", "60", "--quiet"))
    path = run / "sample.gpkg"
    fill(path, filled)
    before = report(run, "--reference", path)
    points = gpd.read_file(path, layer="sample").to_crs("EPSG:4326")
    pyogrio.write_dataframe(points, tmp_path / name)
    after = report(run, "--reference", tmp_path / name)
    assert after.pop("reference") != before.pop("reference")
    assert after["error_matrix"] == before["error_matrix"]
    assert after["overall"] == pytest.approx(before["overall"], rel=1e-6)
    assert before["overall"]["value"] < 1


def test_all_files_say_the_same(run: Path, tmp_path: Path) -> None:
    done(alps_geo("assess", "sample", run, "--size", "60", "--quiet"))
    fill(run / "sample.gpkg", filled)
    outcome = alps_geo("assess", "report", run, "--reference", run / "sample.gpkg")
    done(outcome)
    found = json.loads((run / "accuracy.json").read_text())
    overall = found["overall"]
    text = f"{overall['value']:.3f} ± {overall['margin']:.3f}"
    assert f"overall accuracy {text}" in outcome.stdout
    assert f"**Overall accuracy: {text}**" in (run / "accuracy.md").read_text()
    assert f"overall accuracy,,,{overall['value']}" in (run / "accuracy.csv").read_text()
    assert np.sum(found["area_proportions"]) == pytest.approx(1)
    assert np.sum(found["error_matrix"]) == 60


def test_points_without_a_reference_do_not_count(run: Path) -> None:
    done(alps_geo("assess", "sample", run, "--size", "60", "--quiet"))
    path = run / "sample.gpkg"
    fill(
        path,
        lambda points: filled(points).assign(
            reference=lambda found: found["reference"].where(found["id"] <= 50)
        ),
    )
    found = report(run, "--reference", path)
    assert (found["points"], found["unchecked"]) == (50, 10)


def test_the_map_of_today_is_assessed_by_a_sample_of_before(run: Path) -> None:
    """Points of clusters do for classes that get their names afterwards."""
    done(alps_geo("assess", "sample", run, "--strata", "cluster", "--size", "60", "--quiet"))
    fill(
        run / "sample.gpkg",
        lambda points: points.assign(
            reference=points["stratum"].map({"1": "tree", "2": "low", "3": "low", "4": "sealed"})
        ),
    )
    wrong = report(run, "--reference", run / "sample.gpkg")
    done(alps_geo("clusters", "name", run, "3=low", "--quiet"))
    right = report(run, "--reference", run / "sample.gpkg")
    assert wrong["overall"]["value"] < 1
    assert right["overall"]["value"] == pytest.approx(1)


def test_classes_of_samples_are_strata_and_assessed(run: Path, names: Path) -> None:
    done(alps_geo("classify", run, "--from-names", "--quiet"))
    done(alps_geo("assess", "sample", run, "--size", "999999", "--quiet"))
    classes = {each["id"]: each["name"] for each in record_of(run)["classes"]}
    points = gpd.read_file(run / "sample.gpkg", layer="sample")
    mapped = []
    for scene in SCENES:
        with rasterio.open(run / scene / "classes.tif") as raster:
            ids = raster.read(1)
        mapped.append(np.vectorize(classes.get)(ids))
        inside = points[points["scene"] == scene]
        assert (mapped[-1][inside["row"], inside["col"]] == inside["stratum"]).all()
    found = report(run, "--reference", TRUTH, "--names", names, "--new-classes")
    _, truth = pixels(run)
    right = np.stack(mapped) == np.array(["", *NAMES.values()])[truth]
    assert found["overall"]["value"] == pytest.approx(right.mean(), abs=2e-6)
    assert not np.array_equal(np.stack(mapped), CLASS[pixels(run)[0]])


def test_points_of_another_kind_are_taken_for_random_inside_classes(run: Path) -> None:
    done(alps_geo("assess", "sample", run, "--size", "60", "--quiet"))
    points = filled(gpd.read_file(run / "sample.gpkg", layer="sample"))
    path = run / "own.gpkg"
    points[["reference", "geometry"]].to_file(path, driver="GPKG")
    found = report(run, "--reference", path)
    assert found["overall"]["value"] < 1
    assert "taken for a random sample" in found["notes"][0]


def test_clusters_without_a_name_are_no_class(run: Path) -> None:
    done(alps_geo("clusters", "name", run, "4=", "--quiet"))
    outcome = alps_geo("assess", "sample", run, "--size", "60")
    done(outcome)
    labels, _ = pixels(run)
    assert f"{(labels == 4).sum():,} pixels are of no class, such as" in " ".join(
        outcome.stdout.split()
    )
    assert set(gpd.read_file(run / "sample.gpkg", layer="sample")["stratum"]) == {"tree", "low"}


def test_a_sample_is_not_overwritten_by_the_way(run: Path) -> None:
    done(alps_geo("assess", "sample", run, "--size", "60", "--quiet"))
    fill(run / "sample.gpkg", filled)
    before = (run / "sample.gpkg").read_bytes()
    refused(alps_geo("assess", "sample", run, "--size", "60"), "is there already", "--overwrite")
    assert (run / "sample.gpkg").read_bytes() == before
    done(alps_geo("assess", "sample", run, "--size", "60", "--overwrite", "--quiet"))
    assert gpd.read_file(run / "sample.gpkg", layer="sample")["reference"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda points: points.assign(reference=None), "no point has a class in the column"),
        (lambda points: filled(points).replace("low", "lwo"), "the class 'lwo' of point"),
        (lambda points: filled(points).drop(columns="reference"), "has no column 'reference'"),
        (
            lambda points: filled(points).set_geometry(points.translate(99999)),
            "lies outside of the scenes of the run",
        ),
        (lambda points: filled(points).assign(col=points["col"] + 1), "it was moved"),
        (lambda points: filled(points).assign(id=7), "the id 7 occurs more than once"),
        (
            lambda points: filled(points).assign(
                reference=lambda found: found["reference"].where(found["stratum"] != "low")
            ),
            "the stratum low has no checked point",
        ),
        (lambda points: filled(points).iloc[:0], "holds no point"),
        (
            lambda points: filled(points).assign(pixels=points["id"]),
            "stratum, pixels and area do not agree",
        ),
    ],
    ids=["empty", "unknown", "column", "outside", "moved", "twice", "stratum", "none", "strata"],
)
def test_points_that_do_not_do_are_told_in_one_line(
    run: Path, change: Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame], message: str
) -> None:
    done(alps_geo("assess", "sample", run, "--size", "60", "--quiet"))
    fill(run / "sample.gpkg", change)
    refused(
        alps_geo("assess", "report", run, "--reference", run / "sample.gpkg"),
        "sample.gpkg" if "stratum low" not in message else "expected",
        message,
    )
    assert not (run / "accuracy.json").exists()


def test_a_foreign_file_is_told_in_one_line(run: Path) -> None:
    foreign = run / "first" / "segments.gpkg"
    refused(
        alps_geo("assess", "report", run, "--reference", foreign),
        "holds no points, and there is no sample",
    )
    refused(alps_geo("assess", "report", run, "--reference", run / "absent.gpkg"), "absent.gpkg")


def test_runs_without_classes_or_pixels_enough_are_told(finished: Path, run: Path) -> None:
    refused(alps_geo("assess", "sample", finished), "no cluster has a name", "--strata cluster")
    outcome = alps_geo("assess", "sample", run, "--size", "60", "--minimum", "50")
    assert outcome.exit_code == 2
    assert "size is 60, but 3 strata with 50 points each" in outcome.stderr
    assert not (run / "sample.gpkg").exists()


def test_images_have_no_map(labelled_images: Path) -> None:
    refused(alps_geo("assess", "sample", labelled_images), "over a folder of images")
