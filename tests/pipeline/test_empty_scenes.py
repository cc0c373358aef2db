"""Scenes in which no segment is found, by themselves and next to others."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
from helpers import DATA, alps_geo
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from alps_geo.clusters.fit import fit_clusters
from alps_geo.clusters.model import ClusterModel
from alps_geo.features.columns import Columns

pytestmark = pytest.mark.usefixtures("images_encoded_once")

# SAM takes an even grey for one mask, which is too large to be one.
MASKS = ("--fill", "none", "--points", "grid:3", "--pred-iou-thresh", "0.2")
QUICK = (*MASKS, "--stability-score-thresh", "0.2", "--tile-size", "128", "--clusters", "2")
RASTERS = ("labels.tif", "labels.qml", "segments.tif", "segments.qml")
RESULTS = (*RASTERS, "segments.gpkg", "preview.png")


def write(path: Path, pixels: NDArray[Any], **profile: Any) -> Path:
    count, height, width = pixels.shape
    with rasterio.open(DATA / "naip_md_1m.tif") as like:
        profile = {"crs": like.crs, "transform": like.transform, "dtype": pixels.dtype, **profile}
    with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as dataset:
        dataset.write(pixels)
    return path


def ground() -> NDArray[Any]:
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        pixels: NDArray[Any] = scene.read((1, 2, 3), window=Window(400, 400, 128, 128))
    return pixels


def unreadable(path: Path) -> Path:
    """Write a scene whose only data lie in a block that is damaged; its overview is whole."""
    pixels = np.full((3, 128, 4096), 255, np.uint8)
    pixels[:, :, :128] = ground()
    blocks = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    write(path, pixels, nodata=255, **blocks, interleave="pixel")
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
        start = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * 64)
    return path


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scenes")
    grey = np.full((3, 128, 128), 90, np.uint8)
    return {
        "good": write(folder / "good.tif", ground()),
        "grey": write(folder / "grey.tif", grey),
        "other": write(folder / "other.tif", grey[:1].astype(np.uint16)),
        "unreadable": unreadable(folder / "unreadable.tif"),
    }


def fails(*arguments: object) -> str:
    outcome = alps_geo(*arguments, "--quiet")
    assert outcome.exit_code == 1
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("alps-geo: error: ")
    return line


@pytest.fixture(scope="module")
def model(scenes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clusters of the scene that has segments, fitted together with two that have none."""
    path = tmp_path_factory.mktemp("fit") / "model.npz"
    given = (scenes["grey"], scenes["good"], scenes["other"])
    outcome = alps_geo("fit", *given, "--out", path, *QUICK, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = [scene["segments"] for scene in json.loads(outcome.stdout)["scenes"]]
    assert found[1] > 2
    assert (found[0], found[2]) == (0, 0)
    assert "note grey: no segment was found in it" in outcome.stderr
    return path


@pytest.fixture(scope="module")
def run(scenes: dict[str, Path], model: Path) -> Path:
    out = model.parent / "out"
    given = (scenes["good"], scenes["grey"], scenes["other"])
    outcome = alps_geo("label", *given, "--out", out, *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    return out


def schema(folder: Path) -> dict[str, str]:
    layer = pyogrio.read_info(folder / "segments.gpkg", layer="segments")
    return dict(zip(layer["fields"], layer["ogr_types"], strict=True))


def test_a_scene_without_segments_has_results_like_any_other(run: Path) -> None:
    assert schema(run / "grey") == schema(run / "good")
    # Of another kind, it has other bands, and all else alike.
    bands = {name for name in schema(run / "good") if name.startswith(("mean_", "std_"))}
    own = {"mean_band_1", "std_band_1"}
    assert schema(run / "other").keys() - own == schema(run / "good").keys() - bands
    for name in ("grey", "other"):
        for file in ("labels.tif", "segments.tif"):
            with rasterio.open(run / name / file) as raster:
                assert not raster.read().any()
        assert all((run / name / file).stat().st_size for file in RESULTS)


def test_a_scene_without_segments_does_the_others_no_harm(
    scenes: dict[str, Path], model: Path, run: Path
) -> None:
    alone = model.parent / "alone"
    assert alps_geo("label", scenes["good"], "--out", alone, *QUICK).exit_code == 0
    for file in RESULTS:
        assert (alone / "good" / file).read_bytes() == (run / "good" / file).read_bytes()
    expected = (alone / "clusters.npz").read_bytes()
    assert model.read_bytes() == (run / "clusters.npz").read_bytes() == expected


def test_clusters_change_next_to_a_scene_without_segments(run: Path) -> None:
    for words in (
        ("name", "1=water"),
        ("split", "1", "--into", "2"),
        ("merge", "1", "2"),
        ("recolor", "1=red"),
        ("gallery",),
        ("suggest", "--range", "2:2"),
    ):
        outcome = alps_geo("clusters", words[0], run, *words[1:])
        assert outcome.exit_code == 0, (words, outcome.stderr)
    assert schema(run / "grey") == schema(run / "good")


def test_without_any_segment_there_is_nothing_to_fit(
    scenes: dict[str, Path], tmp_path: Path
) -> None:
    for command, out in (("label", tmp_path / "out"), ("fit", tmp_path / "model.npz")):
        line = fails(command, scenes["grey"], "--out", out, *QUICK)
        assert "no segment to fit clusters to: SAM found no mask, and --fill none" in line
    assert not (tmp_path / "model.npz").exists()
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_scene_without_segments_is_labelled_by_clusters_that_are_there(
    scenes: dict[str, Path], model: Path, run: Path, tmp_path: Path
) -> None:
    arguments = ("--clusters-from", model, "--out", tmp_path)
    outcome = alps_geo("apply", scenes["grey"], *arguments)
    assert outcome.exit_code == 0, outcome.stderr
    assert "100.0% of the area with data carries no label" in outcome.stdout
    assert "note grey: no segment was found in it" in outcome.stderr
    assert schema(tmp_path / "grey") == schema(run / "good")


@pytest.mark.parametrize("command", ["label", "fit", "apply"])
def test_where_no_valid_pixel_can_be_read_the_reason_is_said(
    scenes: dict[str, Path], model: Path, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "out"
    how = ("--clusters-from", model) if command == "apply" else ("--clusters", "2")
    line = fails(command, scenes["unreadable"], "--out", out, *how, "--tile-size", "128")
    assert "cannot be read" in line
    assert line.endswith("(and so with all tiles that hold data)")
    assert not (out / "run.json").exists()


def test_where_no_valid_pixel_of_one_scene_can_be_read_the_others_are_labelled(
    scenes: dict[str, Path], tmp_path: Path
) -> None:
    given = (scenes["good"], scenes["unreadable"])
    outcome = alps_geo("label", *given, "--out", tmp_path, *QUICK)
    assert outcome.exit_code == 3
    assert "failed: unreadable" in outcome.stderr
    assert schema(tmp_path / "unreadable") == schema(tmp_path / "good")
    with rasterio.open(tmp_path / "good" / "labels.tif") as raster:
        assert raster.read().any()


@pytest.mark.parametrize("command", ["label", "fit", "apply"])
def test_a_scene_of_nodata_alone_is_refused(model: Path, tmp_path: Path, command: str) -> None:
    scene = write(tmp_path / "scene.tif", np.full((3, 64, 64), 7, np.uint8), nodata=7)
    how = ("--clusters-from", model) if command == "apply" else ()
    line = fails(command, scene, "--out", tmp_path / "out", *how)
    assert "has no valid pixel (nodata is 7)" in line


def test_a_scene_that_its_tags_make_infinite_is_refused(tmp_path: Path) -> None:
    scene = write(tmp_path / "scene.tif", np.full((3, 64, 64), 1e25, np.float32))
    with rasterio.open(scene, "r+") as dataset:
        dataset.scales = (1e20,) * 3
    line = fails("label", scene, "--out", tmp_path / "out", "--points", "grid:2")
    assert "no pixel of the scenes has data that can be used" in line
    assert "scale and offset tags" in line


def fitted(*tables: Columns) -> ClusterModel:
    return fit_clusters(tables, [np.ones(len(table), int) for table in tables], 2, seed=0).model


def test_a_table_without_rows_takes_no_columns_from_the_others() -> None:
    """A backbone's columns are not known where it has described nothing."""
    rng = np.random.default_rng(0)
    names = ("timm.0", "timm.1", "mean.red")
    full = Columns("uint8: red", ("timm:x", "spectral"), names, rng.normal(size=(20, 3)))
    empty = Columns("uint16: red", full.features, names[2:], np.empty((0, 1)))
    for tables in ((full, empty), (empty, full)):
        model = fitted(*tables)
        compared = model.projection
        assert (compared.column_names, compared.kinds) == (names, ("uint8: red",))
        assert model.to_bytes() == fitted(full).to_bytes()
        assert len(model.apply(empty).cluster) == 0


def test_classes_of_a_run_with_an_empty_scene(scenes: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = (scenes["good"], scenes["other"])
    assert alps_geo("label", *given, "--out", out, *QUICK).exit_code == 0
    found = gpd.read_file(out / "good" / "segments.gpkg", layer="segments")
    two = found.iloc[[0, -1]].copy()
    two["class"] = ["a", "b"]
    two[["class", "geometry"]].to_file(tmp_path / "samples.gpkg")
    outcome = alps_geo("classify", out, "--samples", tmp_path / "samples.gpkg", "--suggest", "2")
    assert outcome.exit_code == 0, outcome.stderr
    with rasterio.open(out / "other" / "classes.tif") as raster:
        assert not raster.read(1).any()
    assert len(gpd.read_file(out / "other" / "segments.gpkg", layer="classes")) == 0
    model = alps_geo("classify", out, "--model", out / "classes.npz", "--quiet")
    assert model.exit_code == 0, model.stderr
