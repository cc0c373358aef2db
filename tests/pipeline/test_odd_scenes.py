"""`alps-geo label` on scenes that are rotated, tiny, empty in places, or lie nowhere."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import DATA, alps_geo
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window

pytestmark = pytest.mark.usefixtures("images_encoded_once")

# A pass through the image encoder takes a second, so each scene is one tile unless tiles matter.
QUICK = ("--tile-size", "256", "--points", "grid:3", "--clusters", "1")
LOOSE = ("--pred-iou-thresh", "0", "--stability-score-thresh", "0", "--max-mask-area", "1")


def crop(height: int, width: int, name: str = "neon_osbs_10cm") -> tuple[Any, dict[str, Any]]:
    with rasterio.open(DATA / f"{name}.tif") as scene:
        profile = {**scene.profile, "height": height, "width": width, "tiled": False}
        profile.pop("blockxsize", None)
        profile.pop("blockysize", None)
        return scene.read(window=Window(0, 0, width, height)), profile


def write(path: Path, pixels: NDArray[Any], profile: dict[str, Any]) -> Path:
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)
    return path


def label(scene: Path, out: Path, *options: str) -> tuple[Path, dict[str, Any], str]:
    outcome = alps_geo("label", scene, "--out", out, *QUICK, *LOOSE, *options, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    return out / scene.stem, json.loads(outcome.stdout), outcome.stderr


def assert_polygons_match(folder: Path) -> gpd.GeoDataFrame:
    segments = gpd.read_file(folder / "segments.gpkg", layer="segments")
    with rasterio.open(folder / "segments.tif") as raster:
        burnt = rasterize(
            zip(segments.geometry, segments["segment_id"], strict=True),
            out_shape=raster.shape,
            transform=raster.transform,
            dtype=np.uint32,
        )
        np.testing.assert_array_equal(burnt, raster.read(1))
    assert len(segments)
    return segments


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.08, 0.06, 404211.9, 0.06, -0.08, 3285102.8),
        Affine(0.1, 0, 404211.9, 0, 0.1, 3285102.8),
        Affine(0.1, 0, 404211.9, 0, -0.3, 3285102.8),
    ],
    ids=["rotated", "south-up", "non-square"],
)
def test_any_transform_is_kept_and_drawn_right(tmp_path: Path, transform: Affine) -> None:
    pixels, profile = crop(150, 200)
    scene = write(tmp_path / "scene.tif", pixels, {**profile, "transform": transform})
    folder, _, _ = label(scene, tmp_path / "out")
    segments = assert_polygons_match(folder)
    with rasterio.open(folder / "labels.tif") as raster:
        assert raster.transform == transform
    area = abs(transform.determinant)
    np.testing.assert_allclose(segments["area_m2"].sum(), segments.geometry.area.sum(), rtol=1e-2)
    assert segments.geometry.area.min() >= 16 * area * (1 - 1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 200), (200, 1), (20, 30)])
def test_slivers_and_tiny_scenes_are_labelled(tmp_path: Path, height: int, width: int) -> None:
    pixels, profile = crop(height, width)
    scene = write(tmp_path / "scene.tif", pixels, profile)
    folder, record, _ = label(scene, tmp_path / "out")
    assert_polygons_match(folder)
    assert record["scenes"][0]["height"] == height
    with rasterio.open(folder / "labels.tif") as raster:
        assert raster.shape == (height, width)


def test_a_raster_without_crs_is_labelled_in_pixels_and_says_so(tmp_path: Path) -> None:
    pixels, profile = crop(150, 200)
    profile.update(crs=None, transform=Affine.identity())
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        scene = write(tmp_path / "scene.tif", pixels, profile)
    folder, record, stderr = label(scene, tmp_path / "out")
    segments = gpd.read_file(folder / "segments.gpkg", layer="segments")
    assert "CRS" in stderr
    assert segments.crs is None or segments.crs.is_engineering
    with rasterio.open(folder / "segments.tif") as raster:
        ids = raster.read(1)
    assert record["area_unit"] == "px"
    assert segments["area_px"].sum() == pytest.approx((ids > 0).sum())


def test_tiles_without_data_never_reach_sam(tmp_path: Path) -> None:
    pixels, profile = crop(128, 400)
    pixels[:, :, 130:] = 255
    scene = write(tmp_path / "scene.tif", pixels, profile)
    folder, record, _ = label(scene, tmp_path / "out", "--tile-size", "128")
    with rasterio.open(folder / "labels.tif") as raster:
        labels = raster.read(1)
    assert not labels[:, 130:].any()
    assert labels[:, :128].any()
    assert record["scenes"][0]["valid_pixels"] <= 128 * 130


def test_nan_and_inf_are_no_data(tmp_path: Path) -> None:
    pixels, profile = crop(100, 100)
    values = pixels.astype(np.float32) / 255
    values[0, :40] = np.nan
    values[1, 90:] = np.inf
    profile.update(dtype="float32", nodata=None)
    scene = write(tmp_path / "scene.tif", values, profile)
    folder, _, _ = label(scene, tmp_path / "out")
    with rasterio.open(folder / "labels.tif") as raster:
        labels = raster.read(1)
    assert not labels[:40].any()
    assert not labels[90:].any()
    assert labels[40:90].any()
    segments = gpd.read_file(folder / "segments.gpkg", layer="segments")
    assert np.isfinite(segments.filter(like="mean_").to_numpy()).all()


def test_the_record_of_a_run_without_nodata_is_json_and_a_config(tmp_path: Path) -> None:
    pixels, profile = crop(64, 64)
    scene = write(tmp_path / "scene.tif", pixels, profile)
    folder, record, _ = label(scene, tmp_path / "out", "--nodata", "nan")
    path = folder.parent / "run.json"
    strict = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert strict["settings"]["nodata"] == "nan"
    again = alps_geo("label", "--config", path, "--out", folder.parent, "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout) == record
    assert alps_geo("clusters", "gallery", folder.parent).exit_code == 0


def test_scenes_of_one_name_get_folders_of_their_own(tmp_path: Path) -> None:
    pixels, profile = crop(64, 64)
    scenes = [
        tmp_path / name for name in ("a/scene.tif", "b/scene.tif", "c/Scene.tif", "d/run.json.tif")
    ]
    for scene in scenes:
        scene.parent.mkdir()
        write(scene, pixels, profile)
    out = tmp_path / "out"
    outcome = alps_geo("label", *scenes, "--out", out, *QUICK, *LOOSE)
    assert outcome.exit_code == 0, outcome.stderr
    for folder in ("scene", "scene-2", "Scene-3", "run.json-2"):
        assert (out / folder / "labels.tif").exists()
    assert alps_geo("clusters", "name", out, "1=roof").exit_code == 0
