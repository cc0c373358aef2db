"""Runs that would replace polygons that a person has edited: they stop, unless told otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
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
)
from helpers import alps_geo

from alps_geo.files import disk as files
from alps_geo.outputs.gpkg import lock
from alps_geo.pipeline import scenes as pipeline

pytestmark = pytest.mark.usefixtures("images_encoded_once")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished / "out", tmp_path / "run"))


@pytest.fixture
def crops(finished: Path) -> list[Path]:
    return scenes(finished)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LOCK_SECONDS", 0.2)


def label(crops: list[Path], run: Path, *more: object) -> Any:
    return alps_geo("label", *crops, "--out", run, *QUICK, *more)


STYLE = "INSERT INTO layer_styles (f_table_name, styleName) VALUES ('segments', 'mine')"

OUTLINES = "layer_styles SET styleQML = '<qgis/>' WHERE styleName = 'outlines'"

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
    ("CREATE VIEW water AS SELECT * FROM segments WHERE cluster = 1", "view water added"),
    ("CREATE INDEX by_cluster ON segments (cluster)", "index by_cluster added"),
    ("CREATE TRIGGER mine AFTER DELETE ON segments BEGIN SELECT 1; END", "trigger mine added"),
    ("UPDATE gpkg_contents SET description = 'checked'", "description 'checked' added"),
    (STYLE, "style mine added"),
    ("UPDATE layer_styles SET styleQML = '<qgis/>'", "style clusters edited"),
    ("DELETE FROM layer_styles", "style clusters removed"),
    (f"UPDATE {OUTLINES}", "style outlines edited"),
    ("DELETE FROM layer_styles WHERE styleName = 'source'", "style source removed"),
    ("UPDATE layer_styles SET useAsDefault = (styleName = 'outlines')", "default style outlines"),
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


def test_styles_of_an_earlier_version_are_known_to_be_of_a_person(
    run: Path, crops: list[Path]
) -> None:
    """It wrote the style by cluster alone, and so noted no others."""
    note = run / ".tiles" / "polygons.json"
    noted = json.loads(note.read_text())
    for each in noted.values():
        assert len(each.pop("styles")) == 3
    note.write_text(json.dumps(noted))
    for name in ("first", "second"):
        edit(polygons(run, name), "DELETE FROM layer_styles WHERE styleName <> 'clusters'")
    edit(polygons(run), STYLE.replace("'mine'", "'outlines'"))
    refused(label(crops, run, "--force"), "first/segments.gpkg", ": style outlines added;")
    edit(polygons(run), "DELETE FROM layer_styles WHERE styleName = 'outlines'")
    done(label(crops, run, "--force"))
    assert_consistent(run)


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
