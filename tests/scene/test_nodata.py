"""Missing pixels of a scene: tags as GDAL takes them, huge values, lossy collars, empty bands."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import DATA, alps_geo
from numpy.typing import NDArray
from rasterio.windows import Window

from alps_geo.errors import SceneError
from alps_geo.scene import Scene, open_scene, read_tile

UTM = {"crs": "EPSG:32632", "transform": Affine(2.0, 0.0, 500000.0, 0.0, -2.0, 5000000.0)}
NAN = float("nan")
QUICK = ("--points", "grid:2", "--clusters", "1", "--quiet")
LOWEST = float(np.finfo(np.float32).min)
GDAL_TYPES = {"uint8": "Byte", "int16": "Int16", "uint16": "UInt16", "int64": "Int64"}
GDAL_TYPES |= {"int8": "Int8", "float32": "Float32", "float64": "Float64"}


def write(path: Path, pixels: NDArray[Any], **profile: Any) -> str:
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "dtype": pixels.dtype, **UTM, **profile}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as file:
            file.write(pixels)
    return str(path)


def with_tag(source: str, tag: str) -> str:
    """Write a VRT whose nodata tag is that very text, which rasterio would not write."""
    with rasterio.open(source) as file:
        (height, width), dtype = file.shape, GDAL_TYPES[file.dtypes[0]]
        bands = "".join(
            f'<VRTRasterBand dataType="{dtype}" band="{band}"><NoDataValue>{tag}</NoDataValue>'
            f"<SimpleSource><SourceFilename>{source}</SourceFilename>"
            f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
            for band in file.indexes
        )
    path = Path(source).with_suffix(".vrt")
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>5e5, 2, 0, 5e6, 0, -2</GeoTransform>{bands}</VRTDataset>"
    )
    return str(path)


def noise(*shape: int, low: int = 1, high: int = 255, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(7).integers(low, high, shape).astype(dtype)


def valid(scene: Scene) -> NDArray[np.bool_]:
    return read_tile(scene, Window(0, 0, scene.width, scene.height)).valid


def gdal_mask(path: str) -> NDArray[np.bool_]:
    with rasterio.open(path) as file:
        return np.asarray(file.read_masks(1) > 0)


# --- What GDAL counts as nodata ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "tag", "missing"),
    [
        ("float32", "-3.4e+38", [LOWEST, -3.4e38]),
        ("float32", "-9999", [-9999, -9999.004]),
        ("float32", "0.1", [0.1]),
        ("float64", "-1.7976931348623157e+308", [float(np.finfo(np.float64).min)]),
        ("int8", "-128", [-128]),
        ("int16", "-9999.4", [-9999]),
        ("uint16", "65535.0", [65535]),
        ("int64", "-9223372036854775808", [-(2**63)]),
        ("int64", "9223372036854775807", [2**63 - 1]),
    ],
)
def test_nodata_is_what_gdal_counts_as_such(
    tmp_path: Path, dtype: str, tag: str, missing: list[float]
) -> None:
    pixels = noise(1, 9, 9, high=100, dtype=dtype)
    pixels[0, 2, : len(missing)] = missing
    path = with_tag(write(tmp_path / "a.tif", pixels), tag)
    assert (~gdal_mask(path)).sum() == len(missing)
    np.testing.assert_array_equal(valid(open_scene(path)), gdal_mask(path))


def test_a_tag_cut_short_leaves_no_hole_labelled(tmp_path: Path) -> None:
    with rasterio.open(DATA / "naip_md_1m.tif") as file:
        pixels = file.read([1], window=Window(400, 400, 96, 96)) / np.float32(255)
    hole = np.zeros((96, 96), np.bool_)
    hole[:40, :40] = True
    pixels[0, hole] = LOWEST
    scene = with_tag(write(tmp_path / "a.tif", pixels.astype("float32")), "-3.4e+38")
    outcome = alps_geo("label", scene, "--out", tmp_path / "out", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    with rasterio.open(tmp_path / "out" / "a" / "labels.tif") as labels:
        np.testing.assert_array_equal(labels.read(1) == 0, hole)


@pytest.mark.parametrize(("value", "dtype"), [(LOWEST, "float32"), (1e31, "float64")])
def test_values_beyond_1e30_are_no_data_with_a_note(
    tmp_path: Path, value: float, dtype: str
) -> None:
    pixels = noise(3, 20, 30, dtype=dtype)
    pixels[1, 4] = value
    for tag in (None, -9999):
        scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=tag))
        (note,) = [note for note in scene.notes if "1e+30" in note]
        assert f"{value:g}" in note
        assert np.unique(np.argwhere(~valid(scene))[:, 0]).tolist() == [4]
    tagged = open_scene(write(tmp_path / "b.tif", pixels, nodata=value))
    assert not any("1e+30" in note for note in tagged.notes)
    np.testing.assert_array_equal(valid(tagged), valid(scene))


def test_the_lowest_64_bit_integer_is_no_data_whatever_became_of_its_tag(tmp_path: Path) -> None:
    pixels = noise(2, 9, 9, dtype="int64")
    pixels[1, 2] = np.iinfo(np.int64).min
    # GDAL reads what rasterio writes of this tag, -9.22e+18, as -9.
    scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=np.iinfo(np.int64).min))
    assert np.unique(np.argwhere(~valid(scene))[:, 0]).tolist() == [2]
    assert any("lowest 64-bit integer" in note for note in scene.notes)


def test_the_highest_64_bit_integer_can_be_given_as_nodata(tmp_path: Path) -> None:
    pixels = noise(1, 9, 9, dtype="int64")
    pixels[0, 2] = np.iinfo(np.int64).max
    scene = open_scene(write(tmp_path / "a.tif", pixels), nodata=float(2**63 - 1))
    assert np.unique(np.argwhere(~valid(scene))[:, 0]).tolist() == [2]


# --- Palettes without colours ------------------------------------------------------------------


def palette_tag(source: str, dtype: str = "Byte") -> str:
    path = Path(source).with_suffix(".vrt")
    path.write_text(
        '<VRTDataset rasterXSize="90" rasterYSize="80"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>5e5, 2, 0, 5e6, 0, -2</GeoTransform>"
        f'<VRTRasterBand dataType="{dtype}" band="1"><ColorInterp>Palette</ColorInterp>'
        f"<SimpleSource><SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return str(path)


@pytest.mark.parametrize("dtype", ["Byte", "Int16", "Float32"])
def test_a_palette_tag_without_colours_is_a_grey_band(tmp_path: Path, dtype: str) -> None:
    numbers = noise(1, 80, 90, low=0, high=9)
    path = palette_tag(write(tmp_path / "a.tif", numbers), dtype)
    scene = open_scene(path)
    assert scene.band_names == ("band_1",)
    assert scene.rgb == (1, 1, 1)
    assert scene.palette is None
    (note,) = [note for note in scene.notes if "palette" in note]
    assert "band 1" in note
    pixels = read_tile(scene, Window(0, 0, 90, 80))
    np.testing.assert_array_equal(pixels.bands, numbers)


def test_a_scene_with_a_palette_tag_without_colours_is_labelled(tmp_path: Path) -> None:
    path = palette_tag(write(tmp_path / "a.tif", noise(1, 80, 90, low=0, high=9)))
    outcome = alps_geo("label", path, "--out", tmp_path / "out", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr


# --- Lossy collars next to a nodata tag --------------------------------------------------------


def collared(tag: int, height: int = 300, width: int = 400) -> NDArray[np.uint8]:
    """Draw a ramp of greys with a collar at the left, and a pond near its value far from it."""
    ramp = np.linspace(60, 200, width).astype(np.uint8)
    pixels = np.broadcast_to(ramp, (3, height, width)).copy()
    pixels[:, :, :117] = tag
    pixels[:, 200:260, 300:380] = abs(tag - 4)
    return pixels


def assert_collar_is_missing(path: str, tag: int, found: NDArray[np.bool_]) -> None:
    with rasterio.open(path) as file:
        missed = (file.read() != tag).any(axis=0)  # as far as the tag goes
    assert missed[:, :117].any()
    assert not found[:, :112].any()
    assert found[:, :117].sum() < 0.5 * missed[:, :117].sum()
    np.testing.assert_array_equal(found[:, 117:], missed[:, 117:])


@pytest.mark.parametrize("tag", [0, 255])
@pytest.mark.parametrize("size", [(300, 400), (600, 4500)])
def test_a_lossy_collar_next_to_its_tag_is_no_data(
    tmp_path: Path, tag: int, size: tuple[int, int]
) -> None:
    jpeg = {"compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 60}
    path = write(tmp_path / "a.tif", collared(tag, *size), nodata=tag, tiled=True, **jpeg)
    scene = open_scene(path)
    assert_collar_is_missing(path, tag, valid(scene))
    (note,) = [note for note in scene.notes if "compressed with loss" in note]
    assert f"near nodata {tag}" in note
    assert valid(open_scene(path, nodata=NAN)).all()


@pytest.mark.parametrize("tag", [0, 255])
def test_webp_collars_count_too(tmp_path: Path, tag: int) -> None:
    pixels = collared(tag)
    pixels[:, :, 117:300] = noise(3, 300, 183, low=20, high=230)
    path = write(tmp_path / "a.tif", pixels, nodata=tag, compress="webp", webp_level=75)
    with rasterio.open(path) as file:
        missed = (file.read() != tag).any(axis=0)[:, :117].sum()
    assert missed > 1000
    assert valid(open_scene(path))[:, :117].sum() < 0.1 * missed


def test_a_lossless_tag_is_taken_at_its_word(tmp_path: Path) -> None:
    pixels = collared(0)
    pixels[:, :, 110:117] = 5
    scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=0, compress="deflate"))
    np.testing.assert_array_equal(valid(scene), (pixels != 0).any(axis=0))


# --- Empty bands -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "fill", "nodata"),
    [("int16", -9999, -9999), ("float32", NAN, None), ("float32", LOWEST, None)],
)
def test_a_band_without_data_is_left_out_with_a_note(
    tmp_path: Path, dtype: str, fill: float, nodata: float | None
) -> None:
    pixels = noise(7, 40, 50, dtype=dtype)
    pixels[[1, 4]] = fill
    pixels[:, 3] = fill
    scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=nodata))
    assert scene.data_bands == (1, 3, 4, 6, 7)
    assert scene.band_names == ("band_1", "band_3", "band_4", "band_6", "band_7")
    (note,) = [note for note in scene.notes if "left out" in note]
    assert "bands 2 and 5 hold no data" in note
    found = read_tile(scene, Window(0, 0, 50, 40))
    assert np.unique(np.argwhere(~found.valid)[:, 0]).tolist() == [3]
    np.testing.assert_array_equal(found.bands[:, 4:], pixels[[0, 2, 3, 5, 6]][:, 4:])


def test_a_band_with_data_between_the_samples_is_kept(tmp_path: Path) -> None:
    pixels = noise(2, 60, 4098, dtype="int16")
    pixels[1] = -9999
    pixels[1, 31, 777] = 5  # the look at the scene takes every second row and column
    scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=-9999))
    assert scene.data_bands == (1, 2)
    assert np.argwhere(valid(scene)).tolist() == [[31, 777]]


def test_a_band_that_is_to_be_seen_may_not_be_empty(tmp_path: Path) -> None:
    pixels = noise(4, 40, 50, dtype="int16")
    pixels[1] = -9999
    path = write(tmp_path / "a.tif", pixels, nodata=-9999)
    with pytest.raises(SceneError, match=r"a\.tif: band 2 was chosen .* others with --bands"):
        open_scene(path, bands=(3, 2, 1))
    assert open_scene(path, bands=(4, 3, 1)).data_bands == (1, 3, 4)


def test_a_scene_with_an_empty_band_is_labelled_next_to_one_without(tmp_path: Path) -> None:
    pixels = noise(5, 64, 64, dtype="int16")
    whole = write(tmp_path / "b.tif", pixels, nodata=-9999)
    pixels[3] = -9999
    scene = write(tmp_path / "a.tif", pixels, nodata=-9999)
    outcome = alps_geo("label", scene, whole, "--out", tmp_path / "out", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    names = [scene["bands"] for scene in record["scenes"]]
    assert names[0] == [name for name in names[1] if name != "band_4"]
