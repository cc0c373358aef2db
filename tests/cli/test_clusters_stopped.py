"""Changes of clusters that a kill cuts short: finished once, by the next command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clustered_runs import (
    CLUSTERS,
    LABEL,
    NOTE,
    SCENES,
    Killed,
    assert_consistent,
    clusters,
    differing,
    finished_run,
    labels,
    record,
)
from helpers import alps_geo

from alps_geo.files import disk as files
from alps_geo.runs.run import read_model


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the process be killed before it puts its n-th file into place."""
    move = files._move_all
    left = [10**6]

    def counted(work: Path, path: Path) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        move(work, path)

    monkeypatch.setattr(files, "_move_all", counted)

    def arm(moves: int) -> None:
        left[0] = moves

    return arm


# The note and that of the polygons; labels, style, patches and preview of two scenes; model, table
# of clusters, project and record.
MOVES = 2 + 4 * 2 + 4

MERGE = ("merge", 2, 5)


@pytest.mark.parametrize("moves", [0, 1, 3, 5, 8, 10, 13])
def test_a_killed_change_is_finished_once_by_the_same_command(
    finished: Path, run: Path, tmp_path: Path, kill_after: Callable[[int], None], moves: int
) -> None:
    undisturbed = Path(shutil.copytree(finished, tmp_path / "undisturbed"))
    clusters(MERGE[0], undisturbed, *MERGE[1:])
    kill_after(moves)
    with pytest.raises(Killed):
        alps_geo("clusters", MERGE[0], run, *MERGE[1:])
    # A process that is killed for good does not clean up.
    (run / SCENES[0] / ".segments.gpkg.partial").mkdir()
    kill_after(MOVES)
    if moves == 0:
        assert differing(run, finished) == set()
    else:
        assert json.loads(alps_geo("status", run, "--json").stdout)["state"] == "stopped"
        for other in (("clusters", "gallery", run), (*LABEL, *CLUSTERS, "--out", run, "--quiet")):
            outcome = alps_geo(*other)
            assert outcome.exit_code == 1
            assert "merge 2 5" in outcome.stderr
            assert outcome.stderr.count("\n") == 1
    clusters(MERGE[0], run, *MERGE[1:])
    # The note of polygons that the change had come to may stay behind.
    assert differing(run, undisturbed) <= {NOTE}
    assert list(run.rglob("*.partial")) == []
    assert json.loads(alps_geo("status", run, "--json").stdout)["state"] == "finished"
    # It was made, so now there is no 5 any more.
    assert alps_geo("clusters", MERGE[0], run, *MERGE[1:]).exit_code == 1


@pytest.mark.parametrize("moves", [2, 5, 8])
def test_killed_colours_are_finished_by_the_next_command(
    run: Path, finished: Path, kill_after: Callable[[int], None], moves: int
) -> None:
    clusters("name", run, "2=water", "3=road")
    kill_after(moves)
    with pytest.raises(Killed):
        alps_geo("clusters", "recolor", run, "2=teal")
    kill_after(100)
    clusters("name", run, "3=path")
    assert_consistent(run)
    assert record(run)[2]["color"] == "#008080"
    assert read_model(run / "clusters.npz").legend.names == {2: "water", 3: "path"}
    for name in SCENES:
        np.testing.assert_array_equal(labels(run, name), labels(finished, name))


def test_a_killed_change_is_finished_before_another_is_made(
    run: Path, kill_after: Callable[[int], None]
) -> None:
    kill_after(3)
    with pytest.raises(Killed):
        alps_geo("clusters", MERGE[0], run, *MERGE[1:])
    kill_after(100)
    clusters("name", run, "2=both")
    assert list(record(run)) == [1, 2, 3, 4, 6]
    assert record(run)[2]["name"] == "both"
    assert_consistent(run)


def test_another_run_in_the_folder_forgets_a_killed_change(
    run: Path, kill_after: Callable[[int], None]
) -> None:
    kill_after(3)
    with pytest.raises(Killed):
        alps_geo("clusters", MERGE[0], run, *MERGE[1:])
    kill_after(10**6)
    assert alps_geo(*LABEL, "--clusters", "4", "--out", run, "--overwrite").exit_code == 0
    assert list(record(run)) == [1, 2, 3, 4]
    assert json.loads(alps_geo("status", run, "--json").stdout)["state"] == "finished"
    assert_consistent(run)
