"""The table of clusters, and the levels of the bands in polygons, against the pixels themselves."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from clustered_runs import SCENES, clusters, finished_run, labels, polygons, record
from helpers import DATA
from numpy.typing import NDArray

ONE_BAND, COLOURS = SCENES


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def table(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "clusters.csv", dtype={"name": str}).set_index("cluster")


def bands(name: str) -> NDArray[np.float64]:
    with rasterio.open(DATA / f"{name}.tif") as scene:
        return np.asarray(scene.read(), np.float64)


def band_names(run: Path, name: str) -> list[str]:
    columns = polygons(run, name).columns
    return [column.removeprefix("mean_") for column in columns if column.startswith("mean_")]


def assert_is_of_the_pixels(run: Path) -> None:
    found, known = table(run), record(run)
    assert found.index.tolist() == list(known)
    assert found["name"].fillna("").tolist() == [each["name"] for each in known.values()]
    assert found["color"].tolist() == [each["color"] for each in known.values()]
    assert found["segments"].tolist() == [each["segments"] for each in known.values()]
    np.testing.assert_allclose(found["area_m2"], [each["area"] for each in known.values()], 1e-6)
    pixels = sum(np.bincount(labels(run, name).ravel(), minlength=7) for name in SCENES)
    assert found["pixels"].tolist() == np.asarray(pixels)[list(known)].tolist()
    for name in SCENES:
        of_pixel = labels(run, name)
        for band, values in zip(band_names(run, name), bands(name), strict=True):
            for cluster in known:
                level = values[of_pixel == cluster]
                row = found.loc[cluster]
                if not len(level):
                    assert np.isnan(row[f"mean_{band}"])
                    continue
                assert row[f"mean_{band}"] == pytest.approx(level.mean())
                assert row[f"std_{band}"] == pytest.approx(level.std(), abs=1e-5)


def test_the_table_is_of_the_pixels_of_all_scenes(finished: Path) -> None:
    assert_is_of_the_pixels(finished)


def test_the_table_follows_every_change(run: Path) -> None:
    clusters("name", run, "3=bare, dry soil", "1=water")
    assert table(run).loc[[1, 3], "name"].tolist() == ["water", "bare, dry soil"]
    clusters("merge", run, "1", "2")
    clusters("recolor", run, "1=#123456")
    assert table(run).loc[1, "color"] == "#123456"
    assert_is_of_the_pixels(run)


def test_polygons_have_the_deviation_of_every_band(finished: Path) -> None:
    shapes = polygons(finished, COLOURS)
    with rasterio.open(finished / COLOURS / "segments.tif") as raster:
        ids = raster.read(1)
    for band, values in zip(band_names(finished, COLOURS), bands(COLOURS), strict=True):
        for segment in shapes.index[:: len(shapes) // 20]:
            level = values[ids == segment]
            assert shapes.loc[segment, f"std_{band}"] == pytest.approx(level.std(), abs=1e-6)


def test_segments_of_an_earlier_version_have_no_deviations(run: Path) -> None:
    for name in SCENES:
        path = run / ".tiles" / f"{name}.segments" / "segments.npz"
        with np.load(path) as arrays:
            kept = {key: arrays[key] for key in arrays if key != "band_stds"}
        np.savez(path, **kept)
    clusters("merge", run, "1", "2")
    found = table(run)
    assert found.filter(like="std_").isna().all(axis=None)
    assert found.filter(like="mean_").notna().any(axis=None)
