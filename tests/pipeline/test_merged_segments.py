"""Runs with merged segments: results on disk, models fitted otherwise, and scenes of little."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo
from rasterio.windows import Window

from alps_geo.runs.run import fitted_settings, read_model
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

QUICK = ("--points", "grid:3", "--tile-size", "128", "--clusters", "4", "--quiet")
APART = ("--no-merge", "--neighbours", "0")


def crop(path: Path, height: int = 120, width: int = 200, *, even: bool = False) -> Path:
    """Write a part of a real scene, or an even one of its size."""
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        pixels = scene.read((1, 2, 3), window=Window(300, 500, width, height))
        profile = {"crs": scene.crs, "transform": scene.transform, "dtype": "uint8"}
    if even:
        pixels[:] = 90
    shape = {"count": 3, "height": height, "width": width}
    with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as dataset:
        dataset.write(pixels)
    return path


def label(scene: Path, out: Path, *options: object) -> None:
    outcome = alps_geo("label", scene, "--out", out, *QUICK, *options)
    assert outcome.exit_code == 0, outcome.stderr


def copied(run: Path, to: Path) -> Path:
    """Copy a run with its tiles, which take the longest."""
    shutil.copytree(run, to)
    return to


def read(out: Path, name: str) -> NDArray[Any]:
    with rasterio.open(out / "scene" / name) as raster:
        ids: NDArray[Any] = raster.read(1)
    return ids


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged")
    crop(folder / "scene.tif")
    label(folder / "scene.tif", folder / "merged", "--merge-strength", "0.3")
    copied(folder / "merged", folder / "apart")
    label(folder / "scene.tif", folder / "apart", *APART, "--overwrite")
    return folder


def test_rasters_polygons_and_record_agree_on_merged_segments(runs: Path) -> None:
    ids, labels = read(runs / "merged", "segments.tif"), read(runs / "merged", "labels.tif")
    before = read(runs / "apart", "segments.tif")
    count = int(ids.max())
    assert count < 0.7 * before.max()
    assert np.unique(ids).tolist() == list(range(1, count + 1))
    assert len(np.unique(np.stack([before, ids]).reshape(2, -1), axis=1).T) == before.max()
    polygons = gpd.read_file(
        runs / "merged" / "scene" / "segments.gpkg", layer="segments"
    ).set_index("segment_id")
    assert len(polygons) == count
    record = json.loads((runs / "merged" / "run.json").read_text())
    assert record["segments"] == count
    with rasterio.open(runs / "scene.tif") as scene:
        red = scene.read(1)
    for segment, row in polygons.iterrows():
        inside = ids == segment
        assert (labels[inside] == row["cluster"]).all()
        assert row["mean_red"] == pytest.approx(red[inside].mean(), rel=1e-4)


def test_no_polygon_crosses_the_border_of_a_mask(runs: Path) -> None:
    ids, before = read(runs / "merged", "segments.tif"), read(runs / "apart", "segments.tif")
    polygons = gpd.read_file(
        runs / "apart" / "scene" / "segments.gpkg", layer="segments"
    ).set_index("segment_id")
    masks = polygons.index[polygons["source"] == "sam"]
    assert len(masks)
    for mask in masks:
        (merged,) = np.unique(ids[before == mask])
        np.testing.assert_array_equal(ids == merged, before == mask)


def test_workers_and_another_run_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    label(runs / "scene.tif", tmp_path, "--merge-strength", "0.3", "--workers", "2")
    for name in ("segments.tif", "labels.tif"):
        np.testing.assert_array_equal(read(tmp_path, name), read(runs / "merged", name))
    for name in ("columns.npy", "segments.npz"):
        one, two = (next(each.glob(f".tiles/*/{name}")) for each in (tmp_path, runs / "merged"))
        assert one.read_bytes() == two.read_bytes()


def test_a_model_says_how_its_segments_were_merged(runs: Path, tmp_path: Path) -> None:
    model = runs / "merged" / "clusters.npz"
    assert fitted_settings(read_model(model))["merge_strength"] == 0.3
    out = copied(runs / "merged", tmp_path / "out")
    apply = ("apply", runs / "scene.tif", "--clusters-from", model, "--out", out, "--overwrite")
    outcome = alps_geo(*apply)
    assert outcome.exit_code == 0
    assert "were fitted with" not in outcome.stderr
    np.testing.assert_array_equal(read(out, "labels.tif"), read(runs / "merged", "labels.tif"))
    outcome = alps_geo(*apply, *APART)
    assert outcome.exit_code == 0
    assert "the clusters were fitted with --merge, not --no-merge" in outcome.stderr
    assert "the clusters were fitted with --neighbours 0.3, not 0.0" in outcome.stderr


def test_models_of_before_were_fitted_to_segments_apart(runs: Path) -> None:
    model = read_model(runs / "merged" / "clusters.npz")
    fitted = json.loads(model.fitted_with)
    for name in ("merge", "merge_strength", "neighbours"):
        del fitted["settings"][name]
    found = fitted_settings(replace(model, fitted_with=json.dumps(fitted)))
    assert (found["merge"], found["neighbours"]) == (False, 0.0)


def test_clusters_are_split_merged_and_suggested_on_merged_segments(
    runs: Path, tmp_path: Path
) -> None:
    out = copied(runs / "merged", tmp_path / "out")
    before = read(out, "labels.tif")
    assert alps_geo("clusters", "split", out, "1", "--into", "2").exit_code == 0
    split = read(out, "labels.tif")
    assert set(np.unique(split[before == 1])) == {1, 5}
    np.testing.assert_array_equal(split[before != 1], before[before != 1])
    assert alps_geo("clusters", "merge", out, "1", "5").exit_code == 0
    np.testing.assert_array_equal(read(out, "labels.tif"), before)
    outcome = alps_geo("clusters", "suggest", out, "--range", "2:6")
    assert outcome.exit_code == 0, outcome.stderr


def test_a_scene_of_one_colour_is_one_segment_and_one_cluster(tmp_path: Path) -> None:
    scene = crop(tmp_path / "scene.tif", even=True)
    outcome = alps_geo(
        "label", scene, "--out", tmp_path / "out", "--points", "grid:1", "--pred-iou-thresh",
        "1", "--tile-size", "128", "--features", "spectral", "--json",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads(outcome.stdout)
    assert (record["segments"], len(record["clusters"])) == (1, 1)
    assert "fewer segments than 24, so one cluster for each: 1" in outcome.stderr


def test_fewer_segments_than_clusters_is_one_line_that_names_merging(
    runs: Path, tmp_path: Path
) -> None:
    out = copied(runs / "merged", tmp_path / "out")
    strong = ("--merge-strength", "1000", "--clusters", "40", "--overwrite")
    outcome = alps_geo("label", runs / "scene.tif", "--out", out, *QUICK, *strong)
    assert outcome.exit_code == 1
    assert "40 clusters asked for, but the number of segments is" in outcome.stderr
    assert "--no-merge" in outcome.stderr


def test_a_scene_of_one_pixel_is_labelled(tmp_path: Path) -> None:
    scene = crop(tmp_path / "scene.tif", 1, 1)
    outcome = alps_geo("label", scene, "--out", tmp_path / "out", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["segments"] == 1


def test_the_published_recipe_keeps_segments_apart(tmp_path: Path) -> None:
    scene = crop(tmp_path / "scene.tif")
    few = ("--clusters", "1", "--points", "grid:4")
    low = ("--pred-iou-thresh", "0.3", "--stability-score-thresh", "0.3")
    outcome = alps_geo(
        "label", scene, "--out", tmp_path / "out", "--preset", "alps", *few, *low, "--json"
    )
    assert outcome.exit_code == 0, outcome.stderr
    settings = json.loads(outcome.stdout)["settings"]
    assert (settings["merge"], settings["neighbours"]) == (False, 0.0)


def test_python_takes_the_settings_too() -> None:
    assert LabelSettings(merge=False).merge_limit is None
    assert LabelSettings(merge_strength=0.7).merge_limit == 0.7
