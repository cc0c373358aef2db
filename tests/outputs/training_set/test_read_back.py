"""Training sets are what was labelled, read back by the programs that they are for."""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import cv2
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from PIL import Image
from pycocotools.coco import COCO
from rasterio.crs import CRS
from training_sources import CHIPS, IMAGES, SCENE, ArraySource, classes, native, paste, write_set

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.outputs.training_set.record import TrainingSet


def png(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def tiff(path: Path) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            pixels: NDArray[Any] = raster.read()
    return pixels


def check_pictures(out: Path, folder: str, made: TrainingSet) -> None:
    """Pictures are those of the source, pixel for pixel."""
    for chip in made.plan.chips:
        pixels = png(out / folder / chip.split / f"{chip.name}.png")
        source = SCENE if made.plan.sources[0].name == "scene" else IMAGES[chip.source]
        np.testing.assert_array_equal(pixels, source.picture(chip.window))


def masks(out: Path, made: TrainingSet, folder: str, ending: str) -> list[NDArray[Any]]:
    return [png(out / folder / c.split / f"{c.name}{ending}") for c in made.plan.chips]


def test_mmseg_has_class_numbers_and_255(tmp_path: Path) -> None:
    """As MMSegmentation documents BaseSegDataset; the package itself builds nowhere."""
    out = tmp_path / "set"
    made = write_set(out, "mmseg")
    check_pictures(out, "img_dir", made)
    whole = paste(made, 0, SCENE, masks(out, made, "ann_dir", ".png"))
    expected = np.where(SCENE.class_numbers() < 0, 255, SCENE.class_numbers())
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, expected)
    info = json.loads((out / "metainfo.json").read_text("utf-8"))
    assert info["classes"] == classes().names
    assert info["palette"] == classes().palette
    assert (info["ignore_index"], info["reduce_zero_label"]) == (255, False)
    assert set(np.unique(whole)) <= {*range(len(info["classes"])), 255}
    # Its pairs are files of one name in two folders, but for their suffixes.
    images = {path.name.removesuffix(info["img_suffix"]) for path in out.glob("img_dir/train/*")}
    annotated = out.glob("ann_dir/train/*")
    assert images == {path.name.removesuffix(info["seg_map_suffix"]) for path in annotated}


def test_alps_has_its_own_layout_with_classes_from_1(tmp_path: Path) -> None:
    out = tmp_path / "set"
    made = write_set(out, "alps", IMAGES)
    check_pictures(out, "img_dir", made)
    found = {str(path.relative_to(out)) for path in out.rglob("*_instance_color.png")}
    assert found == {
        "instance_mask/train/a_instance_color.png",
        "instance_mask/val/a_instance_color.png",
        "instance_mask/train/b.c_instance_color.png",
    }
    for number, image in enumerate(IMAGES):
        (mask,) = (
            png(out / "instance_mask" / chip.split / f"{chip.name}_instance_color.png")
            for chip in made.plan.chips
            if chip.source == number
        )
        np.testing.assert_array_equal(mask, image.class_numbers() + 1)


@pytest.mark.parametrize("count", [254, 255, 300])
def test_masks_of_many_classes_are_16_bit(tmp_path: Path, count: int) -> None:
    table = classes(count)
    made = write_set(tmp_path / "set", "mmseg", table=table)
    ignored = 255 if count == 254 else 65535
    assert json.loads((tmp_path / "set/metainfo.json").read_text())["ignore_index"] == ignored
    whole = paste(made, 0, SCENE, masks(tmp_path / "set", made, "ann_dir", ".png"))
    expected = np.where(SCENE.class_numbers() < 0, ignored, SCENE.class_numbers())
    np.testing.assert_array_equal(whole, expected)
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert ("16-bit because there are more than 254 classes" in card) == (count > 254)


# pycocotools speaks to numpy as before version 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("sources", [(SCENE,), IMAGES])
def test_coco_is_read_by_pycocotools(tmp_path: Path, sources: tuple[Any, ...]) -> None:
    out = tmp_path / "set"
    made = write_set(out, "coco", sources)
    check_pictures(out, "images", made)
    ids: dict[tuple[str, str], NDArray[np.uint32]] = {}
    for split in made.plan.splits:
        coco = COCO(str(out / "annotations" / f"instances_{split}.json"))
        names = {each["id"]: each["name"] for each in coco.dataset["categories"]}
        assert names == dict(enumerate(classes().names, 1))
        for image in coco.loadImgs(coco.getImgIds()):
            pasted = np.zeros((image["height"], image["width"]), np.uint32)
            for each in coco.loadAnns(coco.getAnnIds(image["id"])):
                mask = coco.annToMask(each).astype(bool)
                assert not pasted[mask].any()
                assert each["area"] == mask.sum()
                rows, cols = np.nonzero(mask)
                box = [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
                assert each["bbox"] == box
                pasted[mask] = each["segment_id"]
                assert each["object_id"] == f"{image['source']}:{each['segment_id']}"
                assert each["category_id"] == each["segment_id"] % 5 + 1
            ids[split, image["file_name"].removesuffix(".png")] = pasted
    for number, source in enumerate(sources):
        found = [ids[chip.split, chip.name] for chip in made.plan.chips]
        np.testing.assert_array_equal(paste(made, number, source, found), source.ids)


def read_yolo(path: Path, shape: tuple[int, int]) -> list[tuple[int, NDArray[np.bool_]]]:
    """Read labels by the rules of Ultralytics: class, then corners in shares of the image.

    It fills polygons with OpenCV, in whole pixels.
    """
    found = []
    for line in path.read_text("utf-8").splitlines():
        values = line.split()
        points = np.array(values[1:], np.float32).reshape(-1, 2)
        assert len(points) >= 3
        assert points.min() >= 0
        assert points.max() <= 1
        mask = np.zeros(shape, np.uint8)
        cv2.fillPoly(mask, [(points * np.array(shape[::-1], np.float32)).astype(np.int32)], 1)
        found.append((int(values[0]), mask.astype(bool)))
    return found


def test_yolo_polygons_fill_to_the_objects(tmp_path: Path) -> None:
    out = tmp_path / "set"
    made = write_set(out, "yolo-seg")
    check_pictures(out, "images", made)
    with (out / "objects.csv").open(encoding="utf-8") as file:
        rows = {
            (each["split"], each["chip"], int(each["line"])): each for each in csv.DictReader(file)
        }
    ids = []
    for chip in made.plan.chips:
        shape = (chip.window.height, chip.window.width)
        pasted = np.zeros(shape, np.uint32)
        lines = read_yolo(out / "labels" / chip.split / f"{chip.name}.txt", shape)
        for line, (number, mask) in enumerate(lines, 1):
            row = rows.pop((chip.split, chip.name, line))
            assert not pasted[mask].any()
            pasted[mask] = int(row["segment_id"])
            assert number == int(row["class"]) == int(row["segment_id"]) % 5
            assert row["object_id"] == f"scene:{row['segment_id']}"
        ids.append(pasted)
    assert rows == {}
    np.testing.assert_array_equal(paste(made, 0, SCENE, ids), SCENE.ids)


def test_yolo_lists_splits_and_names(tmp_path: Path) -> None:
    write_set(tmp_path / "set", "yolo-seg", IMAGES)
    assert (tmp_path / "set" / "data.yaml").read_text("utf-8").splitlines() == [
        "train: images/train",
        "val: images/val",
        "names:",
        *(f'  {number}: "cluster {number + 1}"' for number in range(5)),
    ]
    write_set(tmp_path / "native", "yolo-seg", IMAGES, native())
    assert "channels: 4\n" in (tmp_path / "native" / "data.yaml").read_text("utf-8")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("values", ["8bit", "native"])
def test_torchgeo_pairs_chips_and_masks(tmp_path: Path, values: str) -> None:
    datasets: Any = import_module("torchgeo.datasets")

    class Chips(datasets.RasterDataset):  # type: ignore[misc]
        filename_glob = "*.tif"

    class Masks(Chips):
        is_image = False

    out = tmp_path / "set"
    made = write_set(out, "torchgeo", settings=native() if values == "native" else CHIPS)
    pairs = Chips(out / "images/train") & Masks(out / "masks/train")
    for chip in made.plan.chips:
        assert SCENE.transform is not None
        left, top = SCENE.transform @ (chip.window.col_off, chip.window.row_off)
        right, bottom = left + 2 * chip.window.width, top - 2 * chip.window.height
        sample = pairs[left:right, bottom:top]
        at = chip.window.toslices()
        numbers = SCENE.class_numbers()[at]
        np.testing.assert_array_equal(sample["mask"], np.where(numbers < 0, 255, numbers))
        expected = (
            SCENE.values[:, *at]
            if values == "native"
            else np.moveaxis(SCENE.picture(chip.window), -1, 0)
        )
        np.testing.assert_array_equal(sample["image"], expected)
    assert pairs.crs == SCENE.crs


def test_native_chips_are_the_bands_that_were_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "set"
    made = write_set(out, "mmseg", settings=native(bands=(4, 1)))
    chips = []
    for chip in made.plan.chips:
        path = out / "img_dir" / chip.split / f"{chip.name}.tif"
        with rasterio.open(path) as raster:
            assert raster.descriptions == ("nir", "red")
            assert raster.crs == SCENE.crs
            assert raster.transform == SCENE.transform @ Affine.translation(
                chip.window.col_off, chip.window.row_off
            )
        chips.append(np.moveaxis(tiff(path), 0, -1))
    whole = paste(made, 0, SCENE, [chip[..., 0] for chip in chips])
    np.testing.assert_array_equal(whole, SCENE.values[3])
    assert json.loads((out / "metainfo.json").read_text())["img_suffix"] == ".tif"


def test_a_fourth_band_of_bytes_is_no_transparency(tmp_path: Path) -> None:
    image = replace(IMAGES[0], dtype="uint8")
    write_set(tmp_path / "set", "mmseg", (image,), native())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "set/img_dir/train/a.tif") as raster:
            assert rasterio.enums.ColorInterp.alpha not in raster.colorinterp
            assert raster.transform.is_identity
            np.testing.assert_array_equal(raster.read(), image.values)


def test_geojson_lies_where_the_chip_lies(tmp_path: Path) -> None:
    out = tmp_path / "set"
    made = write_set(out, "geojson")
    check_pictures(out, "images", made)
    ids = []
    for chip in made.plan.chips:
        path = out / "labels" / chip.split / f"{chip.name}.geojson"
        text = json.loads(path.read_text("utf-8"))
        assert "coordinates" not in text
        for each in text["features"]:
            for ring in (part[0] for part in each["geometry"]["coordinates"]):
                assert shapely.LinearRing(ring).is_ccw
        frame = gpd.read_file(path)
        assert frame.crs == "EPSG:4326"
        assert (frame["class"] == frame["segment_id"] % 5).all()
        assert (frame["object_id"] == [f"scene:{each}" for each in frame["segment_id"]]).all()
        assert (frame["class_name"] == [f"cluster {each + 1}" for each in frame["class"]]).all()
        assert SCENE.transform is not None
        at = SCENE.transform @ Affine.translation(chip.window.col_off, chip.window.row_off)
        shapes = zip(frame.to_crs(SCENE.crs).geometry, frame["segment_id"], strict=True)
        shape = (chip.window.height, chip.window.width)
        burned = rasterio.features.rasterize(shapes, shape, transform=at, dtype="uint32")
        ids.append(burned)
    np.testing.assert_array_equal(paste(made, 0, SCENE, ids), SCENE.ids)


def test_geojson_without_a_crs_is_in_pixels_of_the_chip(tmp_path: Path) -> None:
    write_set(tmp_path / "set", "geojson", IMAGES)
    text = json.loads((tmp_path / "set/labels/train/a.geojson").read_text("utf-8"))
    assert text["coordinates"] == "column and row in the chip"
    shapes = [(each["geometry"], each["properties"]["segment_id"]) for each in text["features"]]
    burned = rasterio.features.rasterize(shapes, IMAGES[0].shape, dtype="uint32")
    np.testing.assert_array_equal(burned, IMAGES[0].ids)
    assert {each["properties"]["source"] for each in text["features"]} == {"train/a"}


def test_geojson_is_cut_where_longitudes_begin_again(tmp_path: Path) -> None:
    """RFC 7946, 3.1.9: nothing reaches around the Earth."""
    edge = ArraySource("edge", (48, 48), (166_000.0, 0.0), crs=CRS.from_epsg(32601), side=24)
    edge = replace(edge, corner=(166_021.443 - 50, 0.0))
    write_set(tmp_path / "set", "geojson", (edge,))
    frame = gpd.read_file(tmp_path / "set/labels/train/edge.geojson")
    west, _, east, _ = frame.total_bounds
    assert (west, east) == (-180, 180)
    parts = frame.explode().geometry
    assert (parts.bounds.maxx - parts.bounds.minx).max() < 0.01
    assert frame.geometry.is_valid.all()


@pytest.mark.parametrize(("nodata", "stored"), [(-9999.0, None), (7.0, 7.0), (float("nan"), None)])
def test_nodata_is_kept_where_the_type_holds_it(
    tmp_path: Path, nodata: float, stored: float | None
) -> None:
    source = replace(SCENE, nodata=nodata)
    made = write_set(tmp_path / "set", "torchgeo", (source,), native())
    chip = made.plan.chips[0]
    with rasterio.open(tmp_path / "set/images" / chip.split / f"{chip.name}.tif") as raster:
        assert raster.nodata == stored
