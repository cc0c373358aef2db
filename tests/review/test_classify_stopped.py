"""A classification that is killed at any moment leaves all results old, or is finished later."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, Any

import pytest
from class_samples import assert_classes_agree, legend, points
from edited_runs import Killed, assert_consistent, contents, finished_crops
from helpers import alps_geo

from alps_geo.outputs.gpkg.update import LockedSegments

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory) / "out"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return copytree(finished, tmp_path / "out")


@pytest.fixture
def samples(run: Path) -> Path:
    return points(run, run.parent / "points.gpkg")


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets so many commits and moves happen before the process ends."""
    left = [10**6]
    commit, replace = LockedSegments.commit, Path.replace

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return act(*arguments)

        return wrapped

    monkeypatch.setattr(LockedSegments, "commit", counted(commit))
    monkeypatch.setattr(Path, "replace", counted(replace))

    def after(count: int) -> None:
        left[0] = count

    return after


@pytest.mark.parametrize("moves", [0, 3])
def test_killed_before_its_note_changes_nothing(
    run: Path, samples: Path, kill_after: Callable[[int], None], moves: int
) -> None:
    before = contents(run)
    kill_after(moves)
    with pytest.raises(Killed):
        alps_geo("classify", run, "--samples", samples)
    kill_after(10**6)
    assert json.loads(alps_geo("status", run, "--json").stdout)["state"] == "finished"
    after = contents(run)
    left = {name for name in after if before.get(name) != after[name]}
    assert {name for name in left if not name.startswith(".tiles/classify/")} == set()


@pytest.mark.parametrize("moves", [4, 6, 11, 17])
@pytest.mark.parametrize("other", [False, True])
def test_killed_later_is_finished_by_the_next_command(
    run: Path, samples: Path, kill_after: Callable[[int], None], moves: int, *, other: bool
) -> None:
    kill_after(moves)
    with pytest.raises(Killed):
        alps_geo("classify", run, "--samples", samples)
    kill_after(10**6)
    if (run / ".tiles" / "classify" / "change.json").exists():
        assert json.loads(alps_geo("status", run, "--json").stdout)["state"] == "stopped"
        told = alps_geo("similar", run, "--segment", 1, "--scene", "first")
        assert told.exit_code == 1
        assert "alps-geo classify --samples" in told.stderr
    command = ("clusters", "name", run, "1=a") if other else ("classify", run, "--samples", samples)
    outcome = alps_geo(*command)
    assert outcome.exit_code == 0, outcome.stderr
    assert list(legend(run).values()) == ["grass", "road", "wood"]
    assert_classes_agree(run)
    assert_consistent(run)
    assert not (run / ".tiles" / "classify").exists()
    assert list(run.rglob("*.partial")) == []
    assert json.loads(alps_geo("status", run, "--json").stdout)["state"] == "finished"
