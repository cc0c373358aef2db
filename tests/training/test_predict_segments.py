"""Segments of a finished run get the classes that a trained network finds in their pixels."""

from __future__ import annotations

import json
from shutil import copytree
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from edited_runs import SCENES, edit, finished_crops, polygons
from helpers import alps_geo
from random_models import CLASSES, write_random_model

from alps_geo.review import class_results
from alps_geo.runs.folder import RunFolder
from alps_geo.training import predict_segments as own
from alps_geo.training.predict import Prediction

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TILES = ("--tile-size", "64", "--overlap", "16", "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model, a copy of a run, and the prediction of its scenes."""
    made = tmp_path_factory.mktemp("segments")
    write_random_model(made / "model", ("red", "green", "blue", "nir"))
    copytree(finished_crops(tmp_path_factory) / "out", made / "run")
    copytree(made / "run", made / "untouched")
    outcome = alps_geo(*arguments(made, made / "run"))
    assert outcome.exit_code == 0, outcome.stderr
    return made


def arguments(folder: Path, run: Path) -> tuple[object, ...]:
    given = ("--model", folder / "model", "--out", folder / "out", "--segments", run)
    return ("train", "predict", *given, *TILES)


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as raster:
        return np.asarray(raster.read(1))


def test_each_segment_has_the_class_of_the_highest_mean_probability(
    predicted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[NDArray[np.float64]] = []

    def summed(*given: Any) -> NDArray[np.float64]:
        _, name, prediction, job = given
        image = np.zeros((len(CLASSES), *job.bands.scene.shape))
        for part in Prediction.blended(prediction, job):
            image[:, *part.window.toslices()] = part.probabilities
        ids = read(predicted / "run" / name / "segments.tif")
        found = [image[:, ids == number].mean(axis=1) for number in range(1, ids.max() + 1)]
        whole.append(np.array(found))
        return sums(*given)

    sums = own._segment_sums
    monkeypatch.setattr(own, "_segment_sums", summed)
    copytree(predicted / "untouched", predicted / "again")
    outcome = alps_geo(*arguments(predicted, predicted / "again"))
    assert outcome.exit_code == 0, outcome.stderr
    for scene, mean in zip(SCENES, whole, strict=True):
        features = gpd.read_file(polygons(predicted / "again", scene), layer="segments")
        rows = features.segment_id.to_numpy() - 1
        names = np.array([each.name for each in CLASSES])
        assert np.array_equal(features["class"], names[mean.argmax(axis=1)][rows])
        high = np.sort(mean / mean.sum(axis=1, keepdims=True), axis=1)
        assert np.allclose(features.class_confidence, high[rows, -1])
        assert np.allclose(features.class_margin, (high[:, -1] - high[:, -2])[rows])


def test_results_are_those_of_a_classified_run(predicted: Path) -> None:
    run = predicted / "run"
    record = json.loads((run / "run.json").read_text())
    assert [each["name"] for each in record["classes"]] == [each.name for each in CLASSES]
    assert [each["id"] for each in record["classes"]] == [1, 2, 3]
    assert sum(each["segments"] for each in record["classes"]) == record["segments"]
    for scene in SCENES:
        classes, ids = (read(run / scene / f"{name}.tif") for name in ("classes", "segments"))
        pairs = np.unique(np.stack([ids[ids > 0], classes[ids > 0]]), axis=1)
        assert pairs.shape[1] == ids.max()
        assert (run / scene / "classes.png").exists()
        regions = gpd.read_file(polygons(run, scene), layer="classes")
        assert set(regions["class"]) <= {each.name for each in CLASSES}
        of_pixels = read(predicted / "out" / scene / "classes.tif")
        assert (of_pixels == classes)[classes > 0].mean() > 0.4
    assert alps_geo("report", run).exit_code == 0


def test_classes_that_a_person_gave_stay(predicted: Path, tmp_path: Path) -> None:
    run = copytree(predicted / "run", tmp_path / "run")
    path = polygons(run, "first")
    features = gpd.read_file(path, layer="segments")
    segment = int(features.segment_id[0])
    edit(path, f"UPDATE segments SET class = 'pond' WHERE segment_id = {segment}")
    refused = alps_geo(*arguments(predicted, run))
    assert refused.exit_code == 1
    assert "'pond'" in refused.stderr
    assert alps_geo("clusters", "adopt", run).exit_code == 0
    outcome = alps_geo(*arguments(predicted, run))
    assert outcome.exit_code == 0, outcome.stderr
    again = gpd.read_file(path, layer="segments").set_index("segment_id")
    assert again.loc[segment, "class"] == "pond"
    assert (again["class"] == "pond").sum() == 1


def test_a_change_that_is_cut_short_is_made_by_the_next_command(
    predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copytree(predicted / "untouched", tmp_path / "run")

    def stopped(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(class_results, "_carry_out", stopped)
    assert alps_geo(*arguments(predicted, run)).exit_code != 0
    assert RunFolder(run).class_change_path.exists()
    monkeypatch.undo()
    assert alps_geo(*arguments(predicted, run)).exit_code == 0
    for scene in SCENES:
        for name in ("classes.tif", "classes.qml", "classes.png"):
            expected = (predicted / "run" / scene / name).read_bytes()
            assert (run / scene / name).read_bytes() == expected


def test_bad_input_is_one_line(predicted: Path, tmp_path: Path) -> None:
    outcome = alps_geo(*arguments(predicted, predicted / "out"))
    assert outcome.exit_code == 1
    assert "holds maps that alps-geo train predict has made" in outcome.stderr
    outcome = alps_geo(*arguments(predicted, tmp_path / "nothing"))
    assert outcome.exit_code == 1
    assert "holds no finished run" in outcome.stderr
    outcome = alps_geo(*arguments(predicted, predicted / "run"), predicted / "scene.tif")
    assert outcome.exit_code == 2
    assert "the scenes are those of --segments RUN" in outcome.stderr
