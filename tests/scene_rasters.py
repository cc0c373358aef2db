"""Rasters that the tests of `alps_geo.scene` read, and looks at what is read."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from alps_geo.scene import (
    Scene,
    TilePixels,
    read_tile,
)

NAN = float("nan")

UTM = {"crs": "EPSG:32632", "transform": Affine(2.0, 0.0, 500000.0, 0.0, -2.0, 5000000.0)}
RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def write(
    path: Path,
    pixels: NDArray[Any],
    *,
    tags: tuple[ColorInterp, ...] = (),
    names: tuple[str | None, ...] = (),
    **profile: Any,
) -> str:
    """Write (B, H, W) pixels as a raster, by default a GeoTIFF in UTM."""
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "dtype": pixels.dtype, **UTM, **profile}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", count=count, height=height, width=width, **profile
        ) as dataset:
            dataset.write(pixels)
            if tags:
                dataset.colorinterp = tags
            for band, name in enumerate(names, start=1):
                dataset.set_band_description(band, name)
    return str(path)


def noise(*shape: int, low: int = 1, high: int = 255, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(7).integers(low, high, shape).astype(dtype)


def whole(scene: Scene) -> TilePixels:
    return read_tile(scene, Window(0, 0, scene.width, scene.height))


def stored(path: str | Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        pixels: NDArray[Any] = dataset.read()
    return pixels


def note_about(scene: Scene, word: str) -> str:
    (note,) = [note for note in scene.notes if word in note]
    return note
