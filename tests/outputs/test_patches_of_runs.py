"""The layer of patches of a run, and that it follows every change of clusters and classes."""

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from class_samples import points
from clustered_runs import SCENES, Killed, clusters, finished_run, polygons, table
from edited_runs import done, finished_crops
from helpers import alps_geo
from rasterio.features import rasterize
from skimage.measure import label

from alps_geo.review import changes


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def read(run: Path, scene: str) -> gpd.GeoDataFrame:
    return gpd.read_file(run / scene / "patches.gpkg", layer="patches").sort_values("patch_id")


def assert_is_the_map(run: Path, scene: str, raster: str, column: str) -> None:
    """Patches are the connected regions of a raster of ids, each once."""
    found = read(run, scene)
    with rasterio.open(run / scene / raster) as source:
        ids, transform = source.read(1), source.transform
    with rasterio.open(run / scene / "segments.tif") as source:
        segments = source.read(1)
    regions = label(ids.astype(int), connectivity=1, background=0)  # type: ignore[no-untyped-call]
    assert len(found) == regions.max()
    drawn = rasterize(
        zip(found.geometry, found["patch_id"], strict=True),
        ids.shape,
        transform=transform,
        dtype="int32",
    )
    pairs = np.unique(np.stack([drawn.ravel(), regions.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(regions))
    of_patch = np.append(0, found[column])
    np.testing.assert_array_equal(of_patch[drawn], ids)
    assert found.geometry.map(lambda shape: len(shape.geoms)).eq(1).all()
    for patch, count in list(zip(found["patch_id"], found["segments"], strict=True))[::7]:
        assert count == len(np.unique(segments[drawn == patch]))


def assert_follows(run: Path) -> None:
    for scene in SCENES:
        assert_is_the_map(run, scene, "labels.tif", "cluster")
        patches, shapes = read(run, scene), polygons(run, scene)
        assert (patches["scene"] == scene).all()
        area = shapes.groupby("cluster")["area_m2"].sum()
        np.testing.assert_allclose(patches.groupby("cluster")["area_m2"].sum(), area, 1e-6)
        names = dict(zip(shapes["cluster"], shapes["cluster_name"], strict=True))
        assert patches["cluster_name"].tolist() == [names[i] for i in patches["cluster"]]
        styles = "SELECT styleQML, styleSLD FROM layer_styles WHERE styleName = 'clusters'"
        path = run / scene / "patches.gpkg"
        assert table(path, styles)[0][0] == table(path.with_name("segments.gpkg"), styles)[0][0]


def test_patches_are_connected_areas_of_one_cluster(finished: Path) -> None:
    assert_follows(finished)
    for scene in SCENES:
        patches = read(finished, scene)
        assert len(patches) < len(polygons(finished, scene))
        assert (patches["segments"] > 1).any()
        assert (patches["perimeter_m"] > 0).all()


def test_patches_follow_every_change(run: Path) -> None:
    clusters("name", run, "3=water", "1=water")
    clusters("recolor", run, "3=#123456")
    assert_follows(run)
    clusters("merge", run, "--same-name")
    clusters("split", run, "2", "--into", "2")
    assert_follows(run)


def test_a_change_that_was_stopped_is_finished_in_patches(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(changes, "write_run_files", die)
        with pytest.raises(Killed):
            alps_geo("clusters", "merge", run, "1", "2")
    (run / SCENES[0] / "patches.gpkg").unlink()
    clusters("name", run, "3=water")
    assert_follows(run)


def test_a_run_of_an_earlier_version_gets_no_patches(run: Path) -> None:
    record = run / "run.json"
    lines = [line for line in record.read_text().splitlines() if "patches.gpkg" not in line]
    record.write_text("\n".join(lines))
    for scene in SCENES:
        (run / scene / "patches.gpkg").unlink()
    clusters("merge", run, "1", "2")
    assert not list(run.rglob("patches.gpkg"))


def test_classes_take_the_place_of_clusters(tmp_path_factory: pytest.TempPathFactory) -> None:
    finished = finished_crops(tmp_path_factory) / "out"
    run = shutil.copytree(finished, tmp_path_factory.mktemp("classified") / "out")
    samples = points(run, run.parent / "points.gpkg")
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    # Clusters change, and the map of classes stays.
    done(alps_geo("clusters", "name", run, "1=water"))
    done(alps_geo("clusters", "merge", run, "1", "2"))
    for scene in ("first", "second"):
        found = read(run, scene)
        assert "cluster" not in found
        assert_is_the_map(run, scene, "classes.tif", "class_id")
        (qml,) = table(run / scene / "patches.gpkg", "SELECT styleQML FROM layer_styles")[0]
        shown = [each.attrib["value"] for each in ET.fromstring(qml).iter("category")]
        assert shown == [*sorted(set(found["class"])), ""]
