"""Polygons in further formats: the same features as in the GeoPackages, after every change."""

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from class_samples import points
from edited_runs import QUICK, done, edit, finished_crops, polygons, scenes
from helpers import alps_geo

from alps_geo.outputs import vector_copies

ENDINGS = ("parquet", "fgb", "geojson")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("formats") / "out"
    crops = scenes(finished_crops(tmp_path_factory))
    formats = ("--formats", "gpkg,geoparquet,flatgeobuf,geojson")
    done(alps_geo("label", *crops, "--out", out, *QUICK, *formats))
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def read(path: Path) -> gpd.GeoDataFrame:
    if path.suffix == ".parquet":
        return gpd.read_parquet(path)
    return gpd.read_file(path)


def assert_is_copied(run: Path, scene: str = "first") -> None:
    for layer in ("segments", "patches"):
        source = gpd.read_file(run / scene / f"{layer}.gpkg", layer=layer)
        key = source.columns[0]
        source = source.sort_values(key, ignore_index=True)
        for ending in ENDINGS:
            copy = read(run / scene / f"{layer}.{ending}").sort_values(key, ignore_index=True)
            if ending == "geojson":
                assert copy.crs == "EPSG:4326"
                copy = copy.to_crs(source.crs)
                assert shapely.hausdorff_distance(source.geometry, copy.geometry).max() < 0.05
            else:
                assert copy.crs == source.crs
                assert copy.geometry.geom_equals(source.geometry).all()
            assert list(copy.columns) == list(source.columns)
            for name in source.columns.drop("geometry"):
                if source[name].dtype.kind == "f":
                    np.testing.assert_allclose(copy[name].astype(float), source[name])
                else:
                    assert copy[name].tolist() == source[name].tolist(), (ending, name)


def test_copies_have_the_features_of_the_geopackages(finished: Path) -> None:
    assert_is_copied(finished)
    assert_is_copied(finished, "second")
    files = json.loads((finished / "run.json").read_text())["files"]
    assert {f"first/segments.{ending}" for ending in ENDINGS} <= set(files)


def test_copies_follow_clusters_classes_and_edits(run: Path) -> None:
    done(alps_geo("clusters", "name", run, "1=water"))
    assert "water" in set(read(run / "first" / "segments.fgb")["cluster_name"])
    assert_is_copied(run)
    done(alps_geo("clusters", "merge", run, "1", "2"))
    edit(polygons(run), "UPDATE segments SET cluster_name = 'roof' WHERE cluster = 3")
    done(alps_geo("clusters", "adopt", run))
    assert "roof" in set(read(run / "first" / "patches.parquet")["cluster_name"])
    assert_is_copied(run)
    samples = points(run, run.parent / "points.gpkg")
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    assert "class" in read(run / "first" / "segments.parquet")
    assert "class" in read(run / "first" / "patches.geojson")
    assert_is_copied(run)


def test_geoparquet_is_of_version_1_1_and_read_by_its_boxes(finished: Path) -> None:
    path = finished / "first" / "segments.parquet"
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert column["encoding"] == "WKB"
    assert column["covering"]["bbox"]["xmax"] == ["bbox", "xmax"]
    assert column["crs"]["id"]["authority"] == "EPSG"
    whole = gpd.read_parquet(path)
    np.testing.assert_allclose(column["bbox"], whole.total_bounds)
    west, _, _, north = whole.total_bounds
    near = gpd.read_parquet(path, bbox=(west, north - 20, west + 20, north))
    assert 0 < len(near) < len(whole)
    boxes = np.array([[*box.values()] for box in pq.read_table(path)["bbox"].to_pylist()])
    np.testing.assert_allclose(boxes, whole.bounds)


def test_without_a_choice_there_are_no_copies(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = finished_crops(tmp_path_factory) / "out"
    assert not [path for ending in ENDINGS for path in run.rglob(f"*.{ending}")]


def test_a_format_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (crop, _) = scenes(finished_crops(tmp_path_factory))
    label = ("label", crop, "--out", tmp_path / "out", *QUICK, "--formats")
    unknown = alps_geo(*label, "gpkg,shp")
    assert unknown.exit_code == 2
    found = " ".join(unknown.stderr.replace("│", " ").split())
    assert "formats is 'gpkg,shp', expected some of gpkg, geoparquet, flatgeobuf, " in found
    monkeypatch.setattr(vector_copies, "find_spec", lambda _: None)
    absent = alps_geo(*label, "geoparquet")
    assert absent.exit_code == 2
    assert "pip install 'alps-geo[parquet]'" in absent.stderr
    assert not (tmp_path / "out").exists()
