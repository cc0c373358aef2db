"""Scenes that are placed on the map by control points or RPCs, or by nothing."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.windows import Window

from alps_geo.grid import TileGrid
from alps_geo.scene import Scene, TilePixels, open_scene, read_overview, read_tile
from alps_geo.scene.placed import PIXELS, GroundControl, map_transform, north_up, opened_scene
from alps_geo.scene.raster import opened

UTM = CRS.from_epsg(32633)
STRAIGHT = Affine(0.5, 0, 500000, 0, -0.5, 5000000)
TURNED = Affine.translation(500000, 5000000) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5)
NAN = float("nan")


def coordinates(height: int, width: int, dtype: str = "uint16") -> NDArray[Any]:
    """Pixels that hold their column and row, from 1, and a constant."""
    rows, cols = np.indices((height, width)) + 1
    return np.stack([cols, rows, np.full_like(rows, 7)]).astype(dtype)


def control(ground: Affine, height: int, width: int) -> list[GroundControlPoint]:
    corners = [(row, col) for row in (0, height / 2, height) for col in (0, width / 2, width)]
    return [GroundControlPoint(r, c, *(ground @ (c, r)), 0.0) for r, c in corners]


def write(
    path: Path,
    pixels: NDArray[Any],
    *,
    gcps: list[GroundControlPoint] | None = None,
    crs: CRS = UTM,
    mask: NDArray[np.bool_] | None = None,
    tags: tuple[ColorInterp, ...] = (),
    **profile: Any,
) -> str:
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    profile = {"driver": "GTiff", "photometric": "minisblack", **shape, **profile}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile) as dataset:
            if gcps:
                dataset.gcps = (gcps, crs)
            if tags:
                dataset.colorinterp = tags
            dataset.write(pixels)
            if mask is not None:
                dataset.write_mask(mask)
    return str(path)


def whole(scene: Scene) -> TilePixels:
    return read_tile(scene, Window(0, 0, scene.width, scene.height))


def expected_pixels(scene: Scene, ground: Affine) -> NDArray[np.float64]:
    """Columns and rows of the source, from 1, that the centres of a scene's pixels lie in."""
    rows, cols = np.indices(scene.shape) + 0.5
    x, y = scene.transform @ (cols, rows)
    return np.stack(~ground @ (x, y)) + 0.5


def test_control_points_place_a_scene_on_the_map(tmp_path: Path) -> None:
    pixels = coordinates(90, 120)
    path = write(tmp_path / "a.tif", pixels, gcps=control(TURNED, 90, 120))
    scene = open_scene(path)
    (note,) = [note for note in scene.notes if "9 control points" in note]
    assert "as GDAL warps it" in note
    assert "EPSG:32633" in note
    assert (scene.crs, scene.has_transform, scene.control) == (UTM, True, None)
    assert scene.band_names == ("band_1", "band_2", "band_3")
    found = whole(scene)
    col, row = expected_pixels(scene, TURNED)
    inside = (col > 1) & (col < 120) & (row > 1) & (row < 90)
    assert found.valid[inside].all()
    outside = (col < 0) | (col > 121) | (row < 0) | (row > 91)
    assert outside.mean() > 0.2
    assert not found.valid[outside].any()
    for band, wanted in zip(found.bands[:2], (col, row), strict=True):
        assert np.abs(band - wanted)[found.valid].max() <= 0.5 + 0.01
    assert (found.bands[2][found.valid] == 7).all()
    overview = read_overview(scene, 1000)
    np.testing.assert_array_equal(overview.valid, found.valid)


def test_any_window_of_a_warped_scene_has_the_pixels_of_the_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (3, 300, 400), np.uint8)
    bent = [
        GroundControlPoint(p.row, p.col, p.x + (p.row * p.col) / 4e4, p.y, 0.0)
        for p in control(TURNED, 300, 400)
    ]
    scene = open_scene(write(tmp_path / "a.tif", pixels, gcps=bent))
    found = whole(scene)
    for tile in TileGrid(scene.height, scene.width, 100, 10):
        part = read_tile(scene, tile.window)
        at = tile.window.toslices()
        np.testing.assert_array_equal(part.bands, found.bands[:, *at])
        np.testing.assert_array_equal(part.valid, found.valid[at])


def test_nodata_and_nan_of_a_warped_scene_are_what_they_were(tmp_path: Path) -> None:
    pixels = coordinates(60, 80, "float32")
    pixels[:, :20], pixels[0, 30], pixels[1, 40] = -9999, -9999, NAN
    gcps = control(STRAIGHT, 60, 80)
    path = write(tmp_path / "a.tif", pixels, gcps=gcps, nodata=-9999)
    scene = open_scene(path)
    assert set(scene.nodata) == {-9999}
    found = whole(scene)
    expected = np.full((60, 80), fill_value=True)
    expected[:20] = expected[30] = expected[40] = False
    np.testing.assert_array_equal(found.valid, expected)
    np.testing.assert_array_equal(found.bands[:, expected], pixels[:, expected])
    taken = whole(open_scene(path, nodata=NAN))
    expected[:20] = expected[30] = True
    np.testing.assert_array_equal(taken.valid, expected)


def test_masks_alpha_and_palettes_of_warped_scenes_count(tmp_path: Path) -> None:
    gcps = control(STRAIGHT, 60, 80)
    seen = np.ones((60, 80), bool)
    seen[:, 50:] = False
    masked = write(tmp_path / "mask.tif", coordinates(60, 80), gcps=gcps, mask=seen)
    np.testing.assert_array_equal(whole(open_scene(masked)).valid, seen)

    alpha = np.where(seen, 255, 0)[None].astype(np.uint8)
    rgba = np.concatenate([coordinates(60, 80, "uint8"), alpha])
    tags = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    path = write(tmp_path / "alpha.tif", rgba, gcps=gcps, tags=tags, photometric="rgb")
    scene = open_scene(path)
    assert scene.data_bands == (1, 2, 3)
    np.testing.assert_array_equal(whole(scene).valid, seen)

    numbers = np.tile(np.arange(80, dtype=np.uint8) % 2, (60, 1))[None]
    path = write(tmp_path / "palette.tif", numbers, gcps=gcps, photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (10, 20, 30, 255), 1: (200, 100, 50, 255)})
    found = whole(open_scene(path))
    assert found.bands[:, 0, :2].T.tolist() == [[10, 20, 30], [200, 100, 50]]


def test_a_collar_of_a_warped_scene_is_found_and_the_outside_is_no_collar(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (3, 120, 160), np.uint8)
    gcps = control(TURNED, 120, 160)
    plain = open_scene(write(tmp_path / "plain.tif", pixels, gcps=gcps))
    assert plain.validity.collar is None
    pixels[:, :30] = 0
    scene = open_scene(write(tmp_path / "collar.tif", pixels, gcps=gcps))
    (note,) = [note for note in scene.notes if "is taken as nodata" in note]
    share = whole(plain).valid.mean()
    assert float(note.split("%")[0]) == pytest.approx(100 * share * 30 / 120, abs=1)
    _, row = expected_pixels(scene, TURNED)
    found = whole(scene).valid
    assert not found[row < 30].any()
    assert found[whole(plain).valid & (row > 32)].all()


def test_control_points_without_a_crs_are_used_too(tmp_path: Path) -> None:
    gcps = control(STRAIGHT, 60, 80)
    scene = open_scene(write(tmp_path / "a.tif", coordinates(60, 80), gcps=gcps, crs=CRS()))
    assert scene.crs is None
    assert scene.transform.almost_equals(STRAIGHT, 1e-6)
    assert any("areas are in pixels" in note for note in scene.notes)


def test_rpcs_place_a_scene_on_the_map(tmp_path: Path) -> None:
    column, row = ([float(i == n) for i in range(20)] for n in (1, 2))
    one = [float(i == 0) for i in range(20)]
    rpcs = RPC(
        height_off=100,
        height_scale=500,
        lat_off=45.0,
        lat_scale=0.01,
        long_off=10.0,
        long_scale=0.01,
        line_off=60,
        line_scale=60,
        samp_off=50,
        samp_scale=50,
        samp_num_coeff=column,
        samp_den_coeff=one,
        line_num_coeff=[-value for value in row],
        line_den_coeff=one,
        err_bias=None,
        err_rand=None,
    )
    path = write(tmp_path / "a.tif", coordinates(120, 100), rpcs=rpcs)
    scene = open_scene(path)
    assert scene.crs == CRS.from_epsg(4326)
    assert any("RPCs, at a height of 0 m" in note for note in scene.notes)
    west, south, east, north = rasterio.transform.array_bounds(*scene.shape, scene.transform)
    np.testing.assert_allclose([west, south, east, north], [9.99, 44.99, 10.01, 45.01], atol=3e-4)


def test_control_points_on_a_line_are_kept_for_the_results(tmp_path: Path) -> None:
    """GDAL can make no map of them."""
    gcps = [GroundControlPoint(i, i, 10.0 * i, 10.0 * i, 0.0) for i in range(4)]
    path = write(tmp_path / "a.tif", coordinates(60, 80), gcps=gcps)
    scene = open_scene(path)
    assert (scene.shape, scene.crs, scene.transform) == ((60, 80), None, PIXELS)
    assert any("that GDAL cannot warp it by" in note for note in scene.notes)
    points = tuple((float(i), float(i), 10.0 * i, 10.0 * i, 0.0) for i in range(4))
    assert scene.control == GroundControl(points, UTM)
    assert pickle.loads(pickle.dumps(scene)) == scene


def test_a_scene_with_a_transform_is_read_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", coordinates(60, 80), crs=UTM, transform=STRAIGHT)
    with opened_scene(path) as dataset:
        assert isinstance(dataset, rasterio.DatasetReader)
        assert map_transform(dataset) == STRAIGHT
    world = tmp_path / "b.tif"
    write(world, coordinates(60, 80))
    (tmp_path / "b.tfw").write_text("1\n0\n0\n1\n0.5\n0.5\n")
    with opened(str(world)) as dataset:  # a transform that is the identity, but is there
        assert map_transform(dataset) == Affine.identity()


def test_only_maps_whose_south_is_up_are_turned() -> None:
    pixels = np.arange(6).reshape(2, 3)
    for ground, expected in (
        (Affine(2, 0, 5, 0, -2, 7), [[0, 1, 2], [3, 4, 5]]),
        (Affine(2, 0, 5, 0, 2, 7), [[3, 4, 5], [0, 1, 2]]),
        (Affine(-2, 0, 5, 0, 2, 7), [[5, 4, 3], [2, 1, 0]]),
        (TURNED, [[0, 1, 2], [3, 4, 5]]),
        (Affine.identity(), [[0, 1, 2], [3, 4, 5]]),
    ):
        assert pixels[north_up(ground)].tolist() == expected
