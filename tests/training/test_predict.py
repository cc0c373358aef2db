"""Trained networks map scenes: tile by tile, with no tile in sight, and whatever stops them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from random_models import CLASSES, STRIDE, cut, write_random_model
from rasterio.features import rasterize
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate
from training_chips import make_chips, train_small

from alps_geo.evaluate import evaluate_seams
from alps_geo.grid import TileGrid
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.own_results import is_own_result
from alps_geo.runs.reading import read_prediction
from alps_geo.runs.status import run_status
from alps_geo.training.model_folder import read_model
from alps_geo.training.networks import load_network
from alps_geo.training.predict import predict_scenes
from alps_geo.training.predict_settings import PredictSettings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.runs.prediction import PredictionRecord
    from alps_geo.training.model import TrainedModel

NEON = "neon_osbs_10cm.tif"
SMALL: dict[str, Any] = {"tile_size": 96, "overlap": 32, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a model of three bands and a crop with pixels without data."""
    made = tmp_path_factory.mktemp("predict")
    write_random_model(made / "model")
    crop = cut(made / "crop.tif", NEON, Window(100, 60, 200, 160))
    with rasterio.open(crop, "r+") as file:
        pixels = file.read()
        pixels[:, 30:50, 20:70] = file.nodata
        file.write(pixels)
    predict(crop, made / "model", made / "out")
    return made


def predict(scene: Path, model: Path, out: Path, **changes: Any) -> PredictionRecord:
    return predict_scenes([str(scene)], model, out, PredictSettings(**{**SMALL, **changes}))


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as raster:
        return np.asarray(raster.read(1))


def has_data(path: Path) -> NDArray[np.bool_]:
    """Return True for pixels of which one band at least holds another value than nodata."""
    with rasterio.open(path) as raster:
        return np.asarray((raster.read_masks() != 0).any(axis=0))


def probabilities(folder: Path, model: TrainedModel, window: Window) -> NDArray[np.float32]:
    """Give a window to the network, without any of the tiles' machinery."""
    with rasterio.open(folder / "crop.tif") as raster:
        stored = raster.read(window=window).astype(np.float32)
    valid = has_data(folder / "crop.tif")[window.toslices()]
    mean, std = np.array([[each.mean, each.std] for each in model.bands], np.float32).T
    scaled = (stored - mean[:, None, None]) / std[:, None, None] * valid
    network = load_network(folder / "model", model)
    with torch.inference_mode():
        logits = network(torch.from_numpy(scaled)[None])[0]
    return np.asarray(logits.softmax(0).numpy())


def test_rasters_are_cloud_optimised(folder: Path) -> None:
    rasters = sorted((folder / "out").rglob("*.tif"))
    assert len(rasters) > 1
    for path in rasters:
        assert cog_validate(path, strict=True, quiet=True) == (True, [], [])


def test_a_scene_becomes_a_map_with_names_colours_and_probabilities(folder: Path) -> None:
    result = folder / "out" / "crop"
    with rasterio.open(result / "classes.tif") as raster, rasterio.open(folder / "crop.tif") as own:
        classes, colors = raster.read(1), raster.colormap(1)
        assert (raster.transform, raster.crs, raster.nodata) == (own.transform, own.crs, 0)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    valid = has_data(folder / "crop.tif")
    assert not valid.all()
    assert np.array_equal(classes > 0, valid)
    assert set(np.unique(classes)) == {0, 1, 2, 3}
    assert [colors[i + 1][:3] for i in range(3)] == [each.color for each in CLASSES]
    assert "<Category>a field</Category>" in (result / "classes.tif.aux.xml").read_text()
    percent = read(result / "probability.tif")
    assert np.array_equal(percent > 0, valid)
    assert 33 <= percent[valid].min() < percent.max() <= 100
    assert (result / "classes.png").stat().st_size > 1000
    assert 'label="a field (3)"' in (result / "classes.qml").read_text()


def test_regions_are_the_pixels_of_the_map(folder: Path) -> None:
    result = folder / "out" / "crop"
    regions = gpd.read_file(result / "regions.gpkg", layer="regions")
    with rasterio.open(result / "classes.tif") as raster:
        classes, transform = raster.read(1), raster.transform
        pixel = abs(transform.determinant)
    percent = read(result / "probability.tif")

    def burnt(column: str) -> NDArray[Any]:
        shapes = zip(regions.geometry, regions[column], strict=True)
        return np.asarray(rasterize(shapes, classes.shape, transform=transform, dtype="float64"))

    assert np.array_equal(burnt("class_id"), classes)
    number = burnt("region_id").astype(int)
    assert set(np.unique(number)) - {0} == set(regions.region_id)
    mean = np.bincount(number.ravel(), percent.ravel())[1:] / np.bincount(number.ravel())[1:]
    at = regions.region_id.to_numpy() - 1
    assert np.allclose(regions.probability, mean[at] / 100)
    assert np.array_equal(regions.pixels, np.bincount(number.ravel())[1:][at])
    assert np.allclose(regions.area_m2, regions.pixels * pixel, rtol=2e-3)
    assert (regions.geometry.apply(lambda each: len(each.geoms)) == 1).all()
    named = {each.value + 1: each.name for each in CLASSES}
    assert (regions["class"] == regions.class_id.map(named)).all()


def test_the_record_and_the_status_tell_of_the_run(folder: Path) -> None:
    record = read_prediction(RunFolder(folder / "out"))
    assert record is not None
    classes = read(folder / "out" / "crop" / "classes.tif")
    assert record.scenes[0].valid_pixels == int((classes > 0).sum())
    assert [each.id for each in record.classes] == [1, 2, 3]
    shares = np.bincount(classes.ravel())[1:] / (classes > 0).sum()
    assert np.allclose([each.share for each in record.classes], shares, atol=1e-3)
    assert sum(each.regions for each in record.classes) == record.regions > 3
    assert record.network.sha256 == read_model(folder / "model").weights_sha256
    status = run_status(folder / "out")
    grid = TileGrid(160, 200, 96, 32)
    assert (status.state, status.scenes[0].done, status.failed) == ("finished", len(grid), ())
    before = (folder / "out" / "run.json").stat().st_mtime_ns
    assert predict(folder / "crop.tif", folder / "model", folder / "out") == record
    assert (folder / "out" / "run.json").stat().st_mtime_ns == before


def test_tiles_blend_into_what_the_network_says_of_each(folder: Path) -> None:
    model = read_model(folder / "model")
    classes = read(folder / "out" / "crop" / "classes.tif")
    grid = TileGrid(160, 200, 96, 32)
    expected = np.zeros((3, 160, 200))
    seen = np.zeros((160, 200), int)
    for tile in grid:
        found = probabilities(folder, model, tile.window)
        expected[:, *tile.window.toslices()] += found * grid.weights(tile)
        seen[tile.window.toslices()] += 1
        if (tile.row, tile.col) == (0, 0):
            first = found
    # Bytes hold a probability to 1 / 510: where two classes are nearer, either may win.
    low, high = np.sort(expected, axis=0)[1:]
    plain = (classes > 0) & (high - low > 0.01)
    assert plain.mean() > 0.7
    assert np.array_equal(classes[plain], expected.argmax(axis=0)[plain] + 1)
    alone = plain[:96, :96] & (seen[:96, :96] == 1)
    assert alone.sum() > 2000
    assert np.array_equal(classes[:96, :96][alone], first.argmax(axis=0)[alone] + 1)


def test_blending_leaves_no_seam_where_tiles_that_meet_leave_one(tmp_path: Path) -> None:
    model = tmp_path / "model"
    train_small(make_chips(tmp_path / "chips", train=6), model, epochs=6)
    crop = cut(tmp_path / "crop.tif", "naip_md_1m.tif", Window(300, 300, 320, 256))
    excess = {}
    for overlap in (0, 32):
        out = tmp_path / str(overlap)
        predict(crop, model, out, tile_size=64, overlap=overlap)
        found = evaluate_seams(str(out / "crop" / "classes.tif"), 64, overlap)
        excess[overlap] = found.excess
    # Without an overlap classes change about twice as often from tile to tile as elsewhere.
    assert excess[0] > 0.4
    assert -0.3 < excess[32] < 0.05


def test_flips_are_averaged(folder: Path, tmp_path: Path) -> None:
    crop = cut(tmp_path / "crop.tif", NEON, Window(8, 8, 4 * STRIDE, 2 * STRIDE))
    with rasterio.open(crop) as file:
        profile, pixels = file.profile, file.read()
    with rasterio.open(tmp_path / "mirrored.tif", "w", **profile) as file:
        file.write(pixels[:, ::-1, ::-1])
    whole = {"tile_size": 128, "overlap": 0, "flips": True}
    for name in ("crop", "mirrored"):
        predict(tmp_path / f"{name}.tif", folder / "model", tmp_path / name, **whole)
    found, mirrored = (
        read(tmp_path / name / name / "classes.tif") for name in ("crop", "mirrored")
    )
    assert (found == mirrored[::-1, ::-1]).mean() > 0.99
    plain = predict(crop, folder / "model", tmp_path / "plain", **{**whole, "flips": False})
    assert plain.regions > 0
    assert (read(tmp_path / "plain" / "crop" / "classes.tif") != found).mean() > 0.01


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (33, 2)])
def test_scenes_smaller_than_the_stride_are_padded(
    folder: Path, tmp_path: Path, shape: tuple[int, int]
) -> None:
    crop = cut(tmp_path / "crop.tif", NEON, Window(50, 50, shape[1], shape[0]))
    predict(crop, folder / "model", tmp_path / "out")
    classes = read(tmp_path / "out" / "crop" / "classes.tif")
    assert classes.shape == shape
    assert (classes > 0).all()


def test_bands_are_found_by_name_number_or_choice(folder: Path, tmp_path: Path) -> None:
    crop = cut(tmp_path / "crop.tif", "naip_md_1m.tif", Window(100, 100, 64, 64))
    named = predict(crop, folder / "model", tmp_path / "named")
    assert named.scenes[0].bands == ("red", "green", "blue")
    write_random_model(tmp_path / "numbered", ("1", "2", "3"))
    numbered = predict(crop, tmp_path / "numbered", tmp_path / "numbers")
    assert numbered.scenes[0].bands == ("red", "green", "blue")
    assert any("red, green, blue, nir" in note for note in numbered.scenes[0].notes)
    chosen = predict(crop, folder / "model", tmp_path / "chosen", bands=(4, 1, 2))
    assert chosen.scenes[0].bands == ("nir", "red", "green")
    maps = [
        read(tmp_path / each / "crop" / "classes.tif") for each in ("named", "numbers", "chosen")
    ]
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


def test_a_model_of_pictures_sees_the_stretched_scene(tmp_path: Path) -> None:
    write_random_model(tmp_path / "model", ("1", "2", "3"), values="8bit")
    crop = cut(tmp_path / "crop.tif", "sentinel2_uint16_4band.tif", Window(0, 0, 64, 64))
    predict(crop, tmp_path / "model", tmp_path / "out")
    predict(crop, tmp_path / "model", tmp_path / "dark", stretch=(0, 100))
    maps = [read(tmp_path / each / "crop" / "classes.tif") for each in ("out", "dark")]
    assert not np.array_equal(maps[0], maps[1])


def test_ids_are_the_values_of_masks_that_begin_at_one(tmp_path: Path) -> None:
    classes = tuple(replace(each, value=each.value * 100 + 7) for each in CLASSES)
    write_random_model(tmp_path / "model", classes=classes)
    crop = cut(tmp_path / "crop.tif", NEON, Window(100, 60, 64, 64))
    record = predict(crop, tmp_path / "model", tmp_path / "out")
    assert [each.id for each in record.classes] == [7, 107, 207]
    assert set(np.unique(read(tmp_path / "out" / "crop" / "classes.tif"))) <= {0, 7, 107, 207}


def test_maps_of_predictions_are_not_taken_for_scenes(folder: Path) -> None:
    for name in ("classes.tif", "probability.tif"):
        assert is_own_result(folder / "out" / "crop" / name)
    assert not is_own_result(folder / "crop.tif")
