"""Edits made in QGIS that become part of a run, with its rasters, and outlive its changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from edited_runs import (
    QUICK,
    assert_consistent,
    contents,
    done,
    edit,
    finished_crops,
    polygons,
    query,
    refused,
    scenes,
)
from helpers import alps_geo

from alps_geo.runs.run import read_model

pytestmark = pytest.mark.usefixtures("images_encoded_once")

ROW = "SELECT cluster, cluster_name, confidence FROM segments WHERE segment_id = ?"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished / "out", tmp_path / "run"))


def adopt(run: Path, *more: str) -> str:
    """Adopt edits, and return what is said of them."""
    outcome = alps_geo("clusters", "adopt", run, *more)
    done(outcome)
    assert_consistent(run)
    return outcome.stdout.partition("      ")[0]


def of_cluster(run: Path, cluster: int, scene: str = "first") -> list[int]:
    found = "SELECT segment_id FROM segments WHERE cluster = ? ORDER BY segment_id"
    return [segment for (segment,) in query(polygons(run, scene), found, cluster)]


def put(run: Path, segment: int, cluster: int, scene: str = "first") -> None:
    edit(
        polygons(run, scene),
        f"UPDATE segments SET cluster = {cluster} WHERE segment_id = {segment}",
    )


def call(run: Path, segment: int, name: str, scene: str = "first") -> None:
    edit(
        polygons(run, scene),
        f"UPDATE segments SET cluster_name = '{name}' WHERE segment_id = {segment}",
    )


def row(run: Path, segment: int, scene: str = "first") -> tuple[Any, ...]:
    return query(polygons(run, scene), ROW, segment)[0]


def counts(run: Path) -> dict[int, int]:
    record = json.loads((run / "run.json").read_text())
    return {each["cluster"]: each["segments"] for each in record["clusters"]}


def pixels(run: Path, name: str, scene: str = "first") -> Any:
    with rasterio.open(run / scene / name) as raster:
        return raster.read(1)


def test_a_segment_that_was_put_elsewhere_is_there_in_every_result(run: Path) -> None:
    before, labels = counts(run), pixels(run, "labels.tif")
    model = (run / "clusters.npz").read_bytes()
    preview = (run / "first/preview.png").read_bytes()
    done(alps_geo("clusters", "gallery", run, "--quiet"))
    moved = of_cluster(run, 1)[:2]
    for segment in moved:
        put(run, segment, 3)
    assert "2 segments have the cluster that you gave" in adopt(run)
    for segment in moved:
        assert row(run, segment) == (3, "", 1.0)
    there = np.isin(pixels(run, "segments.tif"), moved)
    np.testing.assert_array_equal(pixels(run, "labels.tif"), np.where(there, 3, labels))
    assert counts(run) == before | {1: before[1] - 2, 3: before[3] + 2}
    assert (run / "first/preview.png").read_bytes() != preview
    # The model, and so other scenes, are as before; the gallery is not.
    assert (run / "clusters.npz").read_bytes() == model
    assert not (run / "gallery.html").exists()
    assert json.loads((run / "run.json").read_text())["changes"] == ["adopt"]
    done(alps_geo("clusters", "gallery", run, "--quiet"))


def test_new_clusters_and_names_are_in_legends_and_record(run: Path) -> None:
    one, two, three = of_cluster(run, 1)[:3]
    call(run, one, "roof")
    put(run, two, 9)
    put(run, three, 9)
    call(run, three, "tank & pipe")
    for scene in ("first", "second"):
        edit(polygons(run, scene), "UPDATE segments SET cluster_name = 'wood' WHERE cluster = 2")
    said = adopt(run)
    assert "3 segments have the cluster that you gave" in said
    assert "cluster 9, tank & pipe is new; cluster 10, roof is new; cluster 2 is named wood" in said
    assert row(run, one) == (10, "roof", 1.0)
    assert row(run, two) == row(run, three) == (9, "tank & pipe", 1.0)
    assert row(run, of_cluster(run, 1)[0])[1] == "1"
    names = {2: "wood", 9: "tank & pipe", 10: "roof"}
    assert read_model(run / "clusters.npz").legend.names == names
    assert "tank &amp; pipe" in (run / "first/labels.tif.aux.xml").read_text()
    assert "tank &amp; pipe" in (run / "second/labels.qml").read_text()
    assert counts(run)[9] == 2
    with rasterio.open(run / "second/labels.tif") as raster:
        assert raster.colormap(1)[10][:3] == read_model(run / "clusters.npz").legend.palette[10]


def test_nothing_is_written_where_nothing_was_edited(run: Path) -> None:
    before = contents(run)
    assert "no edit of cluster, cluster_name or class was found" in adopt(run)
    assert contents(run) == before
    put(run, 5, 9)
    adopt(run)
    before = contents(run)
    adopt(run)
    assert contents(run) == before


def test_letting_go_of_adopted_edits_gives_back_the_results_of_before(
    run: Path, finished: Path
) -> None:
    assert "no edit was adopted here" in adopt(run, "--forget")
    put(run, 5, 9)
    call(run, 7, "roof")
    put(run, 8, 3, "second")
    adopt(run)
    assert (run / "overrides.json").exists()
    assert "segments back in the cluster of the model" in adopt(run, "--forget")
    assert not (run / "overrides.json").exists()
    for name in ("clusters.npz", "first/labels.tif", "second/labels.tif", "first/preview.png"):
        assert (run / name).read_bytes() == (finished / "out" / name).read_bytes()
    features = "SELECT * FROM segments"
    assert query(polygons(run), features) == query(polygons(finished / "out"), features)


def test_edits_outlive_changes_of_the_clusters(run: Path) -> None:
    one, two = of_cluster(run, 1)[:2]
    other = of_cluster(run, 2)[0]
    put(run, one, 3)
    put(run, two, 9)
    put(run, other, 9)
    adopt(run)
    done(alps_geo("clusters", "name", run, "3=water", "9=roof", "--quiet"))
    done(alps_geo("clusters", "recolor", run, "9=teal", "--quiet"))
    assert row(run, one) == (3, "water", 1.0)
    assert row(run, two) == row(run, other) == (9, "roof", 1.0)
    assert json.loads((run / "overrides.json").read_text())["clusters"]["9"] == {
        "name": "roof",
        "color": "#008080",
    }
    # They follow a merged cluster, and go to parts of a split one.
    done(alps_geo("clusters", "merge", run, "2", "3", "--quiet"))
    assert row(run, one)[0] == 2
    done(alps_geo("clusters", "split", run, "9", "--into", "2", "--quiet"))
    assert {row(run, two)[0], row(run, other)[0]} == {9, 10}
    done(alps_geo("clusters", "split", run, "2", "--into", "2", "--quiet"))
    assert row(run, one)[0] in (2, 11)
    assert {row(run, each)[2] for each in (one, two, other)} == {1.0}
    assert_consistent(run)
    done(alps_geo("clusters", "merge", run, "1", "9", "10", "--quiet"))
    assert row(run, two) == row(run, other) == (1, "roof", 1.0)
    assert_consistent(run)


def test_clusters_of_the_same_name_become_one(run: Path) -> None:
    one, two = of_cluster(run, 1)[:2]
    put(run, one, 9)
    call(run, one, "water")
    adopt(run)
    before = counts(run)
    done(alps_geo("clusters", "name", run, "1=field", "2=water", "3=field", "4=x", "--quiet"))
    done(alps_geo("clusters", "merge", run, "--same-name", "--quiet"))
    assert_consistent(run)
    assert counts(run) == {1: before[1] + before[3], 2: before[2] + before[9], 4: before[4]}
    assert row(run, one) == (2, "water", 1.0)
    assert row(run, two)[:2] == (1, "field")
    changes = json.loads((run / "run.json").read_text())["changes"]
    assert changes[-1] == "merge --same-name"
    after = contents(run)
    refused(alps_geo("clusters", "merge", run, "--same-name"), "no two clusters have the same name")
    assert contents(run) == after


@pytest.mark.parametrize(
    "words", [(), ("2", "3", "--same-name"), ("--same-name", "--name", "water")]
)
def test_ids_and_equal_names_are_not_merged_at_once(finished: Path, words: tuple[str, ...]) -> None:
    assert alps_geo("clusters", "merge", finished / "out", *words).exit_code == 2


def test_edits_outlive_labelling_of_the_same_segments(run: Path, finished: Path) -> None:
    one, two = of_cluster(run, 1)[:2]
    put(run, one, 3)
    put(run, two, 9)
    call(run, two, "roof")
    adopt(run)
    again = ("label", *scenes(finished), "--out", run, *QUICK)
    # The same clusters: all ids stay.
    done(alps_geo(*again, "--force"))
    assert row(run, one) == (3, "3", 1.0)
    assert row(run, two) == (9, "roof", 1.0)
    assert_consistent(run)
    # Others: each overridden cluster stays apart from them.
    done(alps_geo(*again, "--overwrite", "--clusters", "3", "--seed", "4"))
    assert row(run, two) == (9, "roof", 1.0)
    assert row(run, one)[2] == 1.0
    assert row(run, one)[0] not in (1, 2)
    assert_consistent(run)
    # A model that knows the name.
    done(alps_geo("clusters", "name", run, "2=roof", "--quiet"))
    model = run / "given.npz"
    shutil.copy(run / "clusters.npz", model)
    apply = ("apply", *scenes(finished), "--out", run, "--clusters-from", model, "--overwrite")
    done(alps_geo(*apply, "--quiet"))
    assert row(run, two) == (9, "roof", 1.0)
    assert_consistent(run)


def test_labelling_of_other_segments_stops_before_anything_is_lost(
    run: Path, finished: Path, tmp_path: Path
) -> None:
    put(run, 5, 9)
    adopt(run)
    before = contents(run)
    crops = scenes(finished)
    plain = ("label", *crops, "--out", run, *QUICK, "--min-area", "50")
    remedy = "--overwrite lets them go; either needs --discard-edits too if it makes other segments"
    refused(alps_geo(*plain), remedy)
    label = ("label", *crops, "--out", run, "--overwrite", *QUICK)
    fit = ("fit", *crops, "--out", tmp_path / "model.npz", "--work", run, *QUICK, "--overwrite")
    for command, reason in (
        ((*label, "--points", "grid:3"), "makes other segments"),
        ((*label, "--min-area", "50"), "makes other segments"),
        (("label", crops[1], *label[3:]), "does not label that scene"),
        (fit, "does not label that scene"),
    ):
        outcome = alps_geo(*command)
        refused(outcome, "1 segment of first", "clusters adopt", reason, "--discard-edits")
        assert contents(run) == before
    done(alps_geo(*label, "--min-area", "50", "--discard-edits"))
    assert 9 not in counts(run)
    assert_consistent(run)
    assert "no edit was adopted" in adopt(run, "--forget")


def test_segments_that_came_out_otherwise_after_all_stop_a_run(run: Path, finished: Path) -> None:
    """As after a tile that failed before, or another version of a library."""
    put(run, 5, 9)
    adopt(run)
    path = run / "overrides.json"
    found = json.loads(path.read_text())
    found["scenes"]["first"]["segments"] = "0ther"
    path.write_text(json.dumps(found))
    refused(alps_geo("clusters", "name", run, "1=a"), "overrides.json is of other segments than")
    results = {name: data for name, data in contents(run).items() if ".tiles" not in name}
    again = ("label", *scenes(finished), "--out", run, *QUICK, "--force")
    refused(alps_geo(*again), "1 segment of first", "this run made other segments")
    results.pop("run.json")
    assert contents(run).items() >= results.items()
    done(alps_geo(*again, "--discard-edits"))
    assert 9 not in counts(run)
    assert_consistent(run)
