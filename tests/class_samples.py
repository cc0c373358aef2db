"""Samples of classes on the crops of `edited_runs`, drawn on segments of a finished run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import rasterio
from edited_runs import SCENES, polygons, whole
from rasterio.features import rasterize
from rio_cogeo.cogeo import cog_validate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WORDS = ("wood", "grass", "road")


def segments(run: Path, scene: str = "first") -> gpd.GeoDataFrame:
    return gpd.read_file(polygons(run, scene), layer="segments").set_index("segment_id")


def brightest(run: Path, scene: str, each: int = 4) -> tuple[NDArray[np.int64], list[str]]:
    """Choose dark, middling and bright segments of near infrared, as of three classes."""
    order = segments(run, scene).sort_values("mean_nir").index.to_numpy()
    middle = len(order) // 2
    ids = np.concatenate([order[:each], order[middle : middle + each], order[-each:]])
    return ids, [word for word in WORDS for _ in range(each)]


def points(run: Path, path: Path, *, crs: int = 4326, scenes: tuple[str, ...] = SCENES) -> Path:
    """Write a point on each of the chosen segments, in another CRS."""
    names: list[str] = []
    parts = []
    for scene in scenes:
        ids, words = brightest(run, scene)
        parts.append(segments(run, scene).loc[ids].geometry.representative_point())
        names += words
    placed = np.concatenate([part.to_numpy() for part in parts])
    gpd.GeoDataFrame({"class": names}, geometry=placed, crs=parts[0].crs).to_crs(crs).to_file(path)
    return path


def classes(run: Path, scene: str = "first") -> NDArray[np.uint8]:
    with rasterio.open(run / scene / "classes.tif") as raster:
        pixels: NDArray[np.uint8] = raster.read(1)
        return pixels


def ids(run: Path, scene: str = "first") -> NDArray[np.uint32]:
    with rasterio.open(run / scene / "segments.tif") as raster:
        pixels: NDArray[np.uint32] = raster.read(1)
        return pixels


def legend(run: Path) -> dict[int, str]:
    record = json.loads((run / "run.json").read_text())
    return {each["id"]: each["name"] for each in record["classes"]}


def assert_classes_agree(run: Path) -> None:
    """Raster, polygons, dissolved layer, styles and record say the same of every segment."""
    record = json.loads((run / "run.json").read_text())
    names = legend(run)
    counts = dict.fromkeys(names, 0)
    for scene in SCENES:
        found, pixels = segments(run, scene), classes(run, scene)
        by_id = np.zeros(len(found) + 1, int)
        number = {name: each for each, name in names.items()}
        by_id[found.index] = found["class"].map(number)
        np.testing.assert_array_equal(by_id[ids(run, scene)], pixels)
        for each in names:
            counts[each] += int((by_id == each).sum())
        assert found["class_confidence"].between(0, 1).all()
        assert (found["class_margin"] <= found["class_confidence"] + 1e-9).all()
        dissolved = gpd.read_file(polygons(run, scene), layer="classes")
        assert dissolved.crs == found.crs
        assert dissolved.is_valid.all()
        with rasterio.open(run / scene / "classes.tif") as raster:
            drawn = rasterize(
                zip(dissolved.geometry, dissolved["class_id"], strict=True),
                raster.shape,
                transform=raster.transform,
            )
            colors = raster.colormap(1)
        np.testing.assert_array_equal(drawn, pixels)
        assert dissolved["segments"].sum() == len(found)
        np.testing.assert_allclose(
            dissolved.set_index("class")["area_m2"],
            found.groupby("class")["area_m2"].sum().loc[dissolved["class"]],
            rtol=1e-5,
        )
        for each in record["classes"]:
            assert "#{:02x}{:02x}{:02x}".format(*colors[each["id"]]) == each["color"]
        assert cog_validate(run / scene / "classes.tif", quiet=True)[0]
        whole(polygons(run, scene))
    assert {each["id"]: each["segments"] for each in record["classes"]} == counts
