"""Labels measured against real land cover."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate_rasters import LANDCOVER, kmeans_labels, read_ids, write_ids
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import accuracy_score, adjusted_rand_score, jaccard_score, v_measure_score

from alps_geo.errors import SceneError
from alps_geo.evaluate import (
    Quality,
    TruthFile,
    draw_quality,
    evaluate_quality,
    quality_record,
    write_quality,
)
from alps_geo.evaluate.agreement_map import NO_TRUTH, RIGHT, UNLABELLED, WRONG

CLUSTERS = 24


@pytest.fixture(scope="module")
def labels() -> NDArray[np.uint8]:
    return kmeans_labels(CLUSTERS)


@pytest.fixture(scope="module")
def landcover() -> NDArray[np.uint8]:
    return read_ids(LANDCOVER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, labels: NDArray[np.uint8]) -> Path:
    """A run folder whose segments are blocks of 64 x 64 pixels."""
    folder = tmp_path_factory.mktemp("quality") / "naip"
    folder.mkdir()
    write_ids(folder / "labels.tif", labels, nodata=0)
    rows, cols = np.indices(labels.shape)
    blocks = np.asarray(rows // 64 * 16 + cols // 64 + 1, np.uint32)
    write_ids(folder / "segments.tif", blocks)
    return folder


@pytest.fixture(scope="module")
def quality(folder: Path) -> Quality:
    return evaluate_quality(str(folder / "labels.tif"), TruthFile(str(LANDCOVER), ignore=["15"]))


def majority_map(labels: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
    found = np.zeros(labels.shape, int)
    for label in np.unique(labels[labels != 0]):
        classes, counts = np.unique(truth[labels == label], return_counts=True)
        found[labels == label] = classes[counts.argmax()]
    return found


def test_kmeans_on_pixels_scores_as_it_is_known_to(quality: Quality) -> None:
    assert quality.majority.accuracy == pytest.approx(0.76, abs=0.02)
    assert quality.majority.mean_iou == pytest.approx(0.49, abs=0.03)
    assert quality.coverage == 1


def test_scores_are_those_of_scikit_learn_on_the_whole_scene(
    quality: Quality, labels: NDArray[np.uint8], landcover: NDArray[np.uint8]
) -> None:
    truth, found = landcover.ravel(), majority_map(labels, landcover).ravel()
    assert quality.majority.accuracy == pytest.approx(accuracy_score(truth, found))
    expected = jaccard_score(truth, found, average=None, zero_division=0)
    assert quality.majority.iou == pytest.approx(expected)
    assert quality.v_measure.v_measure == pytest.approx(v_measure_score(truth, labels.ravel()))
    assert quality.adjusted_rand == pytest.approx(adjusted_rand_score(truth, labels.ravel()))


def test_the_oracle_gives_every_segment_its_majority(
    quality: Quality, folder: Path, landcover: NDArray[np.uint8]
) -> None:
    found = majority_map(read_ids(folder / "segments.tif"), landcover)
    assert quality.oracle is not None
    assert quality.oracle.accuracy == pytest.approx((found == landcover).mean())
    assert quality.segments == str(folder / "segments.tif")


@pytest.mark.parametrize("window_size", [300, 97])
def test_nothing_depends_on_the_windows(folder: Path, quality: Quality, window_size: int) -> None:
    again = evaluate_quality(
        str(folder / "labels.tif"),
        TruthFile(str(LANDCOVER), ignore=["15"]),
        window_size=window_size,
    )
    assert quality_record(again) == quality_record(quality)
    assert (again.agreement == quality.agreement).all()


def test_unlabelled_pixels_are_wrong(
    tmp_path: Path, labels: NDArray[np.uint8], landcover: NDArray[np.uint8]
) -> None:
    half = labels.copy()
    half[::2] = 0
    path = write_ids(tmp_path / "labels.tif", half)
    measured = evaluate_quality(str(path), TruthFile(str(LANDCOVER)))
    found = majority_map(half, landcover)
    assert measured.coverage == 0.5
    assert measured.majority.accuracy == pytest.approx((found == landcover).mean())
    expected = jaccard_score(
        landcover.ravel(), found.ravel(), labels=range(1, 7), average=None, zero_division=0
    )
    assert measured.majority.iou == pytest.approx(expected)
    assert measured.majority.confusion[:, -1].sum() == half.size // 2
    assert measured.oracle is None
    # Every pixel of the map has unlabelled ones above and below it, so all are boundary.
    recall = measured.boundary[1].recall[:5]
    assert (recall > 0).all()
    assert measured.boundary[0].precision.max() < 0.5


def test_truth_as_labels_is_perfect(tmp_path: Path, landcover: NDArray[np.uint8]) -> None:
    labels = write_ids(tmp_path / "labels.tif", landcover[:300, :400])
    measured = evaluate_quality(str(labels), TruthFile(str(LANDCOVER)), segments=str(labels))
    record = quality_record(measured)
    for kind in ("majority", "one_to_one", "oracle"):
        assert record[kind] == {"accuracy": 1, "mean_iou": 1, "mean_f1": 1}
    assert record["v_measure"] == pytest.approx(1)
    assert record["adjusted_rand"] == 1
    assert isinstance(record["boundary"], list)
    assert [scores["f1"] for scores in record["boundary"]] == [1, 1]
    assert measured.table.pixels == 300 * 400


def test_ignored_classes_do_not_count(
    folder: Path, labels: NDArray[np.uint8], landcover: NDArray[np.uint8]
) -> None:
    measured = evaluate_quality(
        str(folder / "labels.tif"), TruthFile(str(LANDCOVER), ignore=["2", "6"])
    )
    kept = ~np.isin(landcover, [2, 6])
    assert measured.table.classes.tolist() == [1, 3, 4, 5]
    assert measured.table.pixels == kept.sum()
    truth, own = landcover[kept], labels[kept]
    assert measured.majority.accuracy == pytest.approx((majority_map(own, truth) == truth).mean())
    assert (measured.agreement == NO_TRUTH).sum() == (~kept).sum()


def test_the_map_shows_where_the_labels_are_right(
    quality: Quality, labels: NDArray[np.uint8], landcover: NDArray[np.uint8]
) -> None:
    right = majority_map(labels, landcover) == landcover
    assert (quality.agreement == np.where(right, RIGHT, WRONG)).all()


def test_the_map_of_a_larger_raster_is_decimated(tmp_path: Path) -> None:
    labels = np.ones((1100, 2500), np.uint8)
    labels[:, 1250:] = 0
    truth = np.ones((1100, 2500), np.uint8)
    truth[550:] = 255
    paths = [
        str(write_ids(tmp_path / f"{name}.tif", ids, nodata=255))
        for name, ids in (("labels", labels), ("truth", truth))
    ]
    codes = evaluate_quality(paths[0], TruthFile(paths[1])).agreement
    assert codes.shape == (451, 1024)
    assert (codes[:225, :512] == RIGHT).all()
    assert (codes[:225, 512:] == UNLABELLED).all()
    assert (codes[226:] == NO_TRUTH).all()


def test_the_picture_holds_the_map_pixel_by_pixel(quality: Quality) -> None:
    picture = np.asarray(draw_quality(quality))
    wrong = (picture == (241, 140, 53)).all(axis=2)
    legend_and_map = int((quality.agreement == WRONG).sum())
    assert legend_and_map < wrong.sum() < legend_and_map + 1000


@pytest.mark.parametrize("classes", [1, 40, 300])
def test_any_number_of_classes_is_drawn(tmp_path: Path, classes: int) -> None:
    ids = (np.arange(3000).reshape(30, 100) % classes + 1).astype(np.uint16)
    path = str(write_ids(tmp_path / "labels.tif", ids))
    names = {1: "a class whose name is far too long to be written in full"}
    measured = evaluate_quality(path, TruthFile(path, names=names))
    written = write_quality(measured, tmp_path / "out" / "deep")
    record = json.loads(written[0].read_text())
    assert len(record["classes"]) == classes
    assert record["classes"][0]["name"] == names[1]
    with Image.open(written[1]) as picture:
        assert max(picture.size) < 4000


def test_labels_that_do_not_meet_the_truth_are_refused(
    tmp_path: Path, folder: Path, landcover: NDArray[np.uint8]
) -> None:
    far = write_ids(tmp_path / "far.tif", landcover, crs="EPSG:32610")
    with pytest.raises(SceneError, match="has no class on any pixel of"):
        evaluate_quality(str(folder / "labels.tif"), TruthFile(str(far)))
    with pytest.raises(SceneError, match=r"all its classes on .* \(1, 2, 3, 4, 5, 6\) are ignored"):
        evaluate_quality(
            str(folder / "labels.tif"), TruthFile(str(LANDCOVER), ignore=list("123456"))
        )


def test_segments_must_lie_on_the_labels(tmp_path: Path, folder: Path) -> None:
    other = write_ids(tmp_path / "segments.tif", np.ones((10, 10), np.uint32))
    with pytest.raises(SceneError, match="has 10 x 10 pixels, not 1024 x 1024"):
        evaluate_quality(str(folder / "labels.tif"), TruthFile(str(LANDCOVER)), segments=str(other))


def test_labels_must_be_ids(tmp_path: Path) -> None:
    below = write_ids(tmp_path / "below.tif", np.full((9, 9), -3, np.int16))
    with pytest.raises(SceneError, match="holds the id -3, expected ids from 0"):
        evaluate_quality(str(below), TruthFile(str(LANDCOVER)))
    real = write_ids(tmp_path / "real.tif", np.ones((9, 9), np.float32))
    with pytest.raises(SceneError, match="holds float32 numbers, expected integer ids"):
        evaluate_quality(str(real), TruthFile(str(LANDCOVER)))


def test_classes_have_names_in_any_script(tmp_path: Path) -> None:
    path = str(write_ids(tmp_path / "labels.tif", np.ones((9, 9), np.uint16)))
    pictures = {
        draw_quality(evaluate_quality(path, TruthFile(path, names={1: name}))).tobytes()
        for name in ("森林", "水体", "غابة", "بحار")
    }
    assert len(pictures) == 4, "no name is a row of boxes"
