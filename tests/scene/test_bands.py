"""Bands: found by tags and descriptions, or chosen."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from scene_rasters import NAN, RGBA, noise, note_about, stored, whole, write

from alps_geo.errors import SceneError
from alps_geo.scene import (
    open_scene,
)


@pytest.mark.parametrize(
    ("names", "rgb", "called"),
    [
        (("B02", "B03", "B04", "B08"), (3, 2, 1), ("blue", "green", "red", "nir")),
        (("Blue", "Green", "Red", "Red Edge"), (3, 2, 1), ("blue", "green", "red", "red_edge")),
        (("SR_B2", "SR_B3", "SR_B4", "SR_B5"), (3, 2, 1), ("blue", "green", "red", "nir")),
        (("near infrared", "r", "g", "b"), (2, 3, 4), ("nir", "red", "green", "blue")),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4"), (1, 2, 3), ("sr_b1", "sr_b2", "sr_b3", "sr_b4")),
        (("2019 höhe (m)", "x", "x", None), (1, 2, 3), ("band_2019_hohe_m", "x", "x_2", "band_4")),
    ],
)
def test_bands_are_found_by_description(
    tmp_path: Path,
    names: tuple[str | None, ...],
    rgb: tuple[int, int, int],
    called: tuple[str, ...],
) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise(4, 9, 9, dtype="uint16"), names=names))
    assert scene.rgb == rgb
    assert scene.band_names == called
    assumed = any("bands 1, 2 and 3 are taken as red, green and blue" in n for n in scene.notes)
    assert assumed == (rgb == (1, 2, 3))


def test_old_landsat_numbers_its_red_band_3(tmp_path: Path) -> None:
    names = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")
    scene = open_scene(write(tmp_path / "a.tif", noise(6, 9, 9, dtype="uint16"), names=names))
    assert scene.rgb == (3, 2, 1)


def test_colour_tags_win_over_descriptions_and_the_note_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(3, 9, 9), tags=RGBA[:3], names=("blue", "green", "red"))
    scene = open_scene(path)
    assert scene.rgb == (1, 2, 3)
    assert scene.band_names == ("blue", "green", "red")
    assert "--bands 3,2,1" in note_about(scene, "contradict")
    path = write(tmp_path / "b.tif", noise(3, 9, 9), tags=RGBA[:3], names=("NIR", "red", "green"))
    scene = open_scene(path)
    assert scene.band_names == ("nir", "red", "green")
    assert "sees bands 1, 2 and 3" in note_about(scene, "contradict")


def test_bands_override_chooses_what_sam_sees(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(4, 9, 9), tags=RGBA)
    scene = open_scene(path, bands=(4, 1, 2))
    assert scene.rgb == (4, 1, 2)
    assert scene.data_bands == (1, 2, 3, 4)
    np.testing.assert_array_equal(whole(scene).image, np.moveaxis(stored(path)[[3, 0, 1]], 0, -1))
    assert open_scene(path, bands=(2,)).rgb == (2, 2, 2)


@pytest.mark.parametrize("bands", [(5,), (0,), (1, 2), (1, 2, 3, 4), (1, 2, 5)])
def test_wrong_bands_are_refused(tmp_path: Path, bands: tuple[int, ...]) -> None:
    path = write(tmp_path / "a.tif", noise(4, 9, 9))
    given = ",".join(map(str, bands))
    with pytest.raises(SceneError, match=rf"a\.tif: bands {given} given, .*(three|1 to 4)"):
        open_scene(path, bands=bands)


def test_two_bands_show_the_first(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise(2, 9, 9)))
    assert scene.rgb == (1, 1, 1)
    assert "two data bands" in note_about(scene, "data bands")


def test_palette_becomes_colours(tmp_path: Path) -> None:
    numbers = noise(1, 20, 30, low=0, high=4)
    path = write(tmp_path / "a.tif", numbers, nodata=0)
    colours = {0: (9, 9, 9, 255), 1: (255, 0, 0, 255), 2: (0, 128, 0, 255), 3: (0, 0, 200, 255)}
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colours)
    scene = open_scene(path)
    assert scene.band_names == ("red", "green", "blue")
    assert "paletted" in note_about(scene, "colours")
    pixels = whole(scene)
    np.testing.assert_array_equal(pixels.valid, numbers[0] != 0)
    table = np.array([(0, 0, 0), *[colours[i][:3] for i in (1, 2, 3)]])
    np.testing.assert_array_equal(pixels.image, table[numbers[0]])
    np.testing.assert_array_equal(np.moveaxis(pixels.bands, 0, -1), table[numbers[0]])

    np.testing.assert_array_equal(whole(open_scene(path, nodata=2)).valid, numbers[0] != 2)
    assert whole(open_scene(path, bands=(1,), nodata=NAN)).bands.tolist() == numbers.tolist()
