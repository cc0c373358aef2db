"""Bands that are tagged as alpha: transparency of all kinds, and near infrared."""

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
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import MemoryFile
from rasterio.windows import Window
from scipy import ndimage

from alps_geo.scene import Scene, open_scene, read_tile

pytestmark = pytest.mark.usefixtures("images_encoded_once")

RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
QUICK = ("--points", "grid:2", "--clusters", "2", "--quiet")


def write(path: Path, pixels: NDArray[Any], tags: tuple[ColorInterp, ...] = RGBA) -> str:
    count, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width,
            dtype=pixels.dtype, crs="EPSG:32618", transform=Affine(1, 0, 35e4, 0, -1, 43e5),
        ) as file:  # fmt: skip
            file.write(pixels)
        with rasterio.open(path, "r+") as file:
            file.colorinterp = tags
    return str(path)


def naip(height: int, width: int, row: int = 400, col: int = 400) -> NDArray[np.uint8]:
    with rasterio.open(DATA / "naip_md_1m.tif") as file:
        pixels: NDArray[np.uint8] = file.read(window=Window(col, row, width, height))
    return pixels


def valid(scene: Scene) -> NDArray[np.bool_]:
    return read_tile(scene, Window(0, 0, scene.width, scene.height)).valid


def disk(side: int = 200) -> NDArray[np.bool_]:
    rows, cols = np.mgrid[:side, :side] - side / 2
    return np.asarray(rows**2 + cols**2 < (0.4 * side) ** 2)


def hard(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(inside, 255, 0).astype(np.uint8)


def bilinear(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Alpha as resampling to a quarter of the pixel size leaves it."""
    values = ndimage.zoom(hard(inside)[::4, ::4].astype(float), 4, order=1)
    alpha: NDArray[np.uint8] = np.rint(values[: len(inside), : len(inside)]).astype(np.uint8)
    return alpha


def ringing(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Alpha as Lanczos leaves it: islands of values inside 0 and inside full."""
    side = len(inside)
    small = hard(inside)[:: side // 80, :: side // 80]
    with MemoryFile() as memory:
        profile = {"height": len(small), "width": len(small), "transform": Affine.scale(2, -2)}
        with memory.open(driver="GTiff", count=1, dtype="uint8", **profile) as file:
            file.write(small, 1)
        with memory.open() as file:
            alpha: NDArray[np.uint8] = file.read(
                1, out_shape=(side, side), resampling=Resampling.lanczos
            )
    return alpha


def blended(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Alpha as a cutline that is blended over 12 pixels leaves it."""
    share = np.clip(ndimage.distance_transform_edt(inside) / 12, 0, 1)
    alpha: NDArray[np.uint8] = np.rint(255 * share).astype(np.uint8)
    return alpha


def nearly_full(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    alpha = hard(inside)
    alpha[40:80][alpha[40:80] > 0] = 254
    return alpha


KINDS = {
    "hard": hard,
    "bilinear": bilinear,
    "ringing": ringing,
    "blended": blended,
    "254": nearly_full,
}


@pytest.mark.parametrize("below", ["white", "black", "kept"])
@pytest.mark.parametrize("kind", KINDS)
def test_transparency_of_any_edge_is_transparency(tmp_path: Path, kind: str, below: str) -> None:
    pixels = naip(200, 200)
    pixels[3] = KINDS[kind](disk())
    if below != "kept":
        pixels[:3, pixels[3] == 0] = 255 if below == "white" else 0
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    assert scene.band_names == ("red", "green", "blue")
    np.testing.assert_array_equal(valid(scene), pixels[3] > 0)
    partial = [note for note in scene.notes if "transparency, partial in" in note]
    assert len(partial) == (kind in {"bilinear", "ringing", "blended"})


def test_holes_with_soft_edges_are_transparent_too(tmp_path: Path) -> None:
    pixels = naip(200, 200)
    pixels[3] = blended(~disk())
    pixels[:3, pixels[3] == 0] = 0
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    np.testing.assert_array_equal(valid(scene), pixels[3] > 0)


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("sides", ["all", "two"])
def test_a_thin_collar_with_soft_edges_is_transparent(
    tmp_path: Path, width: int, sides: str
) -> None:
    inside = np.zeros((200, 200), np.bool_)
    inside[width:-width, width : -width if sides == "all" else None] = True
    inside[:, :width] |= sides == "two"
    distance = ndimage.distance_transform_edt(np.pad(inside, 6, mode="edge"))[6:-6, 6:-6]
    pixels = naip(200, 200)
    pixels[3] = np.rint(255 * np.clip(distance / 6, 0, 1))
    pixels[:3, pixels[3] == 0] = 0
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    np.testing.assert_array_equal(valid(scene), pixels[3] > 0)


def test_grey_and_16_bit_alpha_may_have_ramps(tmp_path: Path) -> None:
    for dtype in ("uint8", "uint16"):
        alpha = blended(disk()).astype(dtype) * (257 if dtype == "uint16" else 1)
        grey = np.where(alpha > 0, naip(200, 200)[0], 0).astype(dtype)
        path = write(tmp_path / "a.tif", np.stack([grey, alpha]), (ColorInterp.gray, RGBA[3]))
        scene = open_scene(path)
        assert scene.data_bands == (1,)
        np.testing.assert_array_equal(valid(scene), alpha > 0)


def test_the_ramp_of_a_large_scene_is_seen_in_a_coarse_look(tmp_path: Path) -> None:
    alpha = bilinear(disk(4400))
    pixels = np.where(alpha > 0, np.random.default_rng(0).integers(1, 255, (1, *alpha.shape)), 0)
    pixels = np.concatenate([pixels.astype(np.uint8), alpha[None]])
    scene = open_scene(write(tmp_path / "a.tif", pixels, (ColorInterp.gray, RGBA[3])))
    assert scene.data_bands == (1,)
    window = Window(2000, 300, 400, 400)
    read = read_tile(scene, window).valid
    np.testing.assert_array_equal(read, alpha[window.toslices()] > 0)


def overexposed(pixels: NDArray[np.uint8], dark: float, bright: float) -> NDArray[np.uint8]:
    """Stretch near infrared until shares of it are 0 and 255."""
    low, high = np.percentile(pixels[3], [100 * dark, 100 * (1 - bright)])
    values = (pixels[3].astype(float) - low) / (high - low)
    stretched = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.concatenate([pixels[:3], stretched[None]])


@pytest.mark.parametrize("collar", [False, True])
@pytest.mark.parametrize(("dark", "bright"), [(0.05, 0.0), (0.02, 0.2), (0.1, 0.5), (0.05, 0.6)])
def test_overexposed_near_infrared_with_dark_water_is_data(
    tmp_path: Path, dark: float, bright: float, collar: bool
) -> None:
    pixels = overexposed(naip(1024, 1024, 0, 0), dark, bright)
    if collar:
        pixels[:, :, :100] = 0
    scene = open_scene(write(tmp_path / "a.tif", pixels))
    assert scene.band_names == ("red", "green", "blue", "nir")
    (note,) = [note for note in scene.notes if "tagged as alpha" in note]
    assert "--alpha yes" in note
    assert valid(scene)[:, 100:].mean() > 0.999


# --- The option --------------------------------------------------------------------------------


def test_alpha_can_be_overruled_both_ways(tmp_path: Path) -> None:
    pixels = naip(200, 200)
    pixels[3, :20] = 0
    near_infrared = write(tmp_path / "nir.tif", pixels)
    scene = open_scene(near_infrared, alpha="yes")
    assert scene.data_bands == (1, 2, 3)
    np.testing.assert_array_equal(valid(scene), pixels[3] > 0)
    assert open_scene(near_infrared).data_bands == (1, 2, 3, 4)

    pixels[3] = hard(disk())
    scene = open_scene(write(tmp_path / "alpha.tif", pixels), alpha="no")
    assert scene.data_bands == (1, 2, 3, 4)
    assert valid(scene).all()
    assert any("as --alpha no says" in note for note in scene.notes)


def test_alpha_yes_without_a_tag_says_that_it_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", naip(50, 50)[:3], RGBA[:3])
    scene = open_scene(path, alpha="yes")
    assert any("changes nothing" in note for note in scene.notes)
    assert scene.data_bands == (1, 2, 3)


def test_the_option_decides_tiles_and_is_recorded(tmp_path: Path) -> None:
    pixels = naip(64, 64)
    pixels[3] = 255
    pixels[3, :30] = 0
    scene, out = write(tmp_path / "a.tif", pixels), tmp_path / "out"
    labels = {}
    for setting in ("auto", "no"):
        options = ("--alpha", setting, "--overwrite", *QUICK)
        outcome = alps_geo("label", scene, "--out", out, *options)
        assert outcome.exit_code == 0, outcome.stderr
        record = json.loads((out / "run.json").read_text())
        assert record["settings"]["alpha"] == setting
        with rasterio.open(out / "a" / "labels.tif") as raster:
            labels[setting] = raster.read(1)
    np.testing.assert_array_equal(labels["auto"] > 0, pixels[3] > 0)
    assert labels["no"].all()

    again = alps_geo("label", "--config", out / "run.json", "--out", out, "--json")
    assert json.loads(again.stdout) == record
    assert alps_geo("clusters", "gallery", out).exit_code == 0

    # A record of before the option has none; its scenes were opened as with auto.
    del record["settings"]["alpha"]
    (out / "run.json").write_text(json.dumps(record))
    assert alps_geo("clusters", "gallery", out).exit_code == 0


def test_another_word_for_alpha_is_wrong_usage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", naip(50, 50))
    outcome = alps_geo("label", path, "--out", tmp_path / "out", "--alpha", "maybe")
    assert outcome.exit_code == 2
    assert "--alpha" in outcome.stderr
