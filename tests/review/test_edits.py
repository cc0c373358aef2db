"""Changes of clusters in polygons that a person has edited, as QGIS does: edits outlive them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyogrio
import pytest
import shapely
from edited_runs import (
    QUICK,
    SIDECARS,
    WAL,
    Killed,
    assert_consistent,
    contents,
    done,
    edit,
    finished_crops,
    other_program,
    polygons,
    query,
    refused,
    scenes,
    whole,
)
from helpers import alps_geo, disk_of

from alps_geo.outputs.gpkg import lock
from alps_geo.outputs.gpkg.update import LockedSegments
from alps_geo.runs.run import read_model

pytestmark = pytest.mark.usefixtures("images_encoded_once")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished / "out", tmp_path / "run"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LOCK_SECONDS", 0.2)


CHANGES = [("name", "2=water"), ("merge", "2", "3"), ("split", "1", "--into", "2")]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_open_for_editing_is_changed_in_place(
    run: Path, change: tuple[str, ...]
) -> None:
    """As QGIS with the pencil on and an attribute changed, which is saved afterwards."""
    path = polygons(run)
    with other_program(path, WAL, "SELECT count(*) FROM segments") as program:
        done(alps_geo("clusters", change[0], run, *change[1:], "--quiet"))
        program.edit("UPDATE segments SET source = 'mine' WHERE segment_id = 1")
    whole(path)
    assert query(path, "SELECT source FROM segments WHERE segment_id = 1") == [("mine",)]
    assert_consistent(run)


HEEDLESS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode = wal")
database.execute("SELECT count(*) FROM segments").fetchall()
open(sys.argv[1], "rb").close()  # all locks that this process has on the file go with it
for line in sys.stdin:
    print(database.execute(line).fetchall(), flush=True)
"""


@pytest.mark.parametrize("command", ["name", "gallery", "label"])
def test_a_program_that_lost_its_lock_loses_nothing_else(
    run: Path, finished: Path, command: str
) -> None:
    path = polygons(run)
    given = {
        "name": ("clusters", "name", run, "2=water"),
        "gallery": ("clusters", "gallery", run),
        "label": ("label", *scenes(finished), "--out", run, *QUICK, "--force"),
    }
    with other_program(path, code=HEEDLESS) as program:
        assert "[(" in program.do("SELECT count(*) FROM segments")
        before = contents(run)
        refused(alps_geo(*given[command]), "first/segments.gpkg", "holds it")
        assert contents(run) == before
        assert path.with_name("segments.gpkg-wal").exists()
        program.edit("UPDATE segments SET source = 'mine' WHERE segment_id = 1")
    whole(path)
    assert query(path, "SELECT source FROM segments WHERE segment_id = 1") == [("mine",)]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize(
    "change", [("name", "2=water"), ("merge", "2", "3"), ("recolor", "2=teal")]
)
def test_a_locked_file_of_any_scene_stops_a_change_before_it_begins(
    run: Path, mode: str, change: tuple[str, ...]
) -> None:
    with other_program(polygons(run, "second"), f"PRAGMA journal_mode = {mode}", "BEGIN IMMEDIATE"):
        before = contents(run)
        outcome = alps_geo("clusters", change[0], run, *change[1:])
        assert contents(run) == before
    refused(outcome, "second/segments.gpkg: another program holds it", "give the command again")
    done(alps_geo("clusters", change[0], run, *change[1:], "--quiet"))
    assert_consistent(run)


@pytest.mark.parametrize("change", CHANGES)
def test_an_edited_style_is_not_overwritten_unasked(run: Path, change: tuple[str, ...]) -> None:
    path = polygons(run, "second")
    edit(path, "UPDATE layer_styles SET styleQML = '<qgis/>'")
    before = contents(run)
    outcome = alps_geo("clusters", change[0], run, *change[1:])
    refused(outcome, "second/segments.gpkg: the style clusters was edited", "--discard-edits")
    assert contents(run) == before
    done(alps_geo("clusters", change[0], run, *change[1:], "--quiet", "--discard-edits"))
    assert_consistent(run)
    done(alps_geo("clusters", "name", run, "1=field", "--quiet"))
    assert_consistent(run)


def test_a_removed_style_stays_removed(run: Path) -> None:
    edit(polygons(run), "DELETE FROM layer_styles")
    done(alps_geo("clusters", "recolor", run, "2=teal", "--quiet"))
    assert query(polygons(run), "SELECT count(*) FROM layer_styles") == [(0,)]


FOREIGN = ("NULL", "0", "-3", "100000", "1")


def draw(path: Path) -> list[tuple[Any, ...]]:
    """Add features that are no segment's, and a copy of one that is."""
    shape = pyogrio.read_dataframe(path, layer="segments").iloc[:1].copy()
    x, y = shape.geometry.iloc[0].centroid.coords[0]
    columns = ["segment_id", "cluster"]
    for each in FOREIGN:
        shape[shape.columns.drop("geometry")] = None
        shape[columns] = shape[columns].astype("Int64")
        shape["segment_id"] = shape["segment_id"].astype("Int64") if each == "NULL" else int(each)
        shape["cluster_name"] = "mine"
        shape["geometry"] = [shapely.MultiPolygon([shapely.box(x, y, x + 20, y + 20)])]
        pyogrio.write_dataframe(shape, path, layer="segments", append=True)
    return drawn(path)


def drawn(path: Path) -> list[tuple[Any, ...]]:
    return query(path, "SELECT * FROM segments ORDER BY fid DESC LIMIT ?", len(FOREIGN))


@pytest.mark.parametrize("change", [*CHANGES, ("recolor", "2=teal")])
def test_features_that_a_person_drew_stay_as_they_are(
    run: Path, finished: Path, tmp_path: Path, change: tuple[str, ...]
) -> None:
    plain = Path(shutil.copytree(finished / "out", tmp_path / "plain"))
    theirs = draw(polygons(run))
    for folder in (run, plain):
        done(alps_geo("clusters", change[0], folder, *change[1:], "--quiet"))
    assert drawn(polygons(run)) == theirs
    ours = "SELECT * FROM segments ORDER BY fid LIMIT ?"
    count = len(query(polygons(plain), "SELECT fid FROM segments"))
    assert query(polygons(run), ours, count) == query(polygons(plain), ours, count)
    for name in ("run.json", "clusters.npz", "first/labels.tif", "second/segments.gpkg"):
        assert (run / name).read_bytes() == (plain / name).read_bytes()


def test_the_gallery_stands_features_that_a_person_drew_and_deleted(run: Path) -> None:
    done(alps_geo("clusters", "gallery", run, "--quiet"))
    before = (run / "gallery.html").read_bytes()
    draw(polygons(run))
    done(alps_geo("clusters", "gallery", run, "--quiet"))
    assert (run / "gallery.html").read_bytes() == before
    edit(polygons(run), "DELETE FROM segments WHERE segment_id IS NOT NULL")
    edit(polygons(run, "second"), "UPDATE segments SET geom = NULL")
    done(alps_geo("clusters", "gallery", run, "--quiet"))


def test_areas_of_polygons_that_a_person_deleted_are_still_counted(run: Path) -> None:
    before = labelled_area(run)
    edit(polygons(run), "DELETE FROM segments WHERE segment_id <= 5")
    done(alps_geo("clusters", "merge", run, "2", "3", "--quiet"))
    assert labelled_area(run) == pytest.approx(before, rel=1e-5)


def labelled_area(run: Path) -> float:
    clusters = json.loads((run / "run.json").read_text())["clusters"]
    return float(sum(cluster["area"] for cluster in clusters))


@pytest.mark.parametrize(
    "column", ["segment_id", "cluster", "cluster_name", "confidence", "area_m2"]
)
@pytest.mark.parametrize("change", [("name", "2=water"), ("merge", "2", "3")])
def test_a_column_that_is_gone_is_noticed_before_anything_changes(
    run: Path, column: str, change: tuple[str, ...]
) -> None:
    edit(polygons(run, "second"), f"ALTER TABLE segments RENAME COLUMN {column} TO other")
    before = contents(run)
    outcome = alps_geo("clusters", change[0], run, *change[1:])
    refused(outcome, f"second/segments.gpkg: the layer segments has no column {column}; ")
    assert "give it that name again" in outcome.stderr
    assert contents(run) == before
    edit(polygons(run, "second"), f"ALTER TABLE segments RENAME COLUMN other TO {column}")
    done(alps_geo("clusters", change[0], run, *change[1:], "--quiet"))
    assert_consistent(run)


def test_a_gallery_says_which_column_is_gone(run: Path) -> None:
    edit(polygons(run), "ALTER TABLE segments RENAME COLUMN segment_id TO other")
    refused(alps_geo("clusters", "gallery", run), "has no column segment_id")


def of_cluster(run: Path, cluster: int, scene: str = "first") -> list[int]:
    return [
        segment
        for (segment,) in query(
            polygons(run, scene),
            "SELECT segment_id FROM segments WHERE cluster = ? ORDER BY segment_id",
            cluster,
        )
    ]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("cluster_name", "'mine'", "cluster_name of segment {} is 'mine', and the run gave ''"),
        ("cluster", "4", "cluster of segment {} is 4, and the run gave 2"),
        ("cluster", "NULL", "cluster of segment {} is NULL, and the run gave 2"),
        ("confidence", "9.5", "confidence of segment {} is 9.5, and the run gave 0."),
    ],
)
def test_edits_are_overwritten_only_if_they_may_be(
    run: Path, column: str, value: str, told: str
) -> None:
    here, other = of_cluster(run, 2), of_cluster(run, 3)[0]
    both = f"({here[0]}, {here[1]}, {other})"
    edit(polygons(run), f"UPDATE segments SET {column} = {value} WHERE segment_id IN {both}")
    there = of_cluster(run, 2, "second")[0]
    edit(polygons(run, "second"), f"UPDATE segments SET cluster = 3 WHERE segment_id = {there}")
    before = contents(run)
    for change in (("name", "2=water"), ("merge", "1", "2")):
        outcome = alps_geo("clusters", change[0], run, *change[1:])
        refused(outcome, "first/segments.gpkg: " + told.format(here[0]), "--discard-edits")
        assert "would overwrite 3 features" in outcome.stderr
        assert "in 2 scenes" in outcome.stderr
        assert contents(run) == before
    done(alps_geo("clusters", "name", run, "2=water", "--discard-edits", "--quiet"))
    of = f"SELECT {column}, cluster, cluster_name FROM segments WHERE segment_id = ?"
    for segment in here[:2]:
        assert query(polygons(run), of, segment)[0][1:] == (2, "water")
    # What was not in the way stays also then.
    (kept,) = query(polygons(run), of, other)
    assert query(polygons(run), f"SELECT ? IS {value}", kept[0]) == [(1,)]


def test_an_edit_that_is_not_in_the_way_stops_nothing(run: Path) -> None:
    segment = of_cluster(run, 4)[0]
    edit(polygons(run), f"UPDATE segments SET cluster = 2 WHERE segment_id = {segment}")
    for change in (("name", "2=water"), ("recolor", "4=teal"), ("merge", "2", "3")):
        done(alps_geo("clusters", change[0], run, *change[1:], "--quiet"))
    row = "SELECT cluster, cluster_name FROM segments WHERE segment_id = ?"
    assert query(polygons(run), row, segment) == [(2, "")]


def test_a_name_that_was_emptied_where_there_was_none_is_no_edit(run: Path) -> None:
    edit(polygons(run), "UPDATE segments SET cluster_name = NULL")
    done(alps_geo("clusters", "name", run, "2=water", "--quiet"))


@pytest.mark.parametrize("commits", [0, 1])
def test_a_change_that_was_cut_short_between_two_files_is_finished(
    run: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    plain = Path(shutil.copytree(finished / "out", tmp_path / "plain"))
    done(alps_geo("clusters", "merge", plain, "2", "3", "--quiet"))
    left, commit = [commits], LockedSegments.commit

    def killed(self: LockedSegments) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        commit(self)

    with monkeypatch.context() as patched:
        patched.setattr(LockedSegments, "commit", killed)
        with pytest.raises(Killed):
            alps_geo("clusters", "merge", run, "2", "3")
    # What a person edits in between is no result of the change.
    segment = of_cluster(finished / "out", 3)[0]
    edit(polygons(run), f"UPDATE segments SET cluster_name = 'mine' WHERE segment_id = {segment}")
    row = "SELECT cluster_name FROM segments WHERE segment_id = ?"
    for command in (("merge", run, "2", "3"), ("name", run, "1=water")):
        outcome = alps_geo("clusters", *command)
        refused(outcome, f"clusters merge {run} 2 3 would overwrite it", "--discard-edits")
    assert query(polygons(run), row, segment) == [("mine",)]
    shutil.copy(polygons(plain if commits else finished / "out"), polygons(run))
    done(alps_geo("clusters", "merge", run, "2", "3", "--quiet"))
    # The note of a file that the change had come to stays behind: edits of it cannot be told apart.
    note = ".tiles/polygons.json"
    finished_now, expected = (
        {name: data for name, data in contents(folder).items() if name != note}
        for folder in (run, plain)
    )
    assert finished_now == expected
    assert_consistent(run)


HALF_WAY = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
for name, in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
    database.execute(f'DROP TRIGGER "{name}"')
database.execute("BEGIN EXCLUSIVE")
database.execute("UPDATE segments SET cluster = 9, source = hex(randomblob(500))")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not killed so there")
@pytest.mark.parametrize("command", ["merge", "gallery", "label"])
def test_a_transaction_that_a_kill_left_half_done_is_taken_back(
    run: Path, finished: Path, command: str
) -> None:
    subprocess.run([sys.executable, "-c", HALF_WAY, str(polygons(run))], check=False)
    assert polygons(run).with_name("segments.gpkg-journal").stat().st_size
    if command == "label":
        done(alps_geo("label", *scenes(finished), "--out", run, *QUICK, "--force"))
    else:
        given = ["2", "3"] if command == "merge" else []
        done(alps_geo("clusters", command, run, *given, "--quiet"))
    assert_consistent(run)
    assert not list(run.rglob("*.gpkg-journal"))


def test_a_full_disk_leaves_the_polygons_as_they_were(run: Path) -> None:
    before = contents(run)
    name = "a name for which the file has to grow " * 40
    with disk_of(polygons(run).stat().st_size):
        outcome = alps_geo("clusters", "name", run, f"2={name}")
    refused(outcome, "segments.gpkg: cannot be written", "make room")
    assert contents(run) == before
    assert not [path for path in run.rglob("*") if path.name in SIDECARS]


@pytest.mark.parametrize("change", [("name", "2=water"), ("split", "1", "--into", "2")])
def test_a_model_of_other_features_is_not_that_of_the_run(
    run: Path, change: tuple[str, ...]
) -> None:
    model = read_model(run / "clusters.npz")
    names = tuple(f"other {name}" for name in model.projection.column_names)
    other = replace(model, projection=replace(model.projection, column_names=names))
    (run / "clusters.npz").write_bytes(other.to_bytes())
    before = contents(run)
    refused(alps_geo("clusters", change[0], run, *change[1:]), "is not the model of this run")
    assert contents(run) == before
