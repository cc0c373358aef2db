"""Valid pixels: alpha, masks, NaN and nodata."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scene_rasters import NAN, RGBA, noise, note_about, whole, write

from alps_geo.errors import SceneError
from alps_geo.scene import (
    fill_invalid,
    open_scene,
)


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


def test_mask_file_next_to_and_mask_inside_count(tmp_path: Path) -> None:
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
