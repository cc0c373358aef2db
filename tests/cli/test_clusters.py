"""`alps-geo clusters` on a real run of two scenes: what is on disk afterwards."""

import json
import shutil
import sqlite3
from contextlib import closing
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
    contents,
    differing,
    finished_run,
    labels,
    polygons,
    record,
    table,
)
from helpers import alps_geo
from PIL import Image

from alps_geo.runs.run import read_model


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_run_begins_without_names(finished: Path) -> None:
    assert_consistent(finished)
    assert set(polygons(finished, SCENES[0])["cluster_name"]) == {""}


def test_names_are_everywhere_and_no_pixel_changes(run: Path, finished: Path) -> None:
    outcome = alps_geo("clusters", "name", run, "3=water", "5=bare soil <&>", "1=water")
    assert outcome.exit_code == 0
    assert "bare soil <&>" in outcome.stdout
    assert_consistent(run)
    assert read_model(run / "clusters.npz").legend.names == {
        1: "water",
        3: "water",
        5: "bare soil <&>",
    }
    for name in SCENES:
        np.testing.assert_array_equal(labels(run, name), labels(finished, name))
        before, after = polygons(finished, name), polygons(run, name)
        assert after.drop(columns="cluster_name").equals(before.drop(columns="cluster_name"))
        # The legend shows them.
        assert "/".join((name, "preview.png")) in differing(run, finished)
    unchanged = contents(finished).keys() - differing(run, finished)
    assert {f"{name}/segments.tif" for name in SCENES} < unchanged
    kept = {file for file in contents(finished) if file.startswith(".tiles")} - {NOTE}
    assert kept <= unchanged


def test_names_come_from_a_file_too_and_what_is_typed_wins(run: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("id,name\n2,Wäldchen\n3,road\n", encoding="utf-8")
    clusters("name", run, "3=path", "--from", names)
    assert read_model(run / "clusters.npz").legend.names == {2: "Wäldchen", 3: "path"}
    assert_consistent(run)


def test_taking_back_what_was_changed_gives_the_same_bytes(run: Path, finished: Path) -> None:
    color = record(run)[2]["color"]
    clusters("name", run, "2=water")
    clusters("recolor", run, "2=teal")
    assert record(run)[2]["color"] == "#008080"
    assert_consistent(run)
    clusters("recolor", run, f"2={color}")
    clusters("name", run, "2=")
    assert_consistent(run)
    # SQLite counts changes; what the layer holds is compared by the other tests.
    polygons = {f"{n}/{each}.gpkg" for n in SCENES for each in ("segments", "patches")}
    assert differing(run, finished) == {"run.json"} | polygons
    before, after = (json.loads((folder / "run.json").read_text()) for folder in (finished, run))
    made = ["name 2=water", "recolor 2=teal", f"recolor '2={color}'", "name 2="]
    assert after == before | {"changes": made}


def test_merged_clusters_are_one_in_all_scenes(run: Path, finished: Path) -> None:
    clusters("merge", run, 5, 2, 6, "--name", "built")
    assert_consistent(run)
    before, after = record(finished), record(run)
    assert list(after) == [1, 2, 3, 4]
    assert after[2]["name"] == "built"
    assert after[2]["color"] == before[2]["color"]
    for key in ("segments", "area", "share"):
        assert after[2][key] == pytest.approx(sum(before[i][key] for i in (2, 5, 6)))
        assert after[3][key] == pytest.approx(before[3][key], rel=1e-12)
    for name in SCENES:
        old = labels(finished, name)
        np.testing.assert_array_equal(labels(run, name), np.where(np.isin(old, [5, 6]), 2, old))


def test_a_split_touches_one_cluster_alone(run: Path, finished: Path) -> None:
    clusters("split", run, 1, "--into", 3)
    assert_consistent(run)
    assert list(record(run)) == [1, 2, 3, 4, 5, 6, 7, 8]
    found = set()
    for name in SCENES:
        old, new = labels(finished, name), labels(run, name)
        np.testing.assert_array_equal(new[old != 1], old[old != 1])
        found |= set(new[old == 1].tolist())
    assert found == {1, 7, 8}


def test_geometries_index_and_triggers_of_the_polygons_stay_as_they_were(
    run: Path, finished: Path
) -> None:
    clusters("split", run, 2, "--into", 2)
    clusters("name", run, "2=a long name that does not fit where an empty one was")
    for name in SCENES:
        old, new = (folder / name / "segments.gpkg" for folder in (finished, run))
        for query in (
            "SELECT fid, segment_id, geom, source, area_m2 FROM segments ORDER BY fid",
            "SELECT * FROM rtree_segments_geom ORDER BY id",
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
            "SELECT * FROM gpkg_contents",
        ):
            assert table(old, query) == table(new, query)
        assert table(new, "PRAGMA integrity_check") == [("ok",)]


def test_what_a_user_has_added_to_the_polygons_stays(run: Path) -> None:
    path = run / SCENES[0] / "segments.gpkg"
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE segments ADD COLUMN checked TEXT DEFAULT 'yes'")
        database.execute(
            "INSERT INTO layer_styles (f_table_name, styleName, styleQML, useAsDefault) "
            "VALUES ('segments', 'mine', '<qgis/>', 0)"
        )
        database.commit()
    clusters("name", run, "2=water")
    assert set(polygons(run, SCENES[0])["checked"]) == {"yes"}
    styles = dict(table(path, "SELECT styleName, styleQML FROM layer_styles"))
    assert styles["mine"] == "<qgis/>"
    assert "water" in styles["clusters"]


def test_neither_scenes_nor_tiles_are_needed(
    finished: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (run / ".tiles").iterdir():
        if folder.is_dir() and not folder.name.endswith(".segments"):
            shutil.rmtree(folder)
    monkeypatch.setattr(
        "alps_geo.scene.describe.open_scene", lambda *_, **__: pytest.fail("a scene is opened")
    )
    clusters("merge", run, 1, 2)
    assert_consistent(run)


def test_a_finished_run_stays_finished_with_its_names(run: Path) -> None:
    clusters("name", run, "2=water")
    assert alps_geo(*LABEL, *CLUSTERS, "--out", run).exit_code == 0
    assert record(run)[2]["name"] == "water"


@pytest.mark.parametrize("change", [("name", "2=water"), ("merge", "2", "3")])
def test_clusters_changed_by_hand_are_not_replaced_unasked(
    run: Path, change: tuple[str, ...]
) -> None:
    """A tile that failed would be tried again, and the clusters be fitted again."""
    clusters(change[0], run, *change[1:])
    found = json.loads((run / "run.json").read_text())
    size = {"row_off": 0, "col_off": 0, "height": 8, "width": 8}
    tile = {"scene": SCENES[0], "row": 0, "col": 0, **size, "reason": "unreadable"}
    found["failed"] = [tile]
    (run / "run.json").write_text(json.dumps(found))
    before = contents(run)
    for more in ((), ("--seed", "5")):
        outcome = alps_geo(*LABEL, *CLUSTERS, "--out", run, *more, "--quiet")
        assert outcome.exit_code == 1
        assert outcome.stderr.count("\n") == 1
        assert f"changed by hand (alps-geo clusters {' '.join(change)})" in outcome.stderr
        assert contents(run) == before
    model = run / "clusters.npz"
    assert f"apply with --clusters-from {model} --overwrite keeps them" in outcome.stderr
    kept = alps_geo("apply", *LABEL[1:], "--out", run, "--clusters-from", model, "--overwrite")
    assert kept.exit_code == 0, kept.stderr
    assert model.read_bytes() == before["clusters.npz"]
    assert_consistent(run)


def test_a_model_that_is_applied_where_it_lies_outlives_a_stop(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters("name", run, "2=water")
    model = run / "clusters.npz"
    again = ("apply", *LABEL[1:], "--out", run, "--clusters-from", model, "--overwrite", "--quiet")
    with monkeypatch.context() as stopping:
        stopping.setattr("alps_geo.pipeline.scenes.label_tiles", raise_killed)
        with pytest.raises(Killed):
            alps_geo(*again)
    assert not (run / "run.json").exists()
    assert alps_geo(*again).exit_code == 0
    assert record(run)[2]["name"] == "water"


def raise_killed(*_: object, **__: object) -> None:
    raise Killed


def test_pictures_of_clusters_do_not_outlive_them(run: Path) -> None:
    pages = ("gallery.html", "report.html", "suggest.png")
    for page in pages:
        (run / page).write_text("drawn before")
    outcome = alps_geo("clusters", "name", run, "2=water")
    for page in pages[:2]:
        assert f"{run / page} showed the clusters as they were, and is gone" in outcome.stderr
    assert f"alps-geo report {run} makes it again" in outcome.stderr
    # Names do not bear on how many clusters there should be.
    assert [(run / page).exists() for page in pages] == [False, False, True]
    for page in pages[:2]:
        (run / page).write_text("drawn before")
    replaced = alps_geo(*LABEL, "--clusters", "4", "--out", run, "--overwrite", "--quiet")
    assert replaced.exit_code == 0
    assert not any((run / page).exists() for page in pages)


def test_another_run_in_the_folder_leaves_nothing_of_the_names(run: Path) -> None:
    clusters("name", run, "2=water")
    replaced = alps_geo(*LABEL, "--clusters", "4", "--out", run, "--overwrite")
    assert replaced.exit_code == 0
    assert_consistent(run)
    assert read_model(run / "clusters.npz").legend.names == {}


def test_a_number_of_clusters_is_suggested_from_stored_segments(run: Path, finished: Path) -> None:
    first = alps_geo("clusters", "suggest", run, "--range", "3:11:2", "--json")
    assert first.exit_code == 0, first.stderr
    found = json.loads(first.stdout)
    assert [tried["clusters"] for tried in found["tried"]] == [3, 5, 7, 9, 11]
    assert found["clusters"] in (3, 5, 7, 9, 11)
    assert found["segments"] == sum(cluster["segments"] for cluster in record(run).values())
    assert all(-1 <= tried["silhouette"] <= 1 for tried in found["tried"])
    assert all(tried["stability"] <= 1 for tried in found["tried"])
    assert differing(run, finished) == {"suggest.png"}
    with Image.open(run / "suggest.png") as picture:
        assert picture.size == (900, 690)
    again = alps_geo("clusters", "suggest", run, "--range", "3:11:2", "--out", run / "other.png")
    assert f"{found['clusters']} clusters: {found['reason']}." in " ".join(again.stdout.split())
    assert (run / "other.png").read_bytes() == (run / "suggest.png").read_bytes()


def test_a_range_beyond_the_segments_is_an_error(run: Path, finished: Path) -> None:
    outcome = alps_geo("clusters", "suggest", run, "--range", "4:90000")
    assert outcome.exit_code == 1
    assert "give another --range" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert differing(run, finished) == set()
