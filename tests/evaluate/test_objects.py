"""Objects are the truth's own, and their scores those of the definitions."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from evaluate_rasters import GRID, LANDCOVER, UTM, read_ids, write_ids
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import LineString, Point, box, shape

from alps_geo.errors import AlpsGeoError, SceneError, SettingsError
from alps_geo.evaluate import ObjectQuality, TruthFile, evaluate_objects, objects_record


def measured(
    folder: Path, segments: NDArray[Any], truth: NDArray[Any] | Path, **options: Any
) -> ObjectQuality:
    path = write_ids(folder / "segments.tif", segments.astype(np.uint32))
    if not isinstance(truth, Path):
        truth = write_ids(folder / "truth.tif", truth, nodata=options.pop("nodata", None))
    file = {name: options.pop(name) for name in ("field", "ignore", "names") if name in options}
    return evaluate_objects(str(path), TruthFile(str(truth), **file), **options)


def squares(*boxes: tuple[int, int, int, int]) -> list[Any]:
    """Return boxes of pixels (row_min, col_min, row_max, col_max) as polygons on the map."""
    return [
        box(GRID.c + left, GRID.f - bottom, GRID.c + right, GRID.f - top)
        for top, left, bottom, right in boxes
    ]


def write_polygons(path: Path, geometries: list[Any], **columns: list[Any]) -> Path:
    gpd.GeoDataFrame(columns, geometry=geometries, crs=UTM).to_file(path)
    return path


def drawn(*boxes: tuple[int, int, int, int], size: int = 40) -> NDArray[np.uint8]:
    ids = np.zeros((size, size), np.uint8)
    for number, (top, left, bottom, right) in enumerate(boxes, start=1):
        ids[top:bottom, left:right] = number
    return ids


def test_scores_of_one_object_are_those_of_the_definitions(tmp_path: Path) -> None:
    # 100 pixels: 60 in a segment of 80, 30 in one of 30, 10 in none.
    segments = drawn((10, 10, 16, 20), (16, 10, 19, 20))
    segments[4:6, 10:20] = 1
    quality = measured(tmp_path, segments, drawn((10, 10, 20, 20)), classes=["1"])
    assert quality.scores.objects == 1
    assert quality.scores.mean_iou == pytest.approx(60 / 120)
    assert quality.scores.over_segmentation == pytest.approx(1 - 60 / 100)
    assert quality.scores.under_segmentation == pytest.approx(1 - 60 / 80)
    assert not any(quality.scores.matched)
    one_more = np.where((segments == 0) & (drawn((10, 10, 20, 20)) == 1), 1, segments)
    better = measured(tmp_path, one_more, drawn((10, 10, 20, 20)), classes=["1"]).scores
    assert better.mean_iou == pytest.approx(70 / 120)
    assert better.matched == (1, 0)


def test_the_best_iou_may_be_of_another_segment_than_the_largest_overlap(tmp_path: Path) -> None:
    segments = np.ones((40, 40), np.uint8)
    segments[10:14, 10:20] = 2
    quality = measured(tmp_path, segments, drawn((10, 10, 20, 20)), classes=["1"])
    assert quality.scores.mean_iou == pytest.approx(40 / 100)
    assert quality.scores.over_segmentation == pytest.approx(1 - 60 / 100)
    assert quality.scores.under_segmentation == pytest.approx(1 - 60 / 1560)


def test_two_objects_in_one_segment_are_not_both_matched(tmp_path: Path) -> None:
    truth = drawn((0, 0, 10, 10), (0, 10, 10, 20))
    quality = measured(tmp_path, drawn((0, 0, 10, 20)), truth, classes=["1", "2"])
    assert quality.scores.mean_iou == pytest.approx(0.5)
    assert quality.scores.matched == (0, 0)


@settings(max_examples=20)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    window_size=st.integers(1, 31),
    seed=st.integers(0, 99),
)
def test_regions_do_not_depend_on_windows(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int], window_size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(1, 4, shape, np.uint8)
    segments = rng.integers(0, 9, shape, np.uint8)
    classes[rng.random(shape) < 0.1] = 9
    best: dict[int, list[float]] = {1: [], 2: []}
    valid = classes != 9
    for number in best:
        regions, count = ndimage.label(classes == number)
        for region in range(1, count + 1):
            inside = regions == region
            best[number].append(
                max(
                    (inside & (segments == one)).sum()
                    / ((inside | (segments == one)) & valid).sum()
                    for one in range(1, 9)
                )
            )
    if not best[1] + best[2]:
        return
    quality = measured(
        *(tmp_path_factory.mktemp("objects"), segments, classes),
        nodata=9,
        classes=["1", "2"],
        min_area=1,
        window_size=window_size,
    )
    assert quality.pixels == valid.sum()
    for number, expected in best.items():
        scores = quality.classes[number]
        assert scores.objects == len(expected)
        if expected:
            assert scores.mean_iou == pytest.approx(np.mean(expected))
            assert scores.matched[0] == pytest.approx(np.mean(np.array(expected) > 0.5))


@pytest.mark.parametrize("window_size", [64, 1024])
def test_polygons_are_the_objects_that_regions_are(tmp_path: Path, window_size: int) -> None:
    landcover = read_ids(LANDCOVER)[:300, :300]
    segments = np.arange(300)[:, None] // 16 * 20 + np.arange(300) // 16 + 1
    regions = measured(tmp_path, segments, landcover, window_size=window_size)
    found = [(shape(outline), int(value)) for outline, value in shapes(landcover, transform=GRID)]
    polygons = gpd.GeoDataFrame(
        {"kind": [value for _, value in found]}, geometry=[one for one, _ in found], crs=UTM
    )
    # Densified, so that edges stay where they are in another CRS.
    polygons = polygons.set_geometry(polygons.segmentize(1)).to_crs("EPSG:4326")
    path = tmp_path / "polygons.geojson"
    polygons.to_file(path)
    drawn_ones = measured(tmp_path, segments, path, field="kind", window_size=window_size)
    assert drawn_ones.scores == regions.scores
    assert drawn_ones.classes == regions.classes
    assert drawn_ones.too_small == regions.too_small > 0
    assert len(regions.classes) > 3
    alike = measured(tmp_path, segments, path, window_size=window_size)
    assert (alike.scores, alike.classes) == (regions.scores, {})


def test_pixels_without_truth_are_not_held_against_a_segment(tmp_path: Path) -> None:
    segments = drawn((10, 10, 30, 20))
    truth = np.ones((40, 40), np.uint8)
    truth[10:20, 10:20] = 2
    truth[20:30] = 7
    assert measured(tmp_path, segments, truth, classes=["2"]).scores.mean_iou == 0.5
    assert measured(tmp_path, segments, truth, classes=["2"], nodata=7).scores.mean_iou == 1
    ignored = measured(tmp_path, segments, truth, classes=["2"], ignore=["7"])
    assert (ignored.scores.mean_iou, ignored.pixels) == (1, 1200)
    geometries = squares((10, 10, 20, 20), (20, 0, 30, 40))
    path = write_polygons(tmp_path / "p.gpkg", geometries, kind=["house", "cloud"])
    polygons = measured(tmp_path, segments, path, classes=["house"], ignore=["cloud"])
    assert (polygons.scores.mean_iou, polygons.pixels) == (1, 1200)
    assert measured(tmp_path, segments, path, classes=["house"]).scores.mean_iou == 0.5


def test_of_polygons_that_overlap_the_later_has_the_pixels(tmp_path: Path) -> None:
    geometries = squares((0, 0, 20, 20), (0, 0, 10, 20), (5, 5, 8, 8), (0, 0, 10, 20))
    path = write_polygons(tmp_path / "p.gpkg", geometries)
    quality = measured(tmp_path, drawn((0, 0, 10, 20), (10, 0, 20, 20)), path)
    assert (quality.scores.objects, quality.scores.matched) == (2, (1, 1))
    assert quality.without_pixels == 2
    assert objects_record(quality)["without_pixels"] == 2


def test_polygons_of_other_classes_hide_no_object(tmp_path: Path) -> None:
    geometries = squares((0, 0, 20, 20), (0, 0, 20, 20))
    path = write_polygons(tmp_path / "p.gpkg", geometries, kind=["lake", "park"], n=[1, 2])
    options = {"field": "kind", "classes": ["lake"]}
    quality = measured(tmp_path, drawn((0, 0, 20, 20)), path, **options)
    assert (quality.scores.objects, quality.scores.mean_iou) == (1, 1)
    assert quality.names[next(iter(quality.classes))] == "lake"


def test_polygons_outside_of_the_scene_are_no_objects(tmp_path: Path) -> None:
    geometries = squares((0, 0, 8, 8), (0, 40, 8, 48), (100, 0, 120, 20), (-4, 10, 4, 14))
    path = write_polygons(tmp_path / "p.gpkg", geometries)
    quality = measured(tmp_path, drawn((0, 0, 8, 8), (0, 10, 4, 14)), path)
    assert (quality.scores.objects, quality.without_pixels) == (2, 0)
    assert quality.scores.mean_iou == 1


def test_sizes_are_told_apart_and_small_objects_left_out(tmp_path: Path) -> None:
    boxes = ((0, 0, 2, 2), (4, 0, 9, 5), (10, 0, 20, 10), (0, 20, 40, 40))
    truth, segments = drawn(*boxes), drawn(*boxes[:3])
    quality = measured(tmp_path, segments, truth, classes=["1", "2", "3", "4"])
    assert quality.too_small == 1
    found = {(size.least, size.most): size.scores.objects for size in quality.sizes}
    assert found[16, 63] == found[64, 255] == found[256, 1023] == 1
    record = objects_record(quality)
    sizes: Any = record["sizes"]
    assert sizes[0]["least_m2"] == pytest.approx(16, rel=1e-2)
    assert sizes[-1]["most_m2"] is None
    assert sizes[0]["matched"] == [
        {"iou_above": 0.5, "share": 1.0},
        {"iou_above": 0.75, "share": 1.0},
    ]
    missed = next(size for size in sizes if size["least_px"] <= 800 <= (size["most_px"] or 800))
    assert (missed["mean_best_iou"], missed["over_segmentation"]) == (0, 1)
    assert missed["under_segmentation"] is None
    assert sum(size["objects"] for size in sizes) == record["objects"] == 3
    every = measured(tmp_path, segments, truth, classes=["1", "2", "3", "4"], min_area=1)
    assert (every.scores.objects, every.too_small) == (4, 0)


def test_classes_are_named_by_number_or_name_and_listed_in_their_order(tmp_path: Path) -> None:
    truth = drawn((0, 0, 8, 8), (10, 0, 18, 8), (20, 0, 28, 8))
    options = {"names": {1: "water", 2: "road"}, "classes": ["3", "water", "5"]}
    quality = measured(tmp_path, truth, truth, **options)
    assert list(quality.classes) == [3, 1, 5]
    assert quality.scores.objects == 2
    assert quality.classes[5].objects == 0
    assert quality.scores.matched == (1, 1)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"classes": ["7"]}, SceneError, "has no object of class 7 on any pixel of"),
        ({"classes": ["house"]}, SettingsError, "--classes is 'house'"),
        ({"ignore": ["0", "1"]}, SceneError, "has no object on any pixel of"),
        ({"min_area": 0}, SettingsError, "--min-area is 0, expected at least 1"),
        ({"min_area": 2000}, SettingsError, "the largest object of"),
        ({"field": "kind"}, SettingsError, "--field is 'kind'"),
    ],
)
def test_a_raster_without_objects_is_one_clear_line(
    tmp_path: Path, options: dict[str, Any], kind: type[AlpsGeoError], message: str
) -> None:
    with pytest.raises(kind, match=message) as error:
        measured(tmp_path, drawn((0, 0, 9, 9)), drawn((0, 0, 9, 9)), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"classes": ["tent"]}, SettingsError, "--classes is 'tent', but the classes in column"),
        ({"classes": ["far"]}, SceneError, "has no object of class far on any pixel of"),
        ({"classes": ["a"], "field": "empty"}, SceneError, "column empty holds no class"),
        ({"classes": ["a"], "field": "absent"}, SceneError, "has no column 'absent'"),
    ],
)
def test_polygons_without_objects_are_one_clear_line(
    tmp_path: Path, options: dict[str, Any], kind: type[AlpsGeoError], message: str
) -> None:
    geometries = squares((0, 0, 9, 9), (90, 90, 99, 99))
    columns: dict[str, list[Any]] = {"kind": ["house", "far"], "empty": [None, None]}
    path = write_polygons(tmp_path / "p.gpkg", geometries, **columns)
    with pytest.raises(kind, match=message) as error:
        measured(tmp_path, drawn((0, 0, 9, 9)), path, **{"field": "kind", **options})
    assert "\n" not in str(error.value)


def test_polygons_elsewhere_and_other_geometries_are_refused(tmp_path: Path) -> None:
    far = write_polygons(tmp_path / "far.gpkg", squares((900, 900, 950, 950)))
    with pytest.raises(
        SceneError, match=r"has no object on any pixel of .*truth of the same place"
    ):
        measured(tmp_path, drawn((0, 0, 9, 9)), far)
    small = write_polygons(tmp_path / "small.gpkg", [Point(GRID.c + 9, GRID.f - 9).buffer(0.3)])
    with pytest.raises(SceneError, match="polygons may be smaller than a pixel"):
        measured(tmp_path, drawn((0, 0, 9, 9)), small)
    line = LineString([(GRID.c, GRID.f), (GRID.c + 9, GRID.f - 9)])
    lines = write_polygons(tmp_path / "lines.gpkg", [line])
    with pytest.raises(SceneError, match="holds geometries of type LineString, expected polygons"):
        measured(tmp_path, drawn((0, 0, 9, 9)), lines)


def test_numbers_that_are_no_ids_are_refused(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "segments.tif", np.full((9, 9), -3, np.int16))
    truth = TruthFile(str(write_ids(tmp_path / "truth.tif", np.ones((9, 9), np.uint8))))
    with pytest.raises(SceneError, match="holds the id -3, expected ids from 0"):
        evaluate_objects(str(path), truth)


def test_a_raster_without_a_crs_has_no_ground_area(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "segments.tif", drawn((0, 0, 9, 9)), crs=None)
    truth = TruthFile(str(write_ids(tmp_path / "truth.tif", drawn((0, 0, 9, 9)), crs=None)))
    record = objects_record(evaluate_objects(str(path), truth, classes=["1"]))
    sizes: Any = record["sizes"]
    assert record["pixel_area_m2"] is None
    assert {size["least_m2"] for size in sizes} == {None}
