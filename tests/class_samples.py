"""Samples of classes on the crops of `edited_runs`, drawn on segments of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import rasterio
from edited_runs import SCENES, polygons

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
