"""Adoptions that are refused, leave some edits where they are, or are cut short."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from edited_runs import (
    SCENES,
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
)
from helpers import alps_geo

from alps_geo.files import disk as files
from alps_geo.outputs.gpkg import lock
from alps_geo.outputs.gpkg.update import LockedSegments

pytestmark = pytest.mark.usefixtures("images_encoded_once")

EDITS = (
    "UPDATE segments SET cluster = 9 WHERE segment_id = 5",
    "UPDATE segments SET cluster_name = 'roof' WHERE segment_id IN (7, 8)",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own, with edits in both scenes."""
    path = Path(shutil.copytree(finished / "out", tmp_path / "run"))
    for scene in SCENES:
        edit(polygons(path, scene), *EDITS)
    return path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LOCK_SECONDS", 0.2)


def adopted(run: Path) -> str:
    outcome = alps_geo("clusters", "adopt", run)
    done(outcome)
    return outcome.stdout


def test_commands_that_would_overwrite_edits_name_both_remedies(run: Path) -> None:
    before = contents(run)
    for command in (("name", run, "1=a", "2=b", "3=c", "4=d"), ("merge", run, "1", "2", "3")):
        refused(alps_geo("clusters", *command), f"clusters adopt {run} makes", "--discard-edits")
    assert contents(run) == before
    adopted(run)
    done(alps_geo("clusters", "merge", run, "1", "2", "3", "--quiet"))
    assert_consistent(run)


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (
            ["UPDATE segments SET cluster = NULL WHERE segment_id = 3"],
            "cluster of segment 3 is NULL",
        ),
        (["UPDATE segments SET cluster = 'x' WHERE segment_id = 3"], "segment 3 is 'x', expected"),
        (
            [
                "UPDATE segments SET cluster = 9, cluster_name = 'a' WHERE segment_id = 3",
                "UPDATE segments SET cluster_name = 'b' WHERE segment_id = 5",
            ],
            "segment 5 gives the new cluster 9 the name 'b', and another segment 'a'",
        ),
        (
            ["UPDATE segments SET confidence = 0.5 WHERE segment_id = 5"],
            "alps-geo clusters adopt {run} would overwrite it; adopt cannot make it part of the "
            "run: undo it in QGIS, or overwrite it with alps-geo clusters adopt {run} "
            "--discard-edits",
        ),
        (["UPDATE layer_styles SET styleQML = '<qgis/>'"], "the style clusters was edited"),
        (
            ["ALTER TABLE segments RENAME COLUMN cluster_name TO other"],
            "no column cluster_name",
        ),
        (["ALTER TABLE segments RENAME COLUMN segment_id TO other"], "has no column segment_id"),
        (["ALTER TABLE segments RENAME TO mine"], "the layer segments is absent"),
    ],
)
def test_what_cannot_be_adopted_is_one_line_and_changes_nothing(
    run: Path, statements: list[str], told: str
) -> None:
    edit(polygons(run, "second"), *statements)
    before = contents(run)
    refused(alps_geo("clusters", "adopt", run), "second/segments.gpkg", told.format(run=run))
    assert contents(run) == before


def test_spaces_around_the_name_of_a_cluster_are_no_edit(run: Path) -> None:
    adopted(run)
    edit(polygons(run), "UPDATE segments SET cluster_name = ' roof' WHERE segment_id = 7")
    assert "no edit of cluster" in adopted(run)
    done(alps_geo("clusters", "name", run, "10=shed", "--quiet"))
    assert_consistent(run)


def test_an_edited_confidence_goes_if_it_may(run: Path) -> None:
    edit(polygons(run), "UPDATE segments SET confidence = 0.5 WHERE segment_id IN (5, 6)")
    outcome = alps_geo("clusters", "adopt", run, "--discard-edits")
    done(outcome)
    assert "first/segments.gpkg: confidence of 1 feature edited: left" in outcome.stdout
    found = query(
        polygons(run), "SELECT cluster, confidence FROM segments WHERE segment_id IN (5, 6)"
    )
    assert found[0] == (9, 1.0)
    assert found[1][1] == 0.5


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_file_that_is_being_edited_stops_an_adoption(run: Path, mode: str) -> None:
    with other_program(polygons(run, "second"), f"PRAGMA journal_mode = {mode}", "BEGIN IMMEDIATE"):
        before = contents(run)
        refused(
            alps_geo("clusters", "adopt", run), "second/segments.gpkg: another program holds it"
        )
        assert contents(run) == before
    adopted(run)
    assert_consistent(run)


def test_a_file_that_is_open_in_qgis_is_changed_in_place(run: Path) -> None:
    with other_program(polygons(run), WAL, "SELECT count(*) FROM segments") as program:
        adopted(run)
        program.edit("UPDATE segments SET source = 'mine' WHERE segment_id = 1")
    assert query(polygons(run), "SELECT source FROM segments WHERE segment_id = 1") == [("mine",)]
    assert_consistent(run)


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (
            [
                "INSERT INTO segments (cluster_name) VALUES ('lawn'), ('lawn')",
                "INSERT INTO segments (cluster) VALUES (1), (1)",
            ],
            "4 features of no segment, such as those you drew: left as samples, for alps-geo "
            "classify {run} --samples {path} --layer segments --field cluster_name",
        ),
        (
            ["INSERT INTO segments (segment_id, cluster, cluster_name) VALUES (3, 9, 'mine')"],
            "1 copy of segments, or parts that you cut off: left in the file",
        ),
        (["DELETE FROM segments WHERE segment_id IN (1, 2)"], "2 features deleted: left out"),
        (["UPDATE segments SET geom = NULL WHERE segment_id = 1"], "shapes or other attributes"),
    ],
)
def test_other_work_is_told_and_stays_as_it_is(run: Path, statements: list[str], told: str) -> None:
    path = polygons(run)
    edit(path, *statements)
    (count,) = query(path, "SELECT max(segment_id) FROM segments WHERE segment_id < 9999")[0]
    drawn = f"SELECT * FROM segments WHERE rowid > {count}"
    shapes = "SELECT rowid, segment_id, geom, source FROM segments"
    before = query(path, drawn), query(path, shapes)
    said = adopted(run)
    assert f"{path}: {told.format(run=run, path=path)}" in said
    assert said.count("segments.gpkg") == 1 + told.count("{path}")
    assert (query(path, drawn), query(path, shapes)) == before
    assert query(path, "SELECT cluster FROM segments WHERE segment_id = 5 LIMIT 1") == [(9,)]


SWAPPED = "UPDATE segments SET segment_id = {}, cluster = 1 + (cluster = 1) WHERE segment_id = {}"


@pytest.mark.parametrize(
    ("statement", "segment"),
    [
        # Before the feature of that segment, and after it.
        (SWAPPED.format(4, 3), 4),
        (SWAPPED.format(3, 4), 3),
        ("INSERT INTO segments (segment_id, cluster, cluster_name) VALUES (5, 3, 'mine')", 5),
    ],
)
def test_features_of_one_segment_that_contradict_each_other_change_nothing(
    run: Path, statement: str, segment: int
) -> None:
    edit(polygons(run), statement)
    before = contents(run)
    told = f"first/segments.gpkg: 2 features have segment_id {segment}, and differ in cluster"
    refused(alps_geo("clusters", "adopt", run), told)
    assert contents(run) == before


def test_copies_with_the_same_edits_are_adopted_once_and_again(run: Path) -> None:
    path, shown = polygons(run), "segment_id, cluster, cluster_name"
    edit(path, f"INSERT INTO segments ({shown}) SELECT {shown} FROM segments WHERE segment_id = 5")
    assert "1 copy of segments" in adopted(run)
    assert "no edit of cluster" in adopted(run)
    assert_consistent(run)


def test_a_segment_id_that_the_run_lacks_is_named(run: Path) -> None:
    path = polygons(run)
    edit(path, "UPDATE segments SET segment_id = 99999, cluster = 3 WHERE segment_id = 3")
    edit(path, "INSERT INTO segments (segment_id, cluster) VALUES (0, 1)")
    said = adopted(run)
    assert f"{path}: segment_id 99999 is no segment of this run (2 features have such" in said
    assert "2 features of no segment" in said


def test_a_run_over_images_has_no_polygons_to_edit(image_run: Path) -> None:
    before = contents(image_run)
    refused(alps_geo("clusters", "adopt", image_run), "holds masks of images, and no polygons")
    assert contents(image_run) == before


def results(run: Path) -> dict[str, bytes]:
    """The note of polygons that an adoption had come to may stay behind."""
    return {name: data for name, data in contents(run).items() if name != ".tiles/polygons.json"}


# The note and that of the polygons; labels, style, patches and preview of two scenes; model, table
# of clusters, project, overrides and record.
MOVES = 2 + 4 * 2 + 5


@pytest.mark.parametrize("moves", [0, 1, 4, 8, 9, 11])
def test_an_adoption_that_was_killed_is_finished_by_the_next_command(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    plain = Path(shutil.copytree(run, tmp_path / "plain"))
    adopted(plain)
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
    if moves == 0:
        assert contents(run) == before
    said = adopted(run)
    assert "is finished now" in said or moves == 0
    assert results(run) == results(plain)
    assert_consistent(run)
    done(alps_geo("clusters", "name", run, "1=water", "--quiet"))
    assert_consistent(run)


@pytest.mark.parametrize("commits", [0, 1])
def test_another_command_finishes_an_adoption_that_was_killed(
    run: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    left, commit = [commits], LockedSegments.commit

    def killed(self: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        commit(self)

    # Names that were left empty are no edits of their own, before the kill or after.
    edit(polygons(run, "second"), "UPDATE segments SET cluster = 2 WHERE segment_id = 1")
    with monkeypatch.context() as patched:
        patched.setattr(LockedSegments, "commit", killed)
        with pytest.raises(Killed):
            alps_geo("clusters", "adopt", run)
    done(alps_geo("clusters", "name", run, "9=tank", "--quiet"))
    found = "SELECT cluster, cluster_name FROM segments WHERE segment_id = ?"
    for scene in SCENES:
        assert query(polygons(run, scene), found, 5) == [(9, "tank")]
        assert query(polygons(run, scene), found, 7) == [(10, "roof")]
    assert_consistent(run)


@pytest.mark.parametrize("content", ["", "[]", '{"clusters": {}, "scenes": {"first": 3}}'])
def test_damaged_overrides_are_one_line_with_a_remedy(run: Path, content: str) -> None:
    adopted(run)
    (run / "overrides.json").write_text(content)
    before = contents(run)
    for command in (("name", run, "1=a"), ("gallery", run), ("adopt", run)):
        refused(alps_geo("clusters", *command), "overrides.json is damaged", "put back a copy")
    assert contents(run) == before
    # Without the file the values in the polygons are edits again.
    (run / "overrides.json").unlink()
    adopted(run)
    assert_consistent(run)
