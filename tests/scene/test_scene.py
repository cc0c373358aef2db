"""Scenes: what is read of good, odd and broken rasters, and what is said about it."""

import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import DATA
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window

from alps_geo.datasets import find_scenes
from alps_geo.errors import SceneError, SettingsError
from alps_geo.grid import TileGrid
from alps_geo.scene import (
    Scene,
    TilePixels,
    fill_invalid,
    open_scene,
    read_overview,
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


# --- The shipped scenes ------------------------------------------------------------------------


def test_naip_alpha_tag_on_near_infrared_is_data() -> None:
    scene = open_scene(str(DATA / "naip_md_1m.tif"))
    assert scene.data_bands == (1, 2, 3, 4)
    assert scene.band_names == ("red", "green", "blue", "nir")
    assert "band 4 is tagged as alpha" in note_about(scene, "alpha")
    pixels = whole(scene)
    assert pixels.valid.all()
    np.testing.assert_array_equal(pixels.bands, stored(scene.path))
    np.testing.assert_array_equal(pixels.image, np.moveaxis(stored(scene.path)[:3], 0, -1))


def test_neon_nodata_255_keeps_bright_pixels() -> None:
    scene = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    pixels, raw = whole(scene), stored(scene.path)
    np.testing.assert_array_equal(pixels.valid, ~(raw == 255).all(axis=0))
    bright = (raw == 255).any(axis=0) & pixels.valid
    assert bright.sum() > 1000
    np.testing.assert_array_equal(pixels.bands[:, bright], raw[:, bright])
    assert scene.nodata == (255.0, 255.0, 255.0)


def test_landsat_collar_without_tag_equals_the_tagged_one() -> None:
    bare = open_scene(str(DATA / "landsat8_collar_uint16.tif"))
    tagged = open_scene(str(DATA / "landsat8_collar_uint16_nodata0.tif"))
    assert bare.rgb == (3, 2, 1)
    assert bare.band_names == ("blue", "green", "red")
    assert "34.0%" in note_about(bare, "taken as nodata")
    assert tagged.notes == ()
    for layer in ("image", "bands", "valid"):
        np.testing.assert_array_equal(getattr(whole(bare), layer), getattr(whole(tagged), layer))


def test_landsat5_single_geographic_band_is_repeated() -> None:
    scene = open_scene(str(DATA / "landsat5_int16_1band.tif"))
    assert scene.rgb == (1, 1, 1)
    assert "one data band" in note_about(scene, "data band")
    pixels, raw = whole(scene), stored(scene.path)
    np.testing.assert_array_equal(pixels.valid, raw[0] != -9999)
    assert (pixels.bands[0][~pixels.valid] == 0).all()
    assert scene.crs is not None
    assert scene.crs.to_epsg() == 4326


def test_sentinel2_is_stretched_by_its_own_percentiles() -> None:
    scene = open_scene(str(DATA / "sentinel2_uint16_4band.tif"))
    assert scene.rgb == (3, 2, 1)
    assert scene.band_names == ("blue", "green", "red", "nir")
    raw, image = stored(scene.path), whole(scene).image
    for channel, band in enumerate(scene.rgb):
        low, high = np.percentile(raw[band - 1], [2, 98])
        expected = np.clip((raw[band - 1] - low) / (high - low), 0, 1) * 255
        assert np.abs(image[..., channel] - expected).max() <= 0.51


@pytest.mark.parametrize("file", sorted(DATA.glob("*.tif")), ids=lambda file: file.stem)
def test_tiles_agree_with_the_whole_scene(file: Path) -> None:
    scene = open_scene(str(file))
    expected = whole(scene)
    for tile in TileGrid(scene.height, scene.width, tile_size=300, overlap=40):
        part = read_tile(scene, tile.window)
        where = tile.window.toslices()
        np.testing.assert_array_equal(part.image, expected.image[where])
        np.testing.assert_array_equal(part.valid, expected.valid[where])
        np.testing.assert_array_equal(part.bands, expected.bands[:, *where])


def test_scene_is_a_plain_value_with_the_facts_of_its_file() -> None:
    path = DATA / "naip_md_1m.tif"
    scene = open_scene(str(path))
    assert (scene.name, scene.shape, scene.dtype) == ("naip_md_1m", (1024, 1024), "uint8")
    assert scene.size_bytes == path.stat().st_size
    assert scene.mtime == path.stat().st_mtime
    assert pickle.loads(pickle.dumps(scene)) == scene == open_scene(str(path))


# --- Bands -------------------------------------------------------------------------------------


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


# --- Valid pixels ------------------------------------------------------------------------------


def test_true_alpha_counts_and_is_no_data_band(tmp_path: Path) -> None:
    pixels = noise(4, 60, 50)
    pixels[3] = 255
    pixels[3, 10:20] = 0
    scene = open_scene(write(tmp_path / "a.tif", pixels, tags=RGBA))
    assert scene.band_names == ("red", "green", "blue")
    assert scene.notes == ()
    np.testing.assert_array_equal(whole(scene).valid, pixels[3] > 0)
    assert (whole(scene).image[10:20] == 0).all()


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_collar_is_shown_in_the_colours_of_the_nearest_valid_pixel(valid: np.ndarray) -> None:
    place = np.moveaxis(np.indices(valid.shape), 0, -1)
    image = np.concatenate([place, place[..., :1]], axis=-1).astype(np.uint8)
    filled = fill_invalid(image, valid)
    np.testing.assert_array_equal(filled[valid], image[valid])
    if not valid.any():
        np.testing.assert_array_equal(filled, image)
        return
    taken = filled[..., :2].astype(int)  # each pixel's colours say where it is
    assert valid[taken[..., 0], taken[..., 1]].all()
    ways = np.hypot(*(place[:, :, None] - np.argwhere(valid)).transpose(3, 0, 1, 2)).min(axis=-1)
    np.testing.assert_allclose(np.hypot(*(place - taken).transpose(2, 0, 1)), ways)


def test_alpha_with_the_soft_edge_of_resampling_is_alpha(tmp_path: Path) -> None:
    pixels = noise(4, 60, 50)
    pixels[3] = 255
    pixels[3, 10:20] = 0
    pixels[3, 9] = 100
    scene = open_scene(write(tmp_path / "a.tif", pixels, tags=RGBA))
    assert scene.data_bands == (1, 2, 3)
    np.testing.assert_array_equal(whole(scene).valid, pixels[3] > 0)


@pytest.mark.parametrize("full", [255, 65535])
def test_alpha_of_16_bit_scenes(tmp_path: Path, full: int) -> None:
    pixels = noise(4, 60, 50, dtype="uint16")
    pixels[3] = full
    pixels[3, :5] = 0
    scene = open_scene(write(tmp_path / "a.tif", pixels, tags=RGBA))
    np.testing.assert_array_equal(whole(scene).valid, pixels[3] > 0)


@pytest.mark.parametrize("at", [(0, 0), (511, 512), (599, 1299)])
def test_one_odd_pixel_makes_an_alpha_band_data(tmp_path: Path, at: tuple[int, int]) -> None:
    pixels = np.full((4, 600, 1300), 255, np.uint8)
    pixels[:3] = 77
    pixels[3][at] = 128
    scene = open_scene(write(tmp_path / "a.tif", pixels, tags=RGBA))
    assert scene.data_bands == (1, 2, 3, 4)
    assert whole(scene).valid.all()


def test_mask_file_beside_and_mask_inside_count(tmp_path: Path) -> None:
    pixels = noise(3, 40, 50)
    mask = np.full((40, 50), 255, np.uint8)
    mask[:, :7] = 0
    for inside in (True, False):
        path = write(tmp_path / f"{inside}.tif", pixels, nodata=9)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
        assert (tmp_path / f"{inside}.tif.msk").exists() != inside
        valid = whole(open_scene(path)).valid
        np.testing.assert_array_equal(valid, (mask > 0) & ~(pixels == 9).all(axis=0))


def test_masks_of_single_bands_need_all_bands(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(2, 9, 9))
    masks = np.full((2, 9, 9), 255, np.uint8)
    masks[0, 2], masks[:, 5] = 0, 0
    write(tmp_path / "mask.tif", masks)
    with rasterio.open(tmp_path / "mask.tif", "r+") as dataset:
        dataset.update_tags(INTERNAL_MASK_FLAGS_1=0, INTERNAL_MASK_FLAGS_2=0)
    (tmp_path / "mask.tif").rename(tmp_path / "a.tif.msk")
    np.testing.assert_array_equal(whole(open_scene(path)).valid, masks.any(axis=0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_in_one_band_are_invalid(tmp_path: Path, bad: float) -> None:
    pixels = noise(3, 40, 50, dtype="float32")
    pixels[1, 5, 6] = bad
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    read = whole(scene)
    assert np.argwhere(~read.valid).tolist() == [[5, 6]]
    assert np.isfinite(read.bands).all()
    assert read.image[5, 6].tolist() == [0, 0, 0]
    assert scene.stretch is not None
    assert np.isfinite(scene.stretch).all()


def test_float64_beyond_float32_is_invalid(tmp_path: Path) -> None:
    pixels = noise(1, 9, 9, dtype="float64")
    pixels[0, 3, 4] = 1e300
    read = whole(open_scene(write(tmp_path / "a.tif", pixels)))
    assert np.argwhere(~read.valid).tolist() == [[3, 4]]


def test_zero_as_nodata_needs_all_bands_but_minus_9999_only_one(tmp_path: Path) -> None:
    for value, dtype in ((0, "int16"), (-9999, "int16"), (-9999, "float32"), (255, "uint8")):
        pixels = noise(3, 40, 50, high=250, dtype=dtype)
        pixels[:, :4] = value
        pixels[2, 10] = value
        valid = whole(open_scene(write(tmp_path / "a.tif", pixels, nodata=value))).valid
        assert not valid[:4].any()
        assert valid[10].all() == (value != -9999)
        assert valid[11:].all()


def test_float_nodata_need_not_match_to_the_last_digit(tmp_path: Path) -> None:
    pixels = noise(1, 9, 9, dtype="float32")
    pixels[0, 2] = -3.4028234663852886e38
    scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=-3.40282e38))
    assert not whole(scene).valid[2].any()
    assert whole(scene).valid.sum() == 72


def test_nodata_override_replaces_the_tag(tmp_path: Path) -> None:
    pixels = noise(3, 40, 50)
    pixels[:, 3], pixels[:, 8] = 200, 0
    path = write(tmp_path / "a.tif", pixels, nodata=200)
    assert np.unique(np.argwhere(~whole(open_scene(path)).valid)[:, 0]) == 3
    other = open_scene(path, nodata=0)
    assert np.unique(np.argwhere(~whole(other).valid)[:, 0]) == 8
    assert list(other.nodata) == [0, 0, 0]
    assert whole(open_scene(path, nodata=NAN)).valid.all()
    with pytest.raises(SceneError, match=r"a\.tif holds uint8 values, .* nodata -9999: give a"):
        open_scene(path, nodata=-9999)


def test_a_tag_between_integers_counts_as_gdal_takes_it_with_a_note(tmp_path: Path) -> None:
    pixels = noise(1, 40, 50)
    pixels[0, 3] = 0
    source = write(tmp_path / "a.tif", pixels)
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="50" rasterYSize="40"><GeoTransform>0, 1, 0, 0, 0, -1'
        '</GeoTransform><VRTRasterBand dataType="Byte" band="1">'
        "<NoDataValue>0.5</NoDataValue><SimpleSource><SourceFilename>"
        f"{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        "</VRTDataset>"
    )
    scene = open_scene(str(vrt))
    assert "GDAL takes it as 0" in note_about(scene, "nodata 0.5 cannot occur in uint8")
    with rasterio.open(vrt) as dataset:
        np.testing.assert_array_equal(whole(scene).valid, dataset.read_masks(1) > 0)
    assert whole(open_scene(str(vrt), nodata=NAN)).valid.all()


# --- Collars -----------------------------------------------------------------------------------


def collared(height: int, width: int, dtype: str = "uint8") -> NDArray[Any]:
    """Noise with a slanted collar of zeros at the left, and black spots far from it."""
    pixels = noise(3, height, width, high=200, dtype=dtype)
    edge = width // 5 + np.arange(height)[:, None] // 4
    pixels[:, np.arange(width)[None] < edge] = 0
    pixels[:, height // 2 : height // 2 + 9, -40:-20] = 0
    pixels[:, -3:, -3:] = 0
    return pixels


def test_collar_is_nodata_but_black_spots_and_corners_are_not(tmp_path: Path) -> None:
    pixels = collared(300, 400)
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    black = (pixels == 0).all(axis=0)
    expected = black.copy()
    expected[:, -50:] = False
    np.testing.assert_array_equal(whole(scene).valid, ~expected)
    assert f"{expected.mean():.1%} of the scene" in note_about(scene, "--nodata nan")
    assert whole(open_scene(scene.path, nodata=NAN)).valid.all()


def test_collar_of_a_large_scene_is_exact_in_every_tile(tmp_path: Path) -> None:
    pixels = collared(2600, 6000)
    path = write(tmp_path / "a.tif", pixels, tiled=True, compress="zstd")
    expected = (pixels == 0).all(axis=0)
    expected[:, -50:] = False
    scene = open_scene(path)
    assert "25.4%" in note_about(scene, "taken as nodata")
    for tile in TileGrid(scene.height, scene.width, tile_size=1500, overlap=100):
        valid = read_tile(scene, tile.window).valid
        np.testing.assert_array_equal(valid, ~expected[tile.window.toslices()])


def test_noisy_dark_water_at_the_border_is_no_collar(tmp_path: Path) -> None:
    pixels = noise(3, 300, 400, low=60)
    rng = np.random.default_rng(1)
    water = rng.random((300, 150)) < 0.65  # more than enough zeros to hang together
    pixels[:, :, :150] = np.where(water, 0, rng.integers(1, 6, (3, 300, 150)))
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    assert whole(scene).valid.all()
    assert not any("nodata" in note for note in scene.notes)


def test_no_collar_is_sought_where_the_file_marks_its_missing_pixels(tmp_path: Path) -> None:
    pixels = collared(300, 400)
    assert whole(open_scene(write(tmp_path / "a.tif", pixels, nodata=255))).valid.all()
    alpha = np.concatenate([pixels, np.full((1, 300, 400), 255, np.uint8)])
    assert whole(open_scene(write(tmp_path / "b.tif", alpha, tags=RGBA))).valid.all()


def test_jpeg_collar_rings_and_is_nodata_all_the_same(tmp_path: Path) -> None:
    ramp = np.linspace(60, 220, 400).astype(np.uint8)
    pixels = np.broadcast_to(ramp, (3, 300, 400)).copy()
    pixels[:, :, :117] = 0
    pixels[:, 200:260, 300:380] = 4  # a dark pond, far from the collar
    path = write(tmp_path / "a.tif", pixels, compress="jpeg", photometric="ycbcr", jpeg_quality=60)
    assert stored(path)[:, :, :117].max() > 3
    scene = open_scene(path)
    valid = whole(scene).valid
    assert not valid[:, :112].any()
    assert valid[:, 117:].all()
    assert valid[:, 112:117].mean() < 0.5
    assert "compressed with loss" in note_about(scene, "taken as nodata")


def test_jpeg_without_collar_keeps_dark_water_at_its_border(tmp_path: Path) -> None:
    pixels = noise(3, 300, 400, low=60)
    pixels[:, :, :150] = noise(3, 300, 150, low=2, high=9)
    path = write(tmp_path / "a.tif", pixels, compress="jpeg", photometric="ycbcr")
    assert whole(open_scene(path)).valid.all()


# --- Stretch -----------------------------------------------------------------------------------


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


# --- Shapes and places -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform",
    [
        Affine(2.0, 0.7, 500000.0, 0.7, -2.0, 5000000.0),
        Affine(2.0, 0.0, 500000.0, 0.0, 2.0, 5000000.0),
        Affine(2.0, 0.0, 500000.0, 0.0, -5.0, 5000000.0),
    ],
    ids=["rotated", "south-up", "oblong pixels"],
)
def test_odd_transforms_are_kept_to_the_last_digit(tmp_path: Path, transform: Affine) -> None:
    pixels = noise(3, 20, 30)
    scene = open_scene(write(tmp_path / "a.tif", pixels, transform=transform))
    assert scene.transform == transform
    np.testing.assert_array_equal(whole(scene).bands, pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (5, 2)])
def test_tiny_and_thin_scenes(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = noise(3, *shape, dtype="uint16")
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    np.testing.assert_array_equal(whole(scene).bands, pixels)
    overview = read_overview(scene, 100)
    assert overview.valid.shape == tuple(min(side, 100) for side in shape)
    assert overview.valid.all()


def test_scene_without_crs_works_and_says_so(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise(3, 9, 9), crs=None, transform=None))
    assert scene.crs is None
    assert (scene.transform, scene.has_transform) == (Affine.scale(1, -1), False)
    assert "no CRS" in note_about(scene, "areas are in pixels")


def test_window_without_data_is_all_invalid() -> None:
    scene = open_scene(str(DATA / "landsat8_collar_uint16.tif"))
    pixels = read_tile(scene, Window(700, 0, 100, 100))
    assert not pixels.valid.any()
    assert not pixels.image.any()
    assert not pixels.bands.any()


@pytest.mark.parametrize("window", [Window(0, 0, 401, 10), Window(-1, 0, 10, 10)])
def test_window_outside_the_scene_is_refused(window: Window) -> None:
    scene = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    with pytest.raises(ValueError, match="outside"):
        read_tile(scene, window)


def test_overview_has_the_scene_s_proportions_and_pixels(tmp_path: Path) -> None:
    rows, cols = np.indices((300, 120), np.uint16)
    scene = open_scene(write(tmp_path / "a.tif", np.stack([rows, cols]) + 1))
    overview = read_overview(scene, 100)
    assert overview.image.shape == (100, 40, 3)
    np.testing.assert_array_equal(overview.bands[0, :, 0], np.arange(100) * 3 + 2)
    np.testing.assert_array_equal(overview.bands[1, 0], np.arange(40) * 3 + 2)
    assert read_overview(scene, 5000).image.shape == (300, 120, 3)


def test_overviews_in_the_file_are_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(3, 512, 512, dtype="uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4], Resampling.average)
    smooth = read_overview(open_scene(path), 128).bands
    assert smooth.std() < noise(3, 512, 512).std() / 3


def test_vrt_with_bands_of_different_types(tmp_path: Path) -> None:
    pixels = noise(1, 20, 30)
    small = write(tmp_path / "u8.tif", pixels)
    real = write(tmp_path / "f32.tif", pixels.astype("float32") / 8)
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename>{file}'
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for band, (kind, file) in enumerate((("Byte", small), ("Float32", real)), start=1)
    )
    vrt = tmp_path / "a.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="30" rasterYSize="20">{bands}</VRTDataset>')
    scene = open_scene(str(vrt))
    assert scene.dtype == "float32"
    np.testing.assert_array_equal(whole(scene).bands, np.concatenate([pixels, pixels / 8]))


@pytest.mark.parametrize("driver", ["PNG", "JPEG"])
def test_plain_pictures_open_too(tmp_path: Path, driver: str) -> None:
    path = write(tmp_path / "a.img", noise(3, 9, 9), driver=driver, crs=None, transform=None)
    assert whole(open_scene(path)).valid.all()


# --- Bad input ---------------------------------------------------------------------------------


def one_line(error: pytest.ExceptionInfo[SceneError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"nowhere\.tif does not exist: check the path"):
        open_scene(str(tmp_path / "nowhere.tif"))


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    with pytest.raises(SceneError, match=r"a\.tif is empty \(0 bytes\)"):
        open_scene(str(tmp_path / "a.tif"))


def test_folder_as_scene(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="is a folder, expected a raster file"):
        open_scene(str(tmp_path))


def test_not_a_raster(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("not pixels")
    with pytest.raises(
        SceneError, match=r"a\.tif cannot be opened as a raster .* GeoTIFF"
    ) as error:
        open_scene(str(tmp_path / "a.tif"))
    one_line(error)


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tif", noise(3, 9, 9))
    # Tests may run as root, who may read everything.
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SceneError, match=r"a\.tif may not be read .* permissions"):
        open_scene(path)


def test_complex_values(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.ones((1, 9, 9), np.complex64))
    with pytest.raises(
        SceneError, match="complex64 values, expected real numbers: write amplitude"
    ):
        open_scene(path)


def test_container_of_rasters_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    for table in ("first", "second"):
        write(
            path,
            noise(3, 9, 9),
            driver="GPKG",
            RASTER_TABLE=table,
            APPEND_SUBDATASET=path.exists(),
        )
    with pytest.raises(SceneError, match=r"container of 2 rasters.* (GPKG:\S+:first)$") as error:
        open_scene(str(path))
    scene = open_scene(one_line(error).split()[-1])
    assert scene.name == "a.gpkg_first"
    assert scene.size_bytes is None


@pytest.mark.parametrize(
    ("pixels", "profile", "why"),
    [
        (np.full((3, 50, 50), 7, np.uint8), {"nodata": 7}, "nodata is 7"),
        (np.full((1, 50, 50), np.nan, np.float32), {}, "NaN"),
        (np.zeros((3, 50, 50), np.uint16), {}, "all are zero"),
        (np.zeros((4, 50, 50), np.uint8), {"tags": RGBA}, "band 4 is alpha"),
    ],
)
def test_no_valid_pixel(
    tmp_path: Path, pixels: NDArray[Any], profile: dict[str, Any], why: str
) -> None:
    path = write(tmp_path / "a.tif", pixels, **profile)
    with pytest.raises(SceneError, match=rf"a\.tif has no valid pixel \(.*{why}.*--nodata"):
        open_scene(path)


def test_the_only_valid_pixels_may_be_between_the_samples(tmp_path: Path) -> None:
    pixels = np.zeros((1, 3000, 5000), np.uint16)
    pixels[0, 2500, 4000:4002] = 5, 9
    scene = open_scene(
        write(tmp_path / "a.tif", pixels, nodata=0, compress="zstd"), stretch=(0, 100)
    )
    assert list(scene.stretch or ()) == [(5, 9)] * 3


def truncated(path: Path, share: float) -> str:
    """An uncompressed raster of 16 blocks of 256 x 256, of which only a share of bytes is left."""
    write(path, noise(3, 1024, 1024), tiled=True, blockxsize=256, blockysize=256)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return str(path)


def test_truncated_file_opens_and_the_lost_window_is_named(tmp_path: Path) -> None:
    scene = open_scene(truncated(tmp_path / "a.tif", 0.6))
    assert "cannot be read" in note_about(scene, "truncated")
    assert read_tile(scene, Window(0, 0, 256, 256)).valid.all()
    with pytest.raises(
        SceneError, match=r"a\.tif: rows 768 to 1024, columns 512 to 1024 cannot be read \(.+\)"
    ) as error:
        read_tile(scene, Window(512, 768, 512, 256))
    one_line(error)
    overview = read_overview(scene, 512)
    assert overview.valid[:200].all()
    assert not overview.valid[400:].any()


def test_file_truncated_to_its_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="truncated or damaged, copy or download it again"):
        open_scene(truncated(tmp_path / "a.tif", 0.01))


def with_a_bad_block(path: Path, row: int, col: int) -> str:
    """Overwrite what a tiled, compressed raster holds of one block."""
    with rasterio.open(path) as raster:
        start, size = (
            int(raster.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1))
            for what in ("OFFSET", "SIZE")
        )
    content = bytearray(path.read_bytes())
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    return str(path)


BLOCKS: dict[str, Any] = {
    "tiled": True,
    "blockxsize": 128,
    "blockysize": 128,
    "compress": "deflate",
}


def test_a_bad_block_leaves_data_with_a_false_alpha_tag_data(tmp_path: Path) -> None:
    with rasterio.open(DATA / "naip_md_1m.tif") as naip:
        tags, pixels = naip.colorinterp, naip.read(window=Window(300, 300, 300, 280))
    path = Path(write(tmp_path / "a.tif", pixels, tags=tags, **BLOCKS))
    scene = open_scene(with_a_bad_block(path, 2, 2))
    assert scene.data_bands == (1, 2, 3, 4)
    note_about(scene, "damaged")
    valid = read_overview(scene, 300).valid
    assert valid[: 256 - 280 // 64].all()
    assert not valid[256:, 256:].any()


def test_one_bad_block_costs_no_more_of_the_overview_than_itself(tmp_path: Path) -> None:
    """The scene is one row of blocks, so that every strip of rows has the bad one in it."""
    path = Path(write(tmp_path / "a.tif", noise(3, 120, 700), **BLOCKS))
    scene = open_scene(with_a_bad_block(path, 0, 3))
    note_about(scene, "damaged")
    valid = read_overview(scene, 700).valid
    assert not valid[:, 3 * 128 : 4 * 128].any()
    assert valid[:, : 3 * 128 - 700 // 64].all()
    assert valid[:, 4 * 128 + 700 // 64 :].all()


def test_gdal_keeps_quiet(tmp_path: Path) -> None:
    """Outside pytest, with its own logging: nothing on stderr about bad or unplaced rasters."""
    bad = truncated(tmp_path / "a.tif", 0.6)
    plain = write(tmp_path / "b.tif", noise(3, 9, 9), crs=None, transform=None)
    code = (
        "from alps_geo.scene import open_scene; import sys\n"
        "for path in sys.argv[1:]: open_scene(path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, bad, plain],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- URLs --------------------------------------------------------------------------------------


SERVER = """
import pathlib, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler

class Ranges(SimpleHTTPRequestHandler):
    # Serves byte ranges, as every host of cloud-optimised GeoTIFFs does.
    def do_GET(self):
        file = pathlib.Path(sys.argv[1] + self.path)
        if not file.is_file():
            return self.send_error(404)
        content = file.read_bytes()
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        part = content[int(asked[0]) : int(asked[1] or len(content)) + 1]
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            last = int(asked[0]) + len(part) - 1
            self.send_header("Content-Range", f"bytes {asked[0]}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(part if self.command == "GET" else b"")

    do_HEAD = do_GET

server = HTTPServer(("127.0.0.1", 0), Ranges)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def server() -> Iterator[str]:
    """A server of the test scenes: another process, as GDAL opens files with the GIL held."""
    command = [sys.executable, "-c", SERVER, str(DATA)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def test_url(server: str) -> None:
    (url,) = find_scenes([f"{server}/neon_osbs_10cm.tif"])
    scene = open_scene(url)
    assert (scene.name, scene.size_bytes, scene.mtime) == ("neon_osbs_10cm", None, None)
    local = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    np.testing.assert_array_equal(whole(scene).image, whole(local).image)


def test_url_of_nothing(server: str) -> None:
    with pytest.raises(SceneError, match=r"none\.tif cannot be opened as a raster \(HTTP.*404"):
        open_scene(f"{server}/none.tif")


# --- Finding scenes ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.tif", "c.jpg"):
        driver = "JPEG" if name.endswith("jpg") else "GTiff"
        place = {"crs": None, "transform": None} if driver == "JPEG" else UTM
        write(tmp_path / name, noise(3, 9, 9), driver=driver, **place)
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.write_mask(np.full((9, 9), 255, np.uint8))
    (tmp_path / "a.tif.ovr").write_bytes((tmp_path / "b.tif").read_bytes())
    (tmp_path / "b.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.tif").write_bytes((tmp_path / "b.tif").read_bytes())
    (tmp_path / "more").mkdir()
    write(tmp_path / "more" / "d.tif", noise(3, 9, 9))
    return tmp_path


def test_folder_gives_its_rasters_sorted(folder: Path) -> None:
    assert find_scenes([str(folder)]) == tuple(str(folder / n) for n in ("a.tif", "b.tif", "c.jpg"))


def test_glob_gives_its_rasters_sorted(folder: Path) -> None:
    assert find_scenes([str(folder / "?.tif*")]) == (str(folder / "a.tif"), str(folder / "b.tif"))
    assert find_scenes([str(folder / "**" / "d.*")]) == (str(folder / "more" / "d.tif"),)


def test_inputs_keep_their_order_and_come_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    url = "https://example.org/x.tif"
    found = find_scenes(["b.tif", url, str(folder), "./b.tif", url, "/vsimem/y.tif"])
    assert found == ("b.tif", url, str(folder / "a.tif"), str(folder / "c.jpg"), "/vsimem/y.tif")


def test_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "a[1].tif", noise(3, 9, 9))
    assert find_scenes([path]) == (path,)


def test_damaged_raster_in_a_folder_is_not_passed_over(folder: Path) -> None:
    (folder / "bad.tif").write_text("not pixels")
    assert str(folder / "bad.tif") in find_scenes([str(folder)])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("none.tif", r"none\.tif does not exist: check the path"),
        ("*.jp2", r"\*\.jp2 matches no raster: check the folder and the pattern"),
        ("more/empty", r"empty holds no raster, expected a folder"),
    ],
)
def test_input_that_names_nothing(folder: Path, given: str, problem: str) -> None:
    (folder / "more" / "empty").mkdir()
    with pytest.raises(SceneError, match=problem):
        find_scenes([str(folder / given)])


def test_a_mosaic_is_looked_at_as_the_same_pixels_in_one_file(tmp_path: Path) -> None:
    """Decimated reads of a VRT take another way; they have to come to the same pixels."""
    path = DATA / "naip_md_1m.tif"
    sources = "".join(
        f"<SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand>"
        f'<SrcRect xOff="0" yOff="0" xSize="512" ySize="1024"/>'
        f'<DstRect xOff="{left}" yOff="0" xSize="512" ySize="1024"/></SimpleSource>'
        for left in (0, 512)
    )
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="1024" rasterYSize="1024">'
        f'<VRTRasterBand dataType="Byte" band="1">{sources}</VRTRasterBand></VRTDataset>'
    )
    with rasterio.open(path) as dataset:
        left = dataset.read([1], window=Window(0, 0, 512, 1024))
    pixels = np.concatenate([left, left], axis=2)
    flat = write(tmp_path / "flat.tif", pixels)
    for longest in (300, 777):
        mosaic, file = (read_overview(open_scene(str(p)), longest) for p in (vrt, flat))
        np.testing.assert_array_equal(mosaic.bands, file.bands)
        np.testing.assert_array_equal(mosaic.valid, file.valid)
