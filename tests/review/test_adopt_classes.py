"""Classes edited in QGIS that become part of a run, and outlive another classification."""

from __future__ import annotations

import json
from shutil import copytree
from typing import TYPE_CHECKING

import numpy as np
import pytest
from class_samples import assert_classes_agree, classes, ids, legend, points
from edited_runs import (
    QUICK,
    Killed,
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

from alps_geo.files import disk as files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("images_encoded_once")

ROW = "SELECT class, class_confidence, class_margin FROM segments WHERE segment_id = ?"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory)


@pytest.fixture(scope="module")
def classified(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = copytree(finished / "out", tmp_path_factory.mktemp("classified") / "out")
    samples = points(run, run.parent / "points.gpkg")
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    return run


@pytest.fixture
def run(classified: Path, tmp_path: Path) -> Path:
    """A classified run of one's own, with two edits in the first scene."""
    path = copytree(classified, tmp_path / "run")
    edit(
        polygons(path),
        "UPDATE segments SET class = 'road' WHERE segment_id = 5 AND class <> 'road'",
        "UPDATE segments SET class = 'pool' WHERE segment_id = 6",
    )
    return path


def adopt(run: Path) -> str:
    outcome = alps_geo("clusters", "adopt", run)
    done(outcome)
    assert_consistent(run)
    assert_classes_agree(run)
    return outcome.stdout


def test_an_edited_class_is_in_every_result_and_outlives_what_comes_after(
    run: Path, classified: Path, finished: Path
) -> None:
    before = classes(run)
    same = query(polygons(classified), ROW, 5)[0][0] == "road"
    edit(polygons(run), "UPDATE segments SET cluster = 9 WHERE segment_id = 7")
    said = adopt(run)
    assert "1 segment has the cluster that you gave; cluster 9 is new" in said
    assert "have the class that you gave; class pool is new" in said or "has the class" in said
    pool = {name: number for number, name in legend(run).items()}["pool"]
    assert query(polygons(run), ROW, 6) == [("pool", 1.0, 1.0)]
    assert (classes(run)[ids(run) == 6] == pool).all()
    others = ~np.isin(ids(run), [5, 6])
    np.testing.assert_array_equal(classes(run)[others], before[others])
    samples = classified.parent / "points.gpkg"
    for command in (
        ("clusters", "merge", run, "2", "3", "--quiet"),
        ("classify", run, "--samples", samples, "--quiet"),
        ("clusters", "split", run, "1", "--into", "2", "--quiet"),
        ("clusters", "name", run, "1=field", "--quiet"),
        ("classify", run, "--model", run / "classes.npz", "--quiet"),
    ):
        done(alps_geo(*command))
        assert query(polygons(run), ROW, 6) == [("pool", 1.0, 1.0)]
        assert query(polygons(run), ROW, 5)[0][0] == "road"
        assert_consistent(run)
        assert_classes_agree(run)
    label = ("label", *scenes(finished), "--out", run, *QUICK, "--clusters", "3", "--overwrite")
    again = alps_geo(*(word for word in label if word != "--quiet"))
    assert again.exit_code == 0, again.stderr
    assert "classes given by hand come back with it if segments are the same" in again.stderr
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    assert query(polygons(run), ROW, 6) == [("pool", 1.0, 1.0)]
    assert_classes_agree(run)
    forget = alps_geo("clusters", "adopt", run, "--forget")
    done(forget)
    said = "1 segment back in the cluster of the model; {} of segments let go"
    assert said.format("1 class" if same else "2 classes") in forget.stdout
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    assert "pool" not in legend(run).values()


def test_classify_names_both_remedies_for_edits_in_its_way(run: Path, classified: Path) -> None:
    before = contents(run)
    samples = classified.parent / "points.gpkg"
    outcome = alps_geo("classify", run, "--samples", samples)
    refused(outcome, f"alps-geo clusters adopt {run} makes edits", "--discard-edits")
    assert contents(run) == before


def test_spaces_around_a_class_are_no_part_of_it(run: Path, classified: Path) -> None:
    path = polygons(run)
    edit(path, "UPDATE segments SET class = char(160) || class || ' ' WHERE segment_id = 8")
    edit(path, "UPDATE segments SET class = '  pool' || char(9) WHERE segment_id = 6")
    assert "class pool is new" in adopt(run)
    assert query(path, ROW, 6) == [("pool", 1.0, 1.0)]
    given = json.loads((run / "overrides.json").read_text())["scenes"]["first"]["classes"]
    assert "8" not in given
    # A space alone is no edit, neither to be adopted nor in the way.
    edit(path, "UPDATE segments SET class = class || ' ' WHERE segment_id = 9")
    assert "no edit of cluster" in adopt_drawn(run)
    done(alps_geo("classify", run, "--samples", classified.parent / "points.gpkg", "--quiet"))
    assert_classes_agree(run)


@pytest.mark.parametrize("value", ["NULL", "''", "'a\tb'"])
def test_a_class_without_a_name_is_one_line_and_nothing_changes(run: Path, value: str) -> None:
    edit(polygons(run, "second"), f"UPDATE segments SET class = {value} WHERE segment_id = 3")
    edit(polygons(run), "UPDATE segments SET cluster = 9 WHERE segment_id = 7")
    before = contents(run)
    refused(alps_geo("clusters", "adopt", run), "second/segments.gpkg: class of segment 3 is")
    assert contents(run) == before


@pytest.mark.parametrize("moves", [0, 1, 3, 9])
def test_an_adoption_of_classes_that_was_killed_is_finished(
    run: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    before, left, move = contents(run), [moves], files._move_all

    def counted(work: Path, path: Path) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        move(work, path)

    with monkeypatch.context() as patched:
        patched.setattr(files, "_move_all", counted)
        with pytest.raises(Killed):
            alps_geo("clusters", "adopt", run)
    if not moves:
        assert contents(run) == before
    adopt(run)
    assert query(polygons(run), ROW, 6) == [("pool", 1.0, 1.0)]
    given = json.loads((run / "overrides.json").read_text())["scenes"]["first"]["classes"]
    assert given["6"] == "pool"


def test_features_of_one_segment_with_two_classes_change_nothing(run: Path) -> None:
    path = polygons(run)
    edit(
        path,
        "INSERT INTO segments (segment_id, cluster, cluster_name, class) "
        "SELECT segment_id, cluster, cluster_name, 'lawn' FROM segments WHERE segment_id = 6",
    )
    before = contents(run)
    told = "2 features have segment_id 6, and differ in class"
    refused(alps_geo("clusters", "adopt", run), told)
    assert contents(run) == before


def test_features_that_were_drawn_are_samples_and_those_of_the_run_are_not(run: Path) -> None:
    path = polygons(run)
    for name, segment in (("lawn", 9), ("deck", 11)):
        drawn = f"SELECT geom, '{name}' FROM segments WHERE segment_id = {segment}"
        edit(path, f"INSERT INTO segments (geom, class) {drawn}")
    words = f"classify {run} --samples {path} --layer segments --field class"
    assert words in adopt_drawn(run)
    done(alps_geo(*words.split(), "--quiet"))
    # Next to the classes that were adopted.
    assert set(legend(run).values()) == {"lawn", "deck", "pool", "road"}
    assert query(path, ROW, 9) == [("lawn", 1.0, 1.0)]


def adopt_drawn(run: Path) -> str:
    outcome = alps_geo("clusters", "adopt", run)
    done(outcome)
    return outcome.stdout
