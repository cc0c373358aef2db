"""`alps-geo evaluate`, as it is typed."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from evaluate_rasters import GRID, LANDCOVER, UTM, kmeans_labels, read_ids, write_ids
from helpers import alps_geo
from PIL import Image
from run_folders import RECORD
from shapely.geometry import box

from alps_geo.runs.record import write_record
from alps_geo.segments.regions import connected_pieces


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labels of the NAIP scene, and truth to compare them with."""
    folder = tmp_path_factory.mktemp("evaluate") / "naip"
    folder.mkdir()
    labels = kmeans_labels()[:512, :512]
    write_ids(folder / "labels.tif", labels, nodata=0)
    write_ids(folder / "moved.tif", np.where(labels == 3, 4, labels), nodata=0)
    (folder / "names.csv").write_text("1,water\n2,tree canopy\n3,[low] vegetation\n")
    halves = [box(GRID.c + at, GRID.f - 512, GRID.c + at + 256, GRID.f) for at in (0, 256)]
    gpd.GeoDataFrame({"kind": ["west", "east"], "n": [1, 2]}, geometry=halves, crs=UTM).to_file(
        folder / "halves.gpkg"
    )
    return folder


def test_quality_prints_scores_and_writes_them_next_to_the_labels(scene: Path) -> None:
    names = ("--ignore", "15", "--names", scene / "names.csv")
    outcome = alps_geo("evaluate", "quality", scene / "labels.tif", "--truth", LANDCOVER, *names)
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads((scene / "quality.json").read_text())
    for text in (
        f"{record['majority']['accuracy']:.3f}",
        f"{record['majority']['mean_iou']:.3f}",
        f"{record['adjusted_rand']:.3f}",
        "coverage 100.0% of 262,144 pixels",
        "tree canopy",
        "[low]",
        "quality.png",
    ):
        assert text in outcome.stdout
    assert "oracle" not in outcome.stdout
    with Image.open(scene / "quality.png") as picture:
        assert picture.width > 500
    assert not list(scene.glob(".*"))


def test_quality_against_polygons_as_json(scene: Path, tmp_path: Path) -> None:
    outcome = alps_geo(
        *("evaluate", "quality", scene / "labels.tif", "--truth", scene / "halves.gpkg"),
        *("--field", "kind", "--segments", scene / "labels.tif"),
        *("--out", tmp_path / "out", "--json"),
    )
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads(outcome.stdout)
    assert record == json.loads((tmp_path / "out" / "quality.json").read_text())
    assert [one["name"] for one in record["classes"]] == ["east", "west"]
    assert [one["pixels"] for one in record["classes"]] == [512 * 256] * 2
    assert record["oracle"] == record["majority"]


def test_quiet_prints_nothing(scene: Path, tmp_path: Path) -> None:
    outcome = alps_geo(
        *("evaluate", "quality", scene / "labels.tif", "--truth", LANDCOVER),
        *("--out", tmp_path, "--quiet"),
    )
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "")
    assert (tmp_path / "quality.json").exists()


def test_seams_are_printed_with_their_standard_error(scene: Path) -> None:
    arguments = ("evaluate", "seams", scene / "labels.tif", "--tile-size", "128")
    outcome = alps_geo(*arguments)
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads(alps_geo(*arguments, "--json").stdout)
    assert record["overlap"] == 16
    assert f"seam excess {record['excess']:+.3f}" in outcome.stdout
    assert f"standard error {record['standard_error']:.3f}" in outcome.stdout
    assert "5 x 5 tiles" in outcome.stdout


def test_an_infinite_excess_is_null_in_json(tmp_path: Path) -> None:
    blocks = np.kron(np.arange(1, 5, dtype=np.uint8).reshape(2, 2), np.ones((64, 64), np.uint8))
    path = write_ids(tmp_path / "blocks.tif", blocks)
    arguments = ("evaluate", "seams", path, "--tile-size", "64", "--overlap", "0")
    assert json.loads(alps_geo(*arguments, "--json").stdout)["excess"] is None
    assert "seam excess +inf (too few tiles for a standard error)" in alps_geo(*arguments).stdout


def test_a_raster_of_one_label_has_no_seam_excess(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "ids.tif", np.ones((64, 64), np.uint8))
    arguments = ("evaluate", "seams", path, "--tile-size", "32", "--overlap", "0")
    assert "no seam excess: no two adjacent pixels differ\n" in alps_geo(*arguments).stdout


def test_agreement_prints_the_share_of_equal_labels(scene: Path) -> None:
    arguments = ("evaluate", "agreement", scene / "labels.tif", scene / "moved.tif")
    record = json.loads(alps_geo(*arguments, "--json").stdout)
    assert 0 < record["share"] < 1
    assert record["both"] == 512 * 512
    assert f"{record['share']:.2%} of 262,144 pixels" in alps_geo(*arguments).stdout


@pytest.fixture
def run(scene: Path, tmp_path: Path) -> Path:
    """A run folder whose segments are the connected regions of the land cover."""
    folder = tmp_path / "run"
    (folder / "scene").mkdir(parents=True)
    regions = connected_pieces(read_ids(LANDCOVER)[:512, :512])
    write_ids(folder / "scene" / "segments.tif", regions.astype(np.uint32), nodata=0)
    write_record(folder / "run.json", RECORD)
    return folder


def test_objects_of_a_run_are_printed_by_size_and_class(run: Path, scene: Path) -> None:
    options = ("--truth", LANDCOVER, "--names", scene / "names.csv")
    chosen = ("--classes", "water,[low] vegetation", "--min-area", "50")
    outcome = alps_geo("evaluate", "objects", run, *options, *chosen)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    record = json.loads(alps_geo("evaluate", "objects", run, *options, *chosen, "--json").stdout)
    assert record["matched"] == [
        {"iou_above": 0.5, "share": 1.0},
        {"iou_above": 0.75, "share": 1.0},
    ]
    assert [each["name"] for each in record["classes"]] == ["water", "[low] vegetation"]
    assert sum(each["objects"] for each in record["sizes"]) == record["objects"] > 2
    for text in (
        f"{record['objects']:,} objects",
        "from 50 px",
        "1.639 ha",
        "[low]",
        "100.0%",
        f"left out: {record['too_small']:,} objects of fewer than 50 pixels",
    ):
        assert text in outcome.stdout
    named = alps_geo("evaluate", "objects", run, *options, *chosen, "--scene", "scene", "--json")
    assert json.loads(named.stdout) == record


def test_objects_of_a_raster_of_segments(run: Path, scene: Path) -> None:
    arguments = (run / "scene" / "segments.tif", "--truth", scene / "halves.gpkg")
    outcome = alps_geo("evaluate", "objects", *arguments, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads(outcome.stdout)
    assert (record["objects"], record["classes"]) == (2, [])
    quiet = alps_geo("evaluate", "objects", *arguments, "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_run_without_its_segments_is_one_line(run: Path, tmp_path: Path) -> None:
    (run / "scene" / "segments.tif").unlink()
    (tmp_path / "empty").mkdir()
    for folder, options, message in (
        (run, (), "segments.tif does not exist; expected the segment ids of the run"),
        (run, ("--scene", "other"), "there is no scene 'other'; expected one of scene"),
        (tmp_path / "empty", (), "empty"),
    ):
        outcome = alps_geo("evaluate", "objects", folder, "--truth", LANDCOVER, *options)
        assert (outcome.exit_code, outcome.stdout) == (1, "")
        (line,) = outcome.stderr.splitlines()
        assert message in line


def test_a_scene_of_a_raster_is_a_usage_error(scene: Path) -> None:
    arguments = (scene / "labels.tif", "--truth", LANDCOVER, "--scene", "scene")
    outcome = alps_geo("evaluate", "objects", *arguments)
    assert outcome.exit_code == 2
    assert "is no run folder" in " ".join(outcome.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["quality", "labels.tif", "--truth", "absent.tif"], 1, "absent.tif does not exist"),
        (["quality", "absent.tif", "--truth", "labels.tif"], 1, "absent.tif does not exist"),
        (["quality", "labels.tif", "--truth", "halves.gpkg"], 1, "its columns are kind, n"),
        (
            ["quality", "labels.tif", "--truth", "halves.gpkg", "--field", "n", "--ignore", "a"],
            2,
            "--ignore is 'a'",
        ),
        (["quality", "labels.tif", "--truth", "labels.tif", "--out", "names.csv"], 1, "names.csv"),
        (["seams", "labels.tif", "--tile-size", "1024"], 2, "one tile holds it all"),
        (["objects", "absent.tif", "--truth", "labels.tif"], 1, "absent.tif does not exist"),
        (["objects", "labels.tif", "--truth", "labels.tif", "--classes", "a"], 2, "--classes is"),
        (["objects", "labels.tif", "--truth", "labels.tif", "--classes", "99"], 1, "class 99"),
        (["agreement", "labels.tif", str(LANDCOVER)], 1, "has 1024 x 1024 pixels"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    scene: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(scene)
    outcome = alps_geo("evaluate", *arguments)
    assert outcome.exit_code == code
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("alps-geo: error: ")
    assert message in line


def test_usage_errors_exit_with_2() -> None:
    assert alps_geo("evaluate", "quality", "labels.tif").exit_code == 2
    remote = ("evaluate", "quality", "https://example.org/labels.tif", "--truth", LANDCOVER)
    outcome = alps_geo(*remote)
    assert outcome.exit_code == 2
    assert "--out" in outcome.stderr
