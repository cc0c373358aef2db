"""Errors of `alps-geo clusters`: one line, and nothing changes."""

import shutil
from pathlib import Path

import pytest
from clustered_runs import contents, differing, finished_run
from helpers import alps_geo

from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("name", "9=water"), "no cluster 9; expected some of 1 to 6"),
        (("name", "2=a\tb"), "cannot be shown"),
        (("merge", "2"), "two different ones"),
        (("merge", "2", "2"), "two different ones"),
        (("merge", "2", "8"), "no cluster 8"),
        (("split", "7", "--into", "2"), "no cluster 7"),
        (("split", "6", "--into", "5000"), "ask for fewer parts"),
        (("recolor", "2=tael"), "'tael' is no colour, expected one such as #1f77b4"),
        (("recolor", "2=#1f77b480"), "transparency"),
        (("recolor", "7=#1f77b4"), "no cluster 7"),
        (("name", "--from", "missing.csv"), "missing.csv"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    finished: Path, run: Path, command: tuple[str, ...], message: str
) -> None:
    outcome = alps_geo("clusters", command[0], run, *command[1:])
    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""
    assert differing(run, finished) == set()


@pytest.mark.parametrize(
    "command",
    [
        ("name",),
        ("name", "water"),
        ("name", "x=water"),
        ("name", "2=a", "2=b"),
        ("merge", "two", "three"),
        ("split", "2"),
        ("split", "2", "--into", "1"),
        ("recolor", "#1f77b4"),
        ("suggest", "--range", "4-60"),
        ("suggest", "--range", "60:4"),
        ("suggest", "--range", "4:60:0"),
    ],
)
def test_wrong_usage_exits_with_2(finished: Path, command: tuple[str, ...]) -> None:
    assert alps_geo("clusters", command[0], finished, *command[1:]).exit_code == 2


@pytest.mark.parametrize("command", ["name", "suggest", "gallery"])
def test_a_folder_without_a_finished_run_is_an_error_and_stays_as_it_is(
    run: Path, tmp_path: Path, command: str
) -> None:
    (run / "run.json").unlink()
    before = contents(run)
    for folder in (run, tmp_path / "nowhere"):
        outcome = alps_geo("clusters", command, folder, *(["2=x"] if command == "name" else []))
        assert outcome.exit_code == 1
        assert "holds no finished run of alps-geo" in outcome.stderr
        assert outcome.stderr.count("\n") == 1
    assert contents(run) == before
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_in_which_a_run_is_at_work_is_left_alone(run: Path, finished: Path) -> None:
    with held(RunFolder(run)):
        outcome = alps_geo("clusters", "name", run, "2=water")
    assert outcome.exit_code == 1
    assert "another run is at work" in outcome.stderr
    assert differing(run, finished) == set()


@pytest.mark.parametrize(
    "file", ["segments.tif", "segments.gpkg", ".tiles/neon_osbs_10cm.segments/picture.png"]
)
def test_a_file_that_is_gone_is_noticed_before_anything_changes(run: Path, file: str) -> None:
    (run / (file if "/" in file else f"neon_osbs_10cm/{file}")).unlink()
    before = contents(run)
    outcome = alps_geo("clusters", "name", run, "2=water")
    assert outcome.exit_code == 1
    assert "alps-geo label there again with --force" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert contents(run) == before
