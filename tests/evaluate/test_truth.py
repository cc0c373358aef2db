"""Truth comes out on the grid of the labels, from any raster and any vector file."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from evaluate_rasters import GRID, LANDCOVER, NAIP, UTM, read_ids, write_ids
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.features import shapes
from rasterio.warp import Resampling, reproject, transform_bounds
from rasterio.windows import Window, subdivide
from shapely.geometry import Point, box, shape

from alps_geo.errors import AlpsGeoError, SceneError, SettingsError
from alps_geo.evaluate.rasters import open_ids
from alps_geo.evaluate.truth import open_truth
from alps_geo.evaluate.truth_file import TruthFile
from alps_geo.windows import whole

CROP = 200
"""Side of the piece of the land cover that is made into polygons, in pixels."""


def blank(path: Path, height: int, width: int, transform: Affine = GRID, **options: Any) -> Path:
    return write_ids(path, np.ones((height, width), np.uint8), transform=transform, **options)


def read(
    truth: Path, labels: Path, *, size: int = 10_000, **options: Any
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Read truth on the grid of labels in windows of `size`; -1 where there is none."""
    with ExitStack() as stack:
        grid = stack.enter_context(open_ids(str(labels)))
        opened = stack.enter_context(open_truth(TruthFile(str(truth), **options), grid))
        classes = np.full((grid.height, grid.width), -1, np.int32)
        valid = np.zeros(classes.shape, bool)
        for window in subdivide(whole(*classes.shape), size, size):
            classes[window.toslices()], valid[window.toslices()] = opened.read(window)
    return np.where(valid, classes, -1), valid


@pytest.fixture(scope="module")
def crop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels on a piece of the NAIP scene."""
    return blank(tmp_path_factory.mktemp("crop") / "labels.tif", CROP, CROP)


@pytest.fixture(scope="module")
def landcover() -> NDArray[np.uint8]:
    return read_ids(LANDCOVER)


@pytest.fixture(scope="module")
def polygons(landcover: NDArray[np.uint8]) -> gpd.GeoDataFrame:
    found = list(shapes(landcover[:CROP, :CROP], transform=GRID))
    values = [int(value) for _, value in found]
    names = dict(enumerate(["", "water", "trees", "grass", "bare", "paved", "road"]))
    return gpd.GeoDataFrame(
        {"code": values, "kind": [names[value] for value in values]},
        geometry=[shape(outline) for outline, _ in found],
        crs=UTM,
    )


def test_a_raster_on_the_same_grid_is_read_as_it_is(landcover: NDArray[np.uint8]) -> None:
    classes, valid = read(LANDCOVER, LANDCOVER, size=300)
    assert valid.all()
    assert (classes == landcover).all()


@pytest.mark.parametrize(
    "turn",
    [Affine.rotation(20), Affine.scale(1, -1), Affine.scale(2.5, 0.7) @ Affine.translation(3, -40)],
    ids=["rotated", "south-up", "shifted, pixels not square"],
)
def test_a_raster_on_another_grid_gives_its_nearest_pixels(
    tmp_path: Path, landcover: NDArray[np.uint8], turn: Affine
) -> None:
    labels = blank(tmp_path / "labels.tif", 300, 260, GRID @ Affine.translation(100, 200) @ turn)
    classes, valid = read(LANDCOVER, labels)
    rows, cols = np.indices(classes.shape)
    with rasterio.open(labels) as dataset:
        across, down = (~GRID @ dataset.transform) @ (cols + 0.5, rows + 0.5)
    inside = (across >= 0) & (across < 1024) & (down >= 0) & (down < 1024)
    assert (valid == inside).all()
    at = np.floor(down[inside]).astype(int), np.floor(across[inside]).astype(int)
    assert (classes[inside] == landcover[at]).all()
    assert (classes == read(LANDCOVER, labels, size=70)[0]).all()


def test_a_raster_in_another_crs_is_brought_home(
    tmp_path: Path, landcover: NDArray[np.uint8]
) -> None:
    with rasterio.open(LANDCOVER) as dataset:
        left, bottom, right, top = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        transform = Affine(3e-6, 0, left, 0, -3e-6, top)
        shape = int((top - bottom) / 3e-6), int((right - left) / 3e-6)
        degrees = np.zeros(shape, np.uint8)
        reproject(
            rasterio.band(dataset, 1),
            degrees,
            dst_crs="EPSG:4326",
            dst_transform=transform,
            dst_nodata=0,
            resampling=Resampling.nearest,
        )
    truth = write_ids(tmp_path / "degrees.tif", degrees, "EPSG:4326", transform, nodata=0)
    labels = blank(tmp_path / "labels.tif", 1024, 1024)
    classes, valid = read(truth, labels)
    assert valid.mean() > 0.999
    # A third of a metre per pixel: what differs lies on borders between classes.
    assert (classes == landcover).mean() > 0.97
    assert (classes == read(truth, labels, size=333)[0]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("how", ["nodata", "mask", "alpha", "nan", "outside"])
def test_no_data_is_no_truth(tmp_path: Path, how: str, dtype: type[np.generic]) -> None:
    values = np.arange(1600).reshape(40, 40) % 5
    expected = values.copy()
    stored = np.where(values == 3, np.nan, values) if how == "nan" else values.astype(dtype)
    truth = write_ids(tmp_path / "t.tif", stored, nodata=3 if how == "nodata" else None)
    if how == "mask":
        with rasterio.open(truth, "r+") as dataset:
            dataset.write_mask(values != 3)
    if how == "alpha":
        with rasterio.open(truth) as dataset:
            profile = {**dataset.profile, "count": 2, "alpha": "yes"}
        with rasterio.open(truth, "w", **profile) as dataset:
            dataset.write(stored, 1)
            dataset.write(((values != 3) * 255).astype(dtype), 2)
            dataset.colorinterp = (ColorInterp.gray, ColorInterp.alpha)
    if how != "outside":
        expected[values == 3] = -1
    labels = blank(tmp_path / "labels.tif", 50, 50, GRID @ Affine.translation(-10, -10))
    classes, valid = read(truth, labels)
    # 0 is a class like any other, unless the raster says that it is none.
    assert (classes[10:, 10:] == expected).all()
    assert not valid[:10].any()
    assert not valid[:, :10].any()


def test_neither_side_needs_a_crs_if_both_have_none(tmp_path: Path) -> None:
    values = (np.arange(900).reshape(30, 30) % 7).astype(np.uint8)
    truth = write_ids(tmp_path / "t.tif", values, None, Affine.identity())
    labels = blank(tmp_path / "labels.tif", 30, 30, Affine.identity(), crs=None)
    assert (read(truth, labels)[0] == values).all()


@pytest.mark.parametrize(
    ("crs", "suffix"),
    [
        (UTM, ".gpkg"),
        ("EPSG:4326", ".gpkg"),
        ("EPSG:3857", ".gpkg"),
        ("EPSG:4326", ".geojson"),
        ("EPSG:3857", ".shp"),
    ],
)
def test_polygons_are_drawn_as_the_raster_they_came_from(
    tmp_path: Path, polygons: gpd.GeoDataFrame, landcover: Any, crop: Path, crs: str, suffix: str
) -> None:
    truth = tmp_path / f"truth{suffix}"
    polygons.to_crs(crs).to_file(truth)
    classes, valid = read(truth, crop, field="code")
    assert valid.all()
    assert (classes == landcover[:CROP, :CROP]).mean() > 0.9999
    assert (classes == read(truth, crop, field="code", size=61)[0]).all()


def test_texts_become_classes_in_alphabetical_order(
    tmp_path: Path, polygons: gpd.GeoDataFrame, crop: Path, landcover: NDArray[np.uint8]
) -> None:
    truth = tmp_path / "truth.gpkg"
    polygons.to_file(truth)
    with open_ids(str(crop)) as grid, open_truth(TruthFile(str(truth), "kind"), grid) as opened:
        names = dict(opened.names)
        classes, _ = opened.read(Window(0, 0, CROP, CROP))
    assert list(names) == list(range(1, len(names) + 1))
    assert list(names.values()) == sorted(names.values())
    paved = next(number for number, name in names.items() if name == "paved")
    assert ((classes == paved) == (landcover[:CROP, :CROP] == 5)).all()


def test_the_later_of_two_polygons_is_seen_and_gaps_are_no_truth(
    tmp_path: Path, crop: Path
) -> None:
    left, top = GRID.c, GRID.f
    frame = gpd.GeoDataFrame(
        {"code": [0, 7, None, 9]},
        geometry=[
            box(left, top - 100, left + 100, top),
            box(left + 50, top - 60, left + 150, top),
            box(left, top - 200, left + 200, top - 150),
            Point(),
        ],
        crs=UTM,
    )
    frame.to_file(tmp_path / "truth.gpkg")
    classes, _ = read(tmp_path / "truth.gpkg", crop)
    expected = np.full((CROP, CROP), -1)
    expected[:100, :100] = 0
    expected[:60, 50:150] = 7
    assert (classes == expected).all()


def two_layers(path: Path, polygons: gpd.GeoDataFrame) -> None:
    polygons.to_file(path, layer="roads")
    polygons.to_file(path, layer="houses")


def test_a_layer_is_picked_by_name(
    tmp_path: Path, polygons: gpd.GeoDataFrame, crop: Path, landcover: NDArray[np.uint8]
) -> None:
    two_layers(tmp_path / "truth.gpkg", polygons)
    classes, _ = read(tmp_path / "truth.gpkg", crop, field="code", layer="houses")
    assert (classes == landcover[:CROP, :CROP]).all()


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory, polygons: gpd.GeoDataFrame) -> Path:
    """Make a folder of everything that is no truth."""
    folder = tmp_path_factory.mktemp("wrong")
    some = polygons.head(3)
    (folder / "text.gpkg").write_text("this is no map")
    (folder / "table.csv").write_text("code,kind\n1,water\n")
    two_layers(folder / "two.gpkg", some)
    some.to_file(folder / "one.gpkg")
    some.assign(share=[0.5, 1.0, 2.0]).to_file(folder / "share.gpkg")
    some.assign(code=np.array([None] * 3, float)).to_file(folder / "null.gpkg")
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        some.set_crs(None, allow_override=True).to_file(folder / "nowhere.gpkg")
    write_ids(folder / "nowhere.tif", np.ones((9, 9), np.uint8), crs=None)
    write_ids(folder / "share.tif", np.full((9, 9), 0.5, np.float32))
    return folder


@pytest.mark.parametrize(
    ("file", "options", "kind", "message"),
    [
        ("absent.gpkg", {}, SceneError, "absent.gpkg does not exist"),
        ("text.gpkg", {}, SceneError, "text.gpkg cannot be opened"),
        ("table.csv", {}, SceneError, "table.csv: has no geometries"),
        ("two.gpkg", {}, SceneError, "has 2 layers with geometries (roads, houses)"),
        ("two.gpkg", {"layer": "rods"}, SceneError, "has no layer 'rods' with geometries"),
        ("one.gpkg", {}, SceneError, "its columns are code, kind"),
        ("one.gpkg", {"field": "cod"}, SceneError, "has no column 'cod'; its columns are"),
        ("one.gpkg", {"field": "kind", "ignore": ["x"]}, SettingsError, "--ignore is 'x', but"),
        ("one.gpkg", {"field": "code", "ignore": ["x"]}, SettingsError, "are whole numbers"),
        ("share.gpkg", {"field": "share"}, SceneError, "holds the class 0.5, expected whole"),
        ("null.gpkg", {"field": "code"}, SceneError, "column code holds no class"),
        ("nowhere.gpkg", {"field": "code"}, SceneError, "nowhere.gpkg: has no CRS, while"),
        ("nowhere.tif", {}, SceneError, "nowhere.tif: has no CRS, while"),
        ("share.tif", {}, SceneError, "holds the class 0.5, expected whole numbers"),
        (NAIP, {}, SceneError, "has 3 bands, expected one band"),
        (LANDCOVER, {"field": "code"}, SettingsError, "--field is 'code', but"),
        (LANDCOVER, {"ignore": ["water"]}, SettingsError, "--ignore is 'water', but"),
    ],
)
def test_truth_that_is_none_is_refused_in_one_line(
    wrong: Path,
    crop: Path,
    file: str | Path,
    options: dict[str, Any],
    kind: type[AlpsGeoError],
    message: str,
) -> None:
    with pytest.raises(kind) as error:
        read(wrong / file, crop, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
