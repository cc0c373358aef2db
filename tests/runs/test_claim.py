"""Claims on a run folder: nothing of another run is lost unasked."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from run_folders import (
    FIRST,
    FIT,
    FIT_RECORD,
    FRAGMENTS,
    OTHER,
    PLAN,
    RECORD,
    begin,
    finish,
    stored,
    tile_store,
)

from alps_geo.errors import RunError
from alps_geo.runs.claim import claimed
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import is_running
from alps_geo.runs.plan import Plan
from alps_geo.runs.reading import finished_record
from alps_geo.runs.record import RunRecord


def test_another_run_in_the_folder_needs_overwrite(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    begin(folder, PLAN)
    for force in (False, True):
        with pytest.raises(RunError, match=r"holds another run.*--overwrite"):
            begin(folder, OTHER, force=force)
    begin(folder, OTHER, overwrite=True)
    tile_store(folder, "other").save(FIRST, FRAGMENTS)
    with pytest.raises(RunError, match="holds another run"):
        begin(folder, PLAN)


def test_a_run_of_the_same_tiles_that_came_to_no_result_is_in_nobodys_way(tmp_path: Path) -> None:
    """As when more clusters were asked for than there are segments."""
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    stored(folder)
    begin(folder, Plan("fewer clusters", PLAN.scenes, PLAN.files))
    assert len(list(tmp_path.glob(".tiles/scene.key/*.outlines.npz"))) == 1
    with pytest.raises(RunError, match="another run"):
        begin(folder, OTHER)


def test_a_run_that_has_done_nothing_that_is_lost_makes_way(tmp_path: Path) -> None:
    """As one whose checkpoint was damaged, or that was asked for too many clusters."""
    folder = RunFolder(tmp_path)
    begin(folder, OTHER)
    begin(folder, PLAN)
    store, _ = stored(folder)
    begin(folder, replace(PLAN, fingerprint="of another number of clusters"))
    assert store.holds(FIRST)


def test_overwriting_removes_what_is_stale_and_keeps_tiles_that_fit(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, OTHER)
    (tmp_path / "other" / "notes.txt").write_text("mine")
    store, kept = stored(folder)
    stale = tile_store(folder, "other")
    stale.save(FIRST, FRAGMENTS)
    begin(folder, PLAN, overwrite=True)
    assert not (tmp_path / "other" / "labels.tif").exists()
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"
    assert not folder.record_path.exists()
    assert kept.exists()
    assert store.holds(FIRST)
    assert not stale.folder.exists()


def test_a_run_goes_on_with_a_plan_that_has_the_paths_as_they_were_typed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    store, _ = stored(folder)
    (scene,) = PLAN.scenes
    absolute = replace(PLAN, scenes=(replace(scene, path="/scenes/scene.tif"),))
    begin(folder, absolute)
    assert store.holds(FIRST)
    assert json.loads(folder.plan_path.read_text())["scenes"][0]["path"] == "/scenes/scene.tif"


def test_a_plan_that_names_files_outside_the_folder_harms_none(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    folder = RunFolder(tmp_path / "out")
    harmful = Plan("one", (), ("../precious", str(tmp_path / "precious")))
    begin(folder, harmful, overwrite=True)
    begin(folder, OTHER, overwrite=True)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_file_of_somebody_else_stays_unless_told_otherwise(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    theirs = tmp_path / "scene" / "labels.tif"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    with pytest.raises(RunError, match=r"labels\.tif is there already.*--overwrite"):
        begin(folder, PLAN)
    with pytest.raises(RunError, match="is there already"):
        begin(folder, PLAN, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]
    begin(folder, PLAN, overwrite=True)
    assert theirs.read_text() == "theirs"
    # From here on the place is this run's, which may go on.
    begin(folder, PLAN)


def test_a_folder_in_the_place_of_a_file_is_an_error_even_to_overwrite(tmp_path: Path) -> None:
    (tmp_path / "scene" / "labels.tif").mkdir(parents=True)
    with pytest.raises(RunError, match=r"labels\.tif is a folder"):
        begin(RunFolder(tmp_path), PLAN, overwrite=True)
    (tmp_path / "other").write_text("mine")
    with pytest.raises(RunError, match="other is a file"):
        begin(RunFolder(tmp_path), OTHER, overwrite=True)


def test_what_a_run_reads_is_never_replaced(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    scene = str(tmp_path / "scene" / ".." / "scene" / "labels.tif")
    for plan in (PLAN, OTHER):
        with (
            pytest.raises(RunError, match="would be replaced by a result, and this run reads it"),
            claimed(folder, plan, overwrite=True, inputs=[scene]),
        ):
            pytest.fail("an input may be lost")
    assert Path(scene).exists()


def test_nothing_is_removed_before_it_was_checked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    asked = []

    def check(files: set[str]) -> None:
        asked.append(files)
        raise RunError("held")

    with (
        pytest.raises(RunError, match="held"),
        claimed(folder, OTHER, overwrite=True, check=check),
    ):
        pytest.fail("results may be lost")
    assert asked == [{*PLAN.files, *OTHER.files}]
    assert folder.record_path.exists()
    assert (tmp_path / PLAN.files[0]).read_text() == "result"


def test_force_forgets_the_tiles(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    store, _ = stored(folder)
    begin(folder, PLAN)
    assert store.holds(FIRST)
    begin(folder, PLAN, force=True)
    assert not store.holds(FIRST)


def test_tiles_of_an_earlier_version_make_way_and_are_told_of_once(tmp_path: Path) -> None:
    """They lay in one file each; not even the run that stored them could go on with them."""
    folder = RunFolder(tmp_path)
    begin(folder, OTHER)
    earlier = tmp_path / ".tiles" / OTHER.scenes[0].tiles_folder / "0000_0000.npz"
    earlier.parent.mkdir()
    earlier.write_bytes(b"fragments")
    told = []
    for _ in range(2):
        with claimed(folder, PLAN, overwrite=False) as cleared:
            told.append(cleared.earlier_tiles)
    assert told == [True, False]
    assert not earlier.parent.exists()


def test_tiles_of_other_settings_are_not_of_an_earlier_version(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    stored(folder)
    with claimed(folder, OTHER, overwrite=True) as cleared:
        assert not cleared.earlier_tiles


def test_what_killed_processes_left_is_swept_up(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    stored(folder)
    left = [
        tmp_path / ".run.json.partial",
        tmp_path / "scene" / ".labels.tif.partial",
        tmp_path / ".tiles" / ".run.json.partial",
        tmp_path / ".tiles" / "scene.key" / ".0000_0000.outlines.npz.partial",
    ]
    for path in left:
        path.mkdir()
        (path / "half").write_text("ha")
    begin(folder, PLAN)
    assert not [path for path in left if path.exists()]
    assert (tmp_path / "scene" / "labels.tif").exists()


def test_two_runs_in_one_folder_exclude_each_other(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with claimed(folder, PLAN, overwrite=False):
        assert is_running(folder)
        with (
            pytest.raises(RunError, match="another run is at work"),
            claimed(folder, PLAN, overwrite=False),
        ):
            pytest.fail("two runs hold one folder")
        with (
            pytest.raises(RunError, match="another run"),
            claimed(folder, OTHER, overwrite=True),
        ):
            pytest.fail("two runs hold one folder")
    assert not is_running(folder)
    begin(folder, PLAN)


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(RunError, match="is a file, expected a folder"):
        begin(RunFolder(path), PLAN, overwrite=True)
    with pytest.raises(RunError, match="is a file, expected a folder"):
        finished_record(RunFolder(path), "one", RunRecord)
    assert path.read_text() == "mine"


def test_a_damaged_plan_is_another_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    (tmp_path / ".tiles" / "run.json").write_text(json.dumps({"run": "one"}))
    with pytest.raises(RunError, match=r"lacks 'scenes'.*which run has finished"):
        begin(folder, PLAN)
    begin(folder, PLAN, overwrite=True)


def test_a_label_takes_over_the_tiles_of_a_fit(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, FIT, FIT_RECORD)
    store, _ = stored(folder)
    begin(folder, PLAN)
    assert store.holds(FIRST)
    assert not folder.record_path.exists()


def test_tiles_of_a_fit_of_something_else_are_not_dropped_unasked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, FIT, FIT_RECORD)
    store, _ = stored(folder)
    with pytest.raises(RunError, match=r"tiles of a fit of other scenes.*--out.*--overwrite"):
        begin(folder, OTHER)
    assert store.holds(FIRST)
    begin(folder, replace(OTHER, fingerprint="another fit", files=()))
    assert not store.holds(FIRST)


def test_a_fit_does_not_remove_results_unasked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    for force in (False, True):
        with pytest.raises(RunError, match=r"results of alps-geo label.*--work.*--overwrite"):
            begin(folder, FIT, force=force)
    assert finished_record(folder, "one", RunRecord) == RECORD
    store, _ = stored(folder)
    begin(folder, FIT, overwrite=True)
    assert not (tmp_path / "scene" / "labels.tif").exists()
    assert store.holds(FIRST)


def test_clusters_of_a_damaged_record_are_not_replaced_unasked(tmp_path: Path) -> None:
    """They may have been named by hand, as only the record tells."""
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    folder.model_path.write_text("clusters")
    folder.record_path.write_text("{")
    assert finished_record(folder, "one", RunRecord) is None
    with pytest.raises(RunError, match=r"run\.json is damaged.*changed by hand.*apply"):
        begin(folder, PLAN)
    begin(folder, PLAN, overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written"):
        begin(RunFolder(tmp_path / "out"), PLAN)


def test_a_sidecar_that_an_earlier_version_did_not_list_is_of_the_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    sidecar = tmp_path / "scene" / "labels.tif.aux.xml"
    sidecar.write_text("names")
    listing = replace(PLAN, files=(*PLAN.files, "scene/labels.tif.aux.xml"))
    begin(folder, listing, force=True)
    (tmp_path / "scene" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"notes.txt is there already"):
        begin(folder, replace(listing, files=(*listing.files, "scene/notes.txt")), force=True)
