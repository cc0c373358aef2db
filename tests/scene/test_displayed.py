"""Colours of band values, which are those of the image that SAM sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from helpers import DATA
from scene_rasters import noise, whole, write

from alps_geo.scene import Scene, open_scene

if TYPE_CHECKING:
    from pathlib import Path


def assert_displayed(scene: Scene) -> None:
    pixels = whole(scene)
    values = pixels.bands[:, pixels.valid].T.astype(np.float64)
    shown = scene.displayed(values).astype(int)
    assert np.abs(shown - pixels.image[pixels.valid]).max() <= 1


@pytest.mark.parametrize(
    "name", ["naip_md_1m", "sentinel2_uint16_4band", "landsat5_int16_1band", "neon_osbs_10cm"]
)
def test_values_are_displayed_as_in_the_image(name: str) -> None:
    assert_displayed(open_scene(str(DATA / f"{name}.tif")))


def test_bands_in_another_order_are_displayed_alike() -> None:
    scene = open_scene(str(DATA / "sentinel2_uint16_4band.tif"))
    assert_displayed(scene.in_order(scene.band_names[::-1]))


def test_scaled_values_are_displayed_by_what_is_stored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(4, 40, 40, high=9000, dtype="uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001,) * 4, (-0.1, 0, 0.2, 0)
    assert_displayed(open_scene(path))


def test_palettes_are_displayed_in_their_colours(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(1, 30, 30, high=5), photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {i: (40 * i, 255 - 30 * i, 7 * i, 255) for i in range(256 // 52)})
    assert_displayed(open_scene(path))
