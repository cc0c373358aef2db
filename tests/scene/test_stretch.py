"""Stretch of values to 8 bits."""

from pathlib import Path

import numpy as np
import pytest
from helpers import DATA
from scene_rasters import NAN, noise, note_about, whole, write

from alps_geo.errors import SettingsError
from alps_geo.scene import (
    open_scene,
)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int16", "uint32", "int32", "float64"])
def test_other_than_8_bit_values_are_stretched(tmp_path: Path, dtype: str) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise(3, 90, 90, high=120, dtype=dtype)))
    assert scene.stretch is not None
    assert whole(scene).image.min() == 0
    assert whole(scene).image.max() == 255


def test_8_bit_values_are_stretched_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(3, 90, 90, low=100, high=120))
    assert open_scene(path).stretch is None
    scene = open_scene(path, stretch=(0, 100))
    assert list(scene.stretch or ()) == [(100, 119)] * 3
    assert np.unique(whole(scene).image).tolist() == np.rint(np.arange(20) * 255 / 19).tolist()


@pytest.mark.parametrize(
    "stretch", [(98.0, 2.0), (5.0, 5.0), (-1.0, 98.0), (2.0, 101.0), (NAN, 9.0)]
)
def test_impossible_stretch_is_refused(stretch: tuple[float, float]) -> None:
    with pytest.raises(SettingsError, match="expected two percentiles"):
        open_scene(str(DATA / "neon_osbs_10cm.tif"), stretch=stretch)


def test_stretch_ignores_invalid_pixels_and_rare_outliers(tmp_path: Path) -> None:
    pixels = noise(1, 200, 200, low=1000, high=2000, dtype="int16")
    pixels[0, :100] = -32768
    pixels[0, 150, 150] = 30000
    scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=-32768))
    assert scene.stretch is not None
    low, high = scene.stretch[0]
    assert 1000 <= low < 1050
    assert 1950 < high < 2000


def test_even_scene_is_an_even_grey(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "a.tif", np.full((1, 30, 30), 500, np.uint16)))
    assert np.unique(whole(scene).image).tolist() == [128]
    assert "even grey" in note_about(scene, "all valid pixels")


def test_nearly_black_8_bit_scene_gets_a_note() -> None:
    scene = open_scene(str(DATA / "naip_md_1m_landcover.tif"))
    assert "--stretch" in note_about(scene, "nearly black")
