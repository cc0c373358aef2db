import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alps_geo.errors import RunError
from alps_geo.features.embeddings import Embeddings
from alps_geo.grid import TileGrid
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.plan import Change, Plan, PlannedScene
from alps_geo.runs.tile_store import FailedTile, TileStore, _plain_arrays, fingerprint
from alps_geo.segments.fragments import Fragments, Objects

FIRST, SECOND = TileGrid(8, 14, 8, 2)
FRAGMENTS = Fragments(
    np.arange(64, dtype=np.int32).reshape(8, 8) % 3,
    size=np.array([21, 21]),
    rank=np.array([1, 3], dtype=np.uint8),
    owner=np.array([-1, 1], dtype=np.int32),
    objects=Objects(
        of=np.array([1, 0], dtype=np.int32),
        superpixel=np.array([0, 7], dtype=np.int32),
        in_parts=np.array([False]),
        edges=np.array([[False, True, False, False]]),
        sums=np.arange(5.0)[None],
        scores=np.array([[0.5, 0.25]]),
    ),
    valid_pixels=42,
    embeddings=Embeddings(np.ones((256, 4, 4), np.float16), np.ones((5, 2, 2), np.float32)),
)
PLAN = Plan("one", (PlannedScene("scene", "scene.tif", "scene.key", 2),), ("scene/labels.tif",))
OTHER = Plan("two", (PlannedScene("other", "other.tif", "other.key", 2),), ("other/labels.tif",))


RECORD: dict[str, Any] = {
    "settings": {"bands": None, "nodata": None, "stretch": None},
    "scenes": [{"name": "scene", "path": "s.tif", "height": 8, "width": 14, "size_bytes": None}],
    "segments": 3,
    "area_unit": "px",
    "labelled_share": 1.0,
    "clusters": [
        {"cluster": 1, "name": "", "color": "#00ff7f", "segments": 3, "area": 9, "share": 1.0}
    ],
    "failed": [],
    "files": ["scene/labels.tif"],
}
FIT_RECORD: dict[str, Any] = {"fitted": "model.npz", "clusters": 3, "failed": []}
FIT = replace(PLAN, run="a fit", files=())


def stored(folder: RunFolder) -> tuple[TileStore, Path]:
    store = folder.tile_store("scene", "key")
    store.save(FIRST, FRAGMENTS)
    (path,) = folder.path.glob(".tiles/scene.key/*.npz")
    return store, path


def begin(folder: RunFolder, plan: Plan, *, overwrite: bool = False, force: bool = False) -> None:
    with folder.claimed(plan, overwrite=overwrite, force=force):
        pass


def finish(folder: RunFolder, plan: Plan, record: dict[str, Any] = RECORD) -> None:
    begin(folder, plan)
    for name in plan.files:
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text("result")
    folder.record_path.write_text(json.dumps(record))


def test_a_tile_comes_back_as_it_was(tmp_path: Path) -> None:
    store, _ = stored(RunFolder(tmp_path))
    outlines, embeddings = store.load_outlines(FIRST), store.load_embeddings(FIRST)
    assert outlines is not None
    assert embeddings is not None
    assert outlines.failed is False
    assert store.holds(FIRST)
    expected = _plain_arrays(FRAGMENTS)
    found = _plain_arrays(Fragments(**vars(outlines), embeddings=embeddings))
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_tile_of_other_settings_or_none_is_absent(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.tile_store("scene", "key").load_outlines(FIRST) is None
    store, path = stored(folder)
    assert store.load_outlines(SECOND) is None
    assert folder.tile_store("scene", "another key").load_outlines(FIRST) is None
    assert folder.tile_store("another scene", "key").load_outlines(FIRST) is None
    path.rename(path.with_name("0000_0001.npz"))
    assert store.load_outlines(SECOND) is None


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_truncated_tile_is_absent(tmp_path: Path, keep: float) -> None:
    store, path = stored(RunFolder(tmp_path))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    assert store.load_outlines(FIRST) is None
    assert not store.holds(FIRST)


def test_a_tile_that_the_disk_does_not_give_back_is_absent(tmp_path: Path) -> None:
    store, path = stored(RunFolder(tmp_path))
    path.unlink()
    path.mkdir()  # for which reading fails, as for a bad sector
    assert not store.holds(FIRST)
    assert store.load_embeddings(FIRST) is None


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.999])
def test_a_tile_with_a_flipped_bit_is_absent(tmp_path: Path, share: float) -> None:
    store, path = stored(RunFolder(tmp_path))
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1
    path.write_bytes(bytes(data))
    assert store.load_outlines(FIRST) is None
    assert not store.holds(FIRST)


def test_another_run_in_the_folder_needs_overwrite(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    begin(folder, PLAN)
    for force in (False, True):
        with pytest.raises(RunError, match=r"holds another run.*--overwrite"):
            begin(folder, OTHER, force=force)
    begin(folder, OTHER, overwrite=True)
    folder.tile_store("other", "key").save(FIRST, FRAGMENTS)
    with pytest.raises(RunError, match="holds another run"):
        begin(folder, PLAN)


def test_a_run_of_the_same_tiles_that_came_to_no_result_is_in_nobodys_way(tmp_path: Path) -> None:
    """As when more clusters were asked for than there are segments."""
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    stored(folder)
    begin(folder, Plan("fewer clusters", PLAN.scenes, PLAN.files))
    assert len(list(tmp_path.glob(".tiles/scene.key/*.npz"))) == 1
    with pytest.raises(RunError, match="another run"):
        begin(folder, OTHER)


def test_a_run_that_has_done_nothing_that_is_lost_makes_way(tmp_path: Path) -> None:
    """As one whose checkpoint was damaged, or that was asked for too many clusters."""
    folder = RunFolder(tmp_path)
    begin(folder, OTHER)
    begin(folder, PLAN)
    store, _ = stored(folder)
    begin(folder, replace(PLAN, run="of another number of clusters"))
    assert store.holds(FIRST)


def test_overwriting_removes_what_is_stale_and_keeps_tiles_that_fit(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, OTHER)
    (tmp_path / "other" / "notes.txt").write_text("mine")
    store, kept = stored(folder)
    stale = folder.tile_store("other", "key")
    stale.save(FIRST, FRAGMENTS)
    begin(folder, PLAN, overwrite=True)
    assert not (tmp_path / "other" / "labels.tif").exists()
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"
    assert not folder.record_path.exists()
    assert kept.exists()
    assert store.holds(FIRST)
    assert not stale.folder.exists()


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
            folder.claimed(plan, overwrite=True, inputs=[scene]),
        ):
            pytest.fail("an input may be lost")
    assert Path(scene).exists()


def test_results_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    sidecar = tmp_path / "scene" / "labels.tif.aux.xml"
    sidecar.write_text("of the old raster")

    def write(*, full: bool) -> None:
        with folder.replaced(PLAN) as target:
            target.scene_folder("scene").mkdir()
            (target.scene_folder("scene") / "labels.tif").write_text("new")
            if full:
                raise OSError("full")
            target.record_path.write_text("{}")

    with pytest.raises(OSError, match="full"):
        write(full=True)
    assert (tmp_path / "scene" / "labels.tif").read_text() == "result"
    assert sidecar.exists()
    write(full=False)
    assert (tmp_path / "scene" / "labels.tif").read_text() == "new"
    assert not sidecar.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tiles", "run.json", "scene"]


def test_what_lies_next_to_a_database_goes_with_it(tmp_path: Path) -> None:
    """Next to another of its name, SQLite would take it for a part of that."""
    folder = RunFolder(tmp_path)
    first = replace(PLAN, files=("scene/segments.gpkg", "gone/segments.gpkg"))
    finish(folder, first)
    (tmp_path / "gone" / "segments.gpkg").unlink()
    left = [
        tmp_path / scene / f"segments.gpkg{ending}"
        for scene in ("scene", "gone")
        for ending in ("-wal", "-shm", "-journal")
    ]
    for path in left:
        path.write_text("of the old file")
    with folder.replaced(first) as target:
        for name in first.files:
            target.path.joinpath(name).parent.mkdir()
            target.path.joinpath(name).write_text("new")
        target.record_path.write_text("{}")
    assert not [path for path in left if path.exists()]
    for path in left:
        path.write_text("of the old file")
    begin(folder, OTHER, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tiles"]


def test_nothing_is_removed_before_it_was_checked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    asked = []

    def check(files: set[str]) -> None:
        asked.append(files)
        raise RunError("held")

    with (
        pytest.raises(RunError, match="held"),
        folder.claimed(OTHER, overwrite=True, check=check),
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


def test_what_killed_processes_left_is_swept_up(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    stored(folder)
    left = [
        tmp_path / ".run.json.partial",
        tmp_path / "scene" / ".labels.tif.partial",
        tmp_path / ".tiles" / ".run.json.partial",
        tmp_path / ".tiles" / "scene.key" / ".0000_0000.npz.partial",
    ]
    for path in left:
        path.mkdir()
        (path / "half").write_text("ha")
    begin(folder, PLAN)
    assert not [path for path in left if path.exists()]
    assert (tmp_path / "scene" / "labels.tif").exists()


def test_a_finished_run_is_recognised_while_its_files_are_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, PLAN)
    assert folder.finished_record("one") is None
    finish(folder, PLAN, RECORD)
    assert folder.finished_record("one") == RECORD
    assert folder.finished_record("two") is None
    (tmp_path / "scene" / "labels.tif").unlink()
    assert folder.finished_record("one") is None


def test_a_run_with_failed_tiles_has_not_finished_for_good(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    failed = FailedTile.of("scene", SECOND, "unreadable")
    finish(folder, PLAN, RECORD | {"failed": [failed.to_dict()]})
    assert folder.finished_record("one") is None
    store = folder.tile_store("scene", "key")
    store.fail(FailedTile.of("scene", SECOND, "unreadable"), SECOND)
    assert store.has_failed(SECOND)
    assert not store.has_failed(FIRST)
    begin(folder, PLAN)
    assert not store.has_failed(SECOND)


def test_two_runs_in_one_folder_exclude_each_other(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.claimed(PLAN, overwrite=False):
        assert folder.is_running()
        with (
            pytest.raises(RunError, match="another run is at work"),
            folder.claimed(PLAN, overwrite=False),
        ):
            pytest.fail("two runs hold one folder")
        with (
            pytest.raises(RunError, match="another run"),
            folder.claimed(OTHER, overwrite=True),
        ):
            pytest.fail("two runs hold one folder")
    assert not folder.is_running()
    begin(folder, PLAN)


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(RunError, match="is a file, expected a folder"):
        begin(RunFolder(path), PLAN, overwrite=True)
    with pytest.raises(RunError, match="is a file, expected a folder"):
        RunFolder(path).finished_record("one")
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
    begin(folder, replace(OTHER, run="another fit", files=()))
    assert not store.holds(FIRST)


def test_a_fit_does_not_remove_results_unasked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN)
    for force in (False, True):
        with pytest.raises(RunError, match=r"results of alps-geo label.*--work.*--overwrite"):
            begin(folder, FIT, force=force)
    assert folder.finished_record("one") == RECORD
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
    assert folder.finished_record("one") is None
    with pytest.raises(RunError, match=r"run\.json is damaged.*changed by hand.*apply"):
        begin(folder, PLAN)
    begin(folder, PLAN, overwrite=True)


def test_what_a_later_version_adds_is_left_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    finish(folder, PLAN, RECORD | {"later": [1]})
    path = tmp_path / ".tiles" / "run.json"
    plan = json.loads(path.read_text())
    plan["scenes"][0]["later"] = {}
    path.write_text(json.dumps(plan | {"later": 2}))
    assert folder.plan() == PLAN
    assert folder.finished_record("one") == RECORD | {"later": [1]}
    change = {"command": "name 2=a", "earlier": [], "later": 3}
    folder.change_path.write_text(json.dumps(change))
    assert folder.change() == Change("name 2=a", [], moves_segments=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written"):
        begin(RunFolder(tmp_path / "out"), PLAN)


def test_fingerprints_do_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
