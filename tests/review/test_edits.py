"""Work of a person in the polygons of a run, made as QGIS makes it: it outlives every command."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from helpers import DATA, alps_geo, disk_of
from rasterio.windows import Window

from alps_geo import files, pipeline
from alps_geo.outputs.gpkg import lock
from alps_geo.outputs.gpkg.update import LockedSegments
from alps_geo.runs.run import read_model

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENES = ("first", "second")
QUICK = ("--points-per-side", "2", "--clusters", "4", "--quiet")
SIDECARS = ("segments.gpkg-wal", "segments.gpkg-shm", "segments.gpkg-journal")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crops of a scene, and a run of them in out."""
    folder = tmp_path_factory.mktemp("edits")
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        for name, row in zip(SCENES, (200, 500), strict=True):
            window = Window(300, row, 160, 120)
            here = scene.transform @ Affine.translation(window.col_off, window.row_off)
            more = {"height": 120, "width": 160, "transform": here}
            with rasterio.open(folder / f"{name}.tif", "w", **scene.profile | more) as crop:
                crop.write(scene.read(window=window))
    outcome = alps_geo("label", *scenes(folder), "--out", folder / "out", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    return folder


def scenes(folder: Path) -> list[Path]:
    return [folder / f"{name}.tif" for name in SCENES]


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished / "out", tmp_path / "run"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LOCK_SECONDS", 0.2)


def polygons(run: Path, scene: str = "first") -> Path:
    return run / scene / "segments.gpkg"


def query(path: Path, text: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(text, values).fetchall()


def edit(path: Path, *statements: str) -> None:
    """Change a layer as a program does that knows no spatial index."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            database.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            database.execute(statement)
        database.commit()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in SIDECARS and path.name != "lock"
    }


def refused(outcome: Any, *parts: str) -> None:
    assert outcome.exit_code == 1, outcome.stdout
    assert outcome.stderr.count("\n") == 1
    for part in parts:
        assert part in outcome.stderr


def done(outcome: Any) -> None:
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr == ""


def whole(path: Path) -> None:
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


OTHER_PROGRAM = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    print(database.execute(line).fetchall(), flush=True)
"""


class OtherProgram:
    """A process that has a file open, and does what it is told."""

    def __init__(self, path: Path, code: str = OTHER_PROGRAM) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, statement: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"{statement} failed"
        return answer

    def edit(self, statement: str) -> None:
        for name in self.do("SELECT name FROM sqlite_master WHERE type = 'trigger'").split("'")[
            1::2
        ]:
            self.do(f'DROP TRIGGER "{name}"')
        self.do(statement)


@contextmanager
def other_program(
    path: Path, *statements: str, code: str = OTHER_PROGRAM
) -> Iterator[OtherProgram]:
    program = OtherProgram(path, code)
    try:
        for statement in statements:
            program.do(statement)
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


WAL = "PRAGMA journal_mode = wal"
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


def assert_consistent(run: Path) -> None:
    """Rasters, polygons, record and model agree."""
    record = json.loads((run / "run.json").read_text())
    names = {cluster["cluster"]: cluster["name"] for cluster in record["clusters"]}
    for scene in SCENES:
        found = gpd.read_file(polygons(run, scene), layer="segments").set_index("segment_id")
        with rasterio.open(run / scene / "segments.tif") as ids:
            segment = ids.read(1)
        with rasterio.open(run / scene / "labels.tif") as labels:
            cluster = labels.read(1)
        by_id = np.zeros(segment.max() + 1, dtype=int)
        by_id[found.index] = found["cluster"]
        np.testing.assert_array_equal(by_id[segment], cluster)
        # As soon as one cluster has a name, numbers stand in for those of the others.
        shown = {
            each: name or (str(each) if any(names.values()) else "") for each, name in names.items()
        }
        assert (found["cluster_name"] == [shown[each] for each in found["cluster"]]).all()
        whole(polygons(run, scene))


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


class Killed(BaseException):
    """The end of a process at once."""


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
    segment = of_cluster(run, 2)[0]
    edit(polygons(run), f"UPDATE segments SET cluster_name = 'mine' WHERE segment_id = {segment}")
    row = "SELECT cluster_name FROM segments WHERE segment_id = ?"
    for command in (("merge", run, "2", "3"), ("name", run, "1=water")):
        outcome = alps_geo("clusters", *command)
        refused(outcome, "clusters merge 2 3 would overwrite it", "--discard-edits")
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


@pytest.fixture
def crops(finished: Path) -> list[Path]:
    return scenes(finished)


def label(crops: list[Path], run: Path, *more: object) -> Any:
    return alps_geo("label", *crops, "--out", run, *QUICK, *more)


STYLE = "INSERT INTO layer_styles (f_table_name, styleName) VALUES ('segments', 'mine')"
WORK = [
    ("UPDATE segments SET cluster = 4 WHERE cluster = 2", "features edited (cluster of segment "),
    ("UPDATE segments SET cluster_name = 'mine' WHERE segment_id = 2", "1 feature edited ("),
    ("UPDATE segments SET source = 'mine' WHERE segment_id = 2", "shapes or attributes edited"),
    ("UPDATE segments SET geom = NULL WHERE segment_id = 2", "shapes or attributes edited"),
    ("INSERT INTO segments (cluster) VALUES (1)", "1 feature added"),
    ("INSERT INTO segments (segment_id) VALUES (2)", "1 feature added"),
    ("DELETE FROM segments WHERE segment_id > 5", "features deleted"),
    ("ALTER TABLE segments ADD COLUMN checked TEXT", "column checked added"),
    ("ALTER TABLE segments DROP COLUMN source", "column source removed"),
    ("ALTER TABLE segments DROP COLUMN cluster", "column cluster removed"),
    ("CREATE TABLE qgis_projects (name TEXT)", "table qgis_projects added"),
    (STYLE, "style mine added"),
    ("ALTER TABLE segments RENAME TO mine", "table mine added"),
]


@pytest.mark.parametrize(("statement", "told"), WORK, ids=[told for _, told in WORK])
def test_polygons_that_a_person_changed_are_not_replaced_unasked(
    run: Path, crops: list[Path], statement: str, told: str
) -> None:
    edit(polygons(run, "second"), statement)
    before = contents(run)
    outcome = label(crops, run, "--force")
    refused(outcome, "second/segments.gpkg was changed by hand", told, "--discard-edits")
    assert contents(run) == before


def test_every_command_that_replaces_polygons_asks(
    run: Path, finished: Path, crops: list[Path], tmp_path: Path
) -> None:
    done(alps_geo("clusters", "name", run, "2=water", "--quiet"))
    edit(polygons(run), "UPDATE segments SET cluster_name = 'mine' WHERE segment_id = 1")
    before, model = contents(run), finished / "out" / "clusters.npz"
    fit = ("fit", *crops, "--out", tmp_path / "model.npz", "--work", run, *QUICK)
    commands = [
        ("label", *crops, "--out", run, *QUICK, "--seed", "5", "--overwrite"),
        ("label", *crops, "--out", run, *QUICK, "--force"),
        ("apply", *crops, "--out", run, "--clusters-from", model, "--overwrite", "--quiet"),
        (*fit, "--seed", "5", "--overwrite"),
    ]
    for command in commands:
        refused(alps_geo(*command), "1 feature edited (cluster_name of segment 1 is 'mine'")
        assert contents(run) == before
    done(alps_geo(*commands[0], "--discard-edits"))
    assert_consistent(run)
    done(alps_geo(*fit, "--seed", "6", "--overwrite"))
    assert not polygons(run).exists()


def test_polygons_that_nobody_changed_are_replaced_unasked(run: Path, crops: list[Path]) -> None:
    with other_program(polygons(run), WAL, "PRAGMA journal_mode = delete"):
        pass
    done(alps_geo("clusters", "merge", run, "2", "3", "--quiet"))
    done(label(crops, run, "--force"))
    done(label(crops, run, "--overwrite", "--seed", "5"))
    (run / "clusters.npz").write_bytes(b"damaged")
    polygons(run).write_bytes(b"SQLite format 3\0 and damaged")
    done(label(crops, run, "--force", "--seed", "5"))
    assert_consistent(run)


def test_what_another_program_left_when_it_crashed_counts(run: Path, crops: list[Path]) -> None:
    with other_program(polygons(run), WAL, "PRAGMA wal_autocheckpoint = 0") as program:
        program.edit("UPDATE segments SET cluster_name = 'mine' WHERE segment_id = 1")
    assert polygons(run).with_name("segments.gpkg-wal").stat().st_size
    other = ("--min-area", "64", "--overwrite")
    refused(label(crops, run, *other), "1 feature edited (cluster_name of segment 1 is 'mine'")
    done(label(crops, run, *other, "--discard-edits"))
    assert [path.name for path in run.rglob("*") if path.name in SIDECARS] == []
    assert_consistent(run)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lock", ["SELECT count(*) FROM segments", "BEGIN IMMEDIATE"])
def test_a_file_that_another_program_holds_is_not_replaced(
    run: Path, crops: list[Path], lock: str
) -> None:
    mode = "delete" if lock.startswith("BEGIN") else "wal"
    with other_program(polygons(run), f"PRAGMA journal_mode = {mode}", lock) as program:
        before = contents(run)
        outcome = label(crops, run, "--overwrite", "--seed", "5", "--discard-edits")
        refused(outcome, "segments.gpkg: another program holds it")
        assert contents(run) == before
        program.do("SELECT count(*) FROM segments")
    done(label(crops, run, "--overwrite", "--seed", "5"))
    assert_consistent(run)


def test_an_edit_that_is_made_while_a_run_is_at_work_stays(
    run: Path, crops: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = pipeline._find_segments

    def edited(*given: Any, **more: Any) -> Any:
        edit(polygons(run), "UPDATE segments SET cluster_name = 'mine' WHERE segment_id = 1")
        return work(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_find_segments", edited)
        refused(label(crops, run, "--force"), "segments.gpkg was changed by hand")
    refused(label(crops, run), "segments.gpkg was changed by hand", "--discard-edits")
    row = "SELECT cluster_name FROM segments WHERE segment_id = 1"
    assert query(polygons(run), row) == [("mine",)]
    done(label(crops, run, "--discard-edits"))
    assert_consistent(run)


@pytest.mark.parametrize("stage", ["_find_segments", "_move"])
def test_a_run_that_was_stopped_goes_on_without_being_asked_again(
    run: Path, crops: list[Path], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    edit(polygons(run), "UPDATE segments SET cluster_name = 'mine' WHERE segment_id = 1")
    move = files._move

    def killed(*given: Any, **_: Any) -> None:
        if stage == "_move" and Path(given[1]).name != ".run.json.partial":
            move(*given)
        elif stage == "_move" and any(part.name == "preview.png" for part in given[0]):
            # They are moved in the order of their names.
            move([part for part in given[0] if part.parent.name != "second"], *given[1:])
            raise Killed
        elif stage != "_move":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(files if stage == "_move" else pipeline, stage, killed)
        with pytest.raises(Killed):
            label(crops, run, "--force", "--discard-edits")
    assert not (run / "run.json").exists()
    assert polygons(run).exists()
    done(label(crops, run))
    assert_consistent(run)


@pytest.mark.parametrize("change", [("name", "2=water"), ("split", "1", "--into", "2")])
def test_a_model_of_other_features_is_not_that_of_the_run(
    run: Path, change: tuple[str, ...]
) -> None:
    model = read_model(run / "clusters.npz")
    other = replace(model, names=tuple(f"other {name}" for name in model.names))
    (run / "clusters.npz").write_bytes(other.to_bytes())
    before = contents(run)
    refused(alps_geo("clusters", change[0], run, *change[1:]), "is not the model of this run")
    assert contents(run) == before
