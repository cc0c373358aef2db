"""`alps-geo clusters` on a real run of two scenes: what is on disk afterwards."""

import base64
import json
import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from helpers import DATA, alps_geo
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rio_cogeo.cogeo import cog_validate
from shapely.affinity import affine_transform

from alps_geo import files
from alps_geo.review.gallery import crop_window
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.lock import held
from alps_geo.runs.run import read_model
from alps_geo.scene import open_scene

# Two kinds of scene: one band with nodata in degrees, and 8-bit RGB.
SCENES = ("landsat5_int16_1band", "neon_osbs_10cm")
LABEL = ("label", *(DATA / f"{name}.tif" for name in SCENES), "--points-per-side", "4")
CLUSTERS = ("--clusters", "6")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clusters") / "out"
    outcome = alps_geo(*LABEL, *CLUSTERS, "--out", out)
    assert outcome.exit_code == 0, outcome.stderr
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def clusters(*arguments: object) -> None:
    outcome = alps_geo("clusters", *arguments)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr == ""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def differing(first: Path, second: Path) -> set[str]:
    one, two = contents(first), contents(second)
    return {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}


def labels(run: Path, name: str) -> NDArray[np.uint8]:
    with rasterio.open(run / name / "labels.tif") as raster:
        pixels: NDArray[np.uint8] = raster.read(1)
        return pixels


def polygons(run: Path, name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(run / name / "segments.gpkg", layer="segments").set_index("segment_id")


def record(run: Path) -> dict[int, dict[str, Any]]:
    found = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return {cluster["cluster"]: cluster for cluster in found["clusters"]}


def table(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def assert_consistent(run: Path) -> None:
    """All that a run says of its clusters is the same everywhere."""
    model = read_model(run / "clusters.npz")
    known = record(run)
    assert list(known) == model.ids.tolist()
    assert {i: each["name"] for i, each in known.items() if each["name"]} == model.legend
    counted = dict.fromkeys(known, 0)
    # Where some have names, the others show their numbers: nothing is blank.
    shown = {i: model.legend.get(i, str(i)) for i in known} if model.legend else {}
    for name in SCENES:
        shapes = polygons(run, name)
        with rasterio.open(run / name / "segments.tif") as raster:
            ids = raster.read(1)
        of_id = np.zeros(ids.max() + 1, dtype=np.int64)
        of_id[shapes.index] = shapes["cluster"]
        np.testing.assert_array_equal(labels(run, name), of_id[ids])
        assert (shapes["cluster_name"] == [shown.get(i, "") for i in shapes["cluster"]]).all()
        for cluster in shapes["cluster"]:
            counted[cluster] += 1
        valid, errors, _ = cog_validate(run / name / "labels.tif", quiet=True)
        assert valid, errors
        with rasterio.open(run / name / "labels.tif") as raster:
            colors = raster.colormap(1)
        assert {i: colors[i][:3] for i in known} == model.palette
        style = ET.parse(run / name / "labels.qml").getroot()
        assert {
            int(entry.attrib["value"]): entry.attrib["label"]
            for entry in style.iter("paletteEntry")
        } == {i: model.legend.get(i, str(i)) for i in known}
        (qml, sld), *others = table(
            run / name / "segments.gpkg", "SELECT styleQML, styleSLD FROM layer_styles"
        )
        assert others == []
        listed = [entry.attrib["label"] for entry in ET.fromstring(qml).iter("category")]
        assert listed == [model.legend.get(i, str(i)) for i in known]
        assert all(f">{escape(text)}<" in sld for text in listed)
        assert categories(run, name) == shown
    assert {i: each["segments"] for i, each in known.items()} == counted


def categories(run: Path, name: str) -> dict[int, str]:
    """Names of ids, as GDAL reads them beside the raster."""
    path = run / name / "labels.tif.aux.xml"
    if not path.exists():
        return {}
    found = [element.text for element in ET.parse(path).iter("Category")]
    return {number: text for number, text in enumerate(found) if text}


def test_a_run_begins_without_names(finished: Path) -> None:
    assert_consistent(finished)
    assert set(polygons(finished, SCENES[0])["cluster_name"]) == {""}
    assert not (finished / SCENES[0] / "labels.tif.aux.xml").exists()


def test_names_are_everywhere_and_no_pixel_changes(run: Path, finished: Path) -> None:
    outcome = alps_geo("clusters", "name", run, "3=water", "5=bare soil <&>", "1=water")
    assert outcome.exit_code == 0
    assert "bare soil <&>" in outcome.stdout
    assert_consistent(run)
    assert read_model(run / "clusters.npz").legend == {1: "water", 3: "water", 5: "bare soil <&>"}
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
    assert read_model(run / "clusters.npz").legend == {2: "Wäldchen", 3: "path"}
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
    assert differing(run, finished) == {"run.json"} | {f"{n}/segments.gpkg" for n in SCENES}
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
    """A tile that failed would be tried again, and the clusters be fitted anew."""
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
        stopping.setattr("alps_geo.pipeline.label_tiles", raise_killed)
        with pytest.raises(Killed):
            alps_geo(*again)
    assert not (run / "run.json").exists()
    assert alps_geo(*again).exit_code == 0
    assert record(run)[2]["name"] == "water"


def raise_killed(*_: object, **__: object) -> None:
    raise Killed


def test_pictures_of_clusters_do_not_outlive_them(run: Path) -> None:
    for page in ("gallery.html", "suggest.png"):
        (run / page).write_text("drawn before")
    outcome = alps_geo("clusters", "name", run, "2=water")
    assert f"{run / 'gallery.html'} showed the clusters as they were, and is gone" in outcome.stdout
    # Names do not bear on how many clusters there should be.
    assert [(run / page).exists() for page in ("gallery.html", "suggest.png")] == [False, True]
    (run / "gallery.html").write_text("drawn before")
    replaced = alps_geo(*LABEL, "--clusters", "4", "--out", run, "--overwrite", "--quiet")
    assert replaced.exit_code == 0
    assert not (run / "gallery.html").exists()
    assert not (run / "suggest.png").exists()


def test_another_run_in_the_folder_leaves_nothing_of_the_names(run: Path) -> None:
    clusters("name", run, "2=water")
    replaced = alps_geo(*LABEL, "--clusters", "4", "--out", run, "--overwrite")
    assert replaced.exit_code == 0
    assert_consistent(run)
    assert read_model(run / "clusters.npz").legend == {}
    assert not list(run.rglob("*.aux.xml"))


class Killed(BaseException):
    """The end of a process at once."""


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


# What the polygons hold, as the run wrote them.
NOTE = ".tiles/polygons.json"

# The note and that of the polygons; labels, style and preview of two scenes; model and record.
MOVES = 2 + 3 * 2 + 2
MERGE = ("merge", 2, 5)


@pytest.mark.parametrize("moves", [0, 1, 3, 5, 7, 8])
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
    assert read_model(run / "clusters.npz").legend == {2: "water", 3: "path"}
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


class Page(HTMLParser):
    """Content of the page: per cluster its name and its crops; and the command."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self.crops: dict[int, list[tuple[str, int]]] = {}
        self.sources: list[str] = []
        self.command = ""
        self._in_command = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._in_command = found.get("id") == "command"
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if "data-cluster" in found:
            self.names[int(found["data-cluster"] or 0)] = found["value"] or ""
        if crop := re.fullmatch(
            r"(.*), segment (\d+), confidence \d\.\d\d", found.get("alt") or ""
        ):
            self.crops.setdefault(max(self.names), []).append((crop[1], int(crop[2])))

    def handle_data(self, data: str) -> None:
        if self._in_command:
            self.command += data
            self._in_command = False


def test_the_gallery_shows_segments_of_every_cluster_from_all_scenes(
    run: Path, finished: Path
) -> None:
    outcome = alps_geo("clusters", "gallery", run)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.strip() == str(run / "gallery.html")
    assert differing(run, finished) == {"gallery.html"}
    page = Page((run / "gallery.html").read_text(encoding="utf-8"))
    known = {name: polygons(run, name)[["cluster", "confidence", "area_m2"]] for name in SCENES}
    assert list(page.names) == list(record(run)) == list(page.crops)
    for cluster, crops in page.crops.items():
        assert len(set(crops)) == len(crops) == 10
        assert all(known[name].loc[segment, "cluster"] == cluster for name, segment in crops)
        sizes = {name: (shapes["cluster"] == cluster).sum() for name, shapes in known.items()}
        if min(sizes.values()) >= 10:
            assert {name for name, _ in crops} == set(SCENES)
        sure = [known[name].loc[segment, "confidence"] for name, segment in crops]
        assert np.median(sure[:6]) > np.median(sure[6:])
    images = [source for source in page.sources if source.startswith("data:image/jpeg;base64,")]
    assert len(images) == len(page.sources) == 6 * 11
    for image in images:
        with Image.open(BytesIO(base64.b64decode(image.partition(",")[2]))) as picture:
            assert max(picture.size) in (132, 220)
    assert (run / "gallery.html").stat().st_size < 1e6


def test_the_command_on_the_page_gives_the_names_that_stand_there(run: Path) -> None:
    names = {1: 'it\'s <b>wet</b> & "deep"', 4: "Wäldchen"}
    clusters("name", run, *(f"{cluster}={name}" for cluster, name in names.items()))
    clusters("gallery", run, "--quiet")
    page = Page((run / "gallery.html").read_text(encoding="utf-8"))
    assert {cluster: name for cluster, name in page.names.items() if name} == names
    for cluster in names:
        clusters("name", run, f"{cluster}=")
    program, *arguments = shlex.split(page.command)
    assert program == "alps-geo"
    assert alps_geo(*arguments).exit_code == 0
    assert read_model(run / "clusters.npz").legend == names
    clusters("recolor", run, "2=teal")
    assert alps_geo(*arguments).exit_code == 0
    # They were thought out for clusters that are no more, though all their numbers are there.
    clusters("split", run, 4, "--into", 2)
    before = contents(run)
    outcome = alps_geo(*arguments)
    assert outcome.exit_code == 1
    assert "merged, split or fitted anew since the gallery was made" in outcome.stderr
    assert contents(run) == before


def test_segments_are_outlined_where_they_are(run: Path) -> None:
    clusters("gallery", run, "--quiet")
    text = (run / "gallery.html").read_text(encoding="utf-8")
    name = "neon_osbs_10cm"
    scene = open_scene(str(DATA / f"{name}.tif"))
    shapes = polygons(run, name).geometry
    found = re.findall(rf'base64,([^"]+)" alt="{name}, segment (\d+),', text)
    assert found
    for data, segment in found:
        pixels = affine_transform(shapes[int(segment)], (~scene.transform).to_shapely())
        window = crop_window(pixels, scene.shape)
        with Image.open(BytesIO(base64.b64decode(data))) as picture:
            crop = np.asarray(picture.convert("L")).astype(float)
        scale = crop.shape[1] / window.width
        border = shapely.segmentize(pixels.boundary, 0.5)
        points = (shapely.get_coordinates(border) - [window.col_off, window.row_off]) * scale
        at = np.rint(points).astype(int)
        at = at[((at > 2) & (at < np.array(crop.shape[::-1]) - 3)).all(axis=1)]
        # White, but for the blur of JPEG and the black beside it.
        assert np.median(crop[at[:, 1], at[:, 0]]) > 180


@given(
    shape=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
)
@settings(deadline=None)
def test_a_crop_is_a_window_of_the_scene_around_the_segment(
    shape: tuple[int, int], corner: tuple[float, float], size: tuple[int, int]
) -> None:
    height, width = (min(side, length) for side, length in zip(size, shape, strict=True))
    row = int(corner[0] * (shape[0] - height))
    col = int(corner[1] * (shape[1] - width))
    segment = shapely.box(col, row, col + width, row + height)
    window = crop_window(segment, shape)
    (top, bottom), (left, right) = window.toranges()
    assert 0 <= top < bottom <= shape[0]
    assert 0 <= left < right <= shape[1]
    assert max(window.height, window.width) <= 512
    seen = shapely.box(left, top, right, bottom)
    if max(height, width) <= 512:
        assert shapely.covers(seen, segment)
    assert shapely.area(shapely.intersection(seen, segment)) > 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "gone/scene.tif",
            "put the scene back and give the command again from the folder in which",
        ),
        (str(DATA / "naip_md_1m.tif"), "has changed since it was labelled (1024 x 1024 pixels"),
    ],
)
def test_a_scene_that_is_gone_or_another_is_an_error(run: Path, path: str, message: str) -> None:
    known = json.loads((run / "run.json").read_text(encoding="utf-8"))
    known["scenes"][1]["path"] = path
    (run / "run.json").write_text(json.dumps(known), encoding="utf-8")
    outcome = alps_geo("clusters", "gallery", run)
    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (run / "gallery.html").exists()
    clusters("name", run, "2=water", "--quiet")
