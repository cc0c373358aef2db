"""Classes of a run that has some already: their ids, further layers of samples, their export."""

from __future__ import annotations

import csv
import json
from shutil import copytree
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pytest
from class_samples import assert_classes_agree, classes, legend, points, segments
from edited_runs import done, edit, finished_crops, polygons
from helpers import alps_geo
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory) / "out"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return copytree(finished, tmp_path / "out")


@pytest.fixture
def samples(run: Path) -> Path:
    return points(run, run.parent / "points.gpkg")


def renamed(samples: Path, name: str, **words: str) -> Path:
    """Write the samples with other names of classes."""
    found = gpd.read_file(samples)
    path = samples.with_name(name)
    found.assign(**{"class": found["class"].replace(words)}).to_file(path)
    return path


def test_ids_stay_when_classes_come_and_go(run: Path, samples: Path) -> None:
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    assert legend(run) == {1: "grass", 2: "road", 3: "wood"}
    before = classes(run)
    # A class that sorts before all others, and one that is gone.
    other = renamed(samples, "other.gpkg", grass="asphalt")
    done(alps_geo("classify", run, "--samples", other, "--quiet"))
    assert legend(run) == {2: "road", 3: "wood", 4: "asphalt"}
    np.testing.assert_array_equal(classes(run), np.where(before == 1, 4, before))
    assert_classes_agree(run)


def test_each_file_gives_the_named_layers_that_it_has(run: Path, samples: Path) -> None:
    found = gpd.read_file(samples)
    many, one = run.parent / "many.gpkg", run.parent / "one.gpkg"
    for word in ("wood", "grass"):
        found[found["class"] == word].to_file(many, layer=word)
    found.assign(**{"class": "mine"}).to_file(many, layer="other")
    found[found["class"] == "road"].to_file(one)
    layers = ("--layer", "wood", "--layer", "grass")
    command = ("classify", run, "--samples", many, "--samples", one, "--quiet")
    done(alps_geo(*command, *layers))
    together = classes(run)
    assert sorted(legend(run).values()) == ["grass", "road", "wood"]
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    np.testing.assert_array_equal(together, classes(run))
    for wrong, part in (
        ((*layers, "--layer", "x"), "has no layer 'x' with geometries, but wood, grass, other"),
        (("--layer", "one"), "has 3 layers with geometries (wood, grass, other)"),
    ):
        outcome = alps_geo(*command, *wrong)
        assert (outcome.exit_code, outcome.stderr.count("\n")) == (1, 1)
        assert part in outcome.stderr


def test_classes_of_the_run_are_exported(run: Path, samples: Path) -> None:
    done(alps_geo("clusters", "name", run, "1=lake", "--quiet"))
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    out = run.parent / "set"
    options = ("--by", "class", "--ignore", "road", "--split", "1,0,0", "--min-labelled", "0")
    done(alps_geo("export", run, "--to", "mmseg", "--out", out, *options, "--quiet"))
    names = json.loads((out / "metainfo.json").read_text("utf-8"))["classes"]
    assert names == ["grass", "wood"]
    record = json.loads((out / "export.json").read_text("utf-8"))
    assert [each["classes_of_run"] for each in record["classes"]] == [[1], [3]]
    assert record["unlabelled_classes_of_run"] == [2]
    card = (out / "README.md").read_text("utf-8")
    assert "Ignored classes, whose pixels are unlabelled: 2." in card
    assert "without annotations" not in card
    number = np.array([255, 0, 255, 1])
    with (out / "chips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert {row[2] for row in rows} == {"first", "second"}
    for split, name, scene, *_ in rows:
        with Image.open(out / "ann_dir" / split / f"{name}.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask), number[classes(run, scene)])


def test_adopted_classes_are_exported(run: Path, samples: Path) -> None:
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    edit(polygons(run), "UPDATE segments SET class = 'lake' WHERE segment_id = 3")
    done(alps_geo("clusters", "adopt", run, "--quiet"))
    out = run.parent / "set"
    options = ("--by", "class", "--split", "1,0,0", "--min-labelled", "0", "--quiet")
    done(alps_geo("export", run, "--to", "coco", "--out", out, *options))
    found = json.loads((out / "annotations" / "instances_train.json").read_text("utf-8"))
    (lake,) = (each["id"] for each in found["categories"] if each["name"] == "lake")
    objects = {each["object_id"] for each in found["annotations"] if each["category_id"] == lake}
    assert objects == {"first:3"}
    assert (segments(run)["class"] == "lake").sum() == 1
