"""Folders and globs that hold more than scenes: results of earlier runs, and tables."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo
from rasterio.windows import Window

from alps_geo.datasets import find_scenes
from alps_geo.errors import SceneError
from alps_geo.fields.formats import ChosenFormats
from alps_geo.outputs.names import SUGGESTION
from alps_geo.outputs.results import scene_files

QUICK = ("--points", "grid:2", "--clusters", "2", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a scene, and label it into a folder next to it."""
    folder = tmp_path_factory.mktemp("folder")
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as scene:
        profile = {**scene.profile, "width": 64, "height": 64}
        pixels = scene.read(window=Window(0, 0, 64, 64))
    with rasterio.open(folder / "scene.tif", "w", **profile) as small:
        small.write(pixels)
    outcome = alps_geo("label", folder / "scene.tif", "--out", folder / "out", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    return folder


def write_table(path: Path) -> Path:
    rows = [f"{x} {y} {x * y}" for y in range(4) for x in range(5)]
    path.write_text("\n".join(rows) + "\n")
    with rasterio.open(path) as table:  # so that the test is of what GDAL takes for a raster
        assert table.driver == "XYZ"
    return path


def test_a_glob_leaves_out_results_of_runs_with_a_note(folder: Path) -> None:
    notes: list[str] = []
    found = find_scenes([str(folder / "**" / "*.*")], notes.append)
    assert found == (str(folder / "scene.tif"),)
    (note,) = notes
    assert "3 results of alps-geo runs are left out" in note
    assert str(folder / "out" / "scene" / "labels.tif") in note
    assert "by name" in note


def test_results_can_be_given_by_name(folder: Path) -> None:
    labels = str(folder / "out" / "scene" / "labels.tif")
    assert find_scenes([labels]) == (labels,)


def test_nothing_but_results_is_said_so(folder: Path) -> None:
    with pytest.raises(SceneError, match=r"holds no raster.*3 results of alps-geo runs"):
        find_scenes([str(folder / "out" / "scene")])


@pytest.mark.parametrize("lost", ["labels.qml", "run.json"])
def test_results_are_known_by_their_record_or_their_fellows(
    folder: Path, tmp_path: Path, lost: str
) -> None:
    copy = tmp_path / "copy"
    (copy / "scene").mkdir(parents=True)
    for name in (
        "run.json",
        *(f"scene/{file}" for file in scene_files(ChosenFormats(("gpkg",), ("png",)))),
    ):
        if not name.endswith(lost):
            (copy / name).write_bytes((folder / "out" / name).read_bytes())
    with pytest.raises(SceneError, match=r"of (an )?alps-geo run"):
        find_scenes([str(copy / "*" / "*")])


def test_a_scene_that_is_called_labels_is_a_scene(folder: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "labels.tif", folder / "more" / "labels.tif"):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes((folder / "scene.tif").read_bytes())
        assert find_scenes([str(place.parent)]) == (str(place),)


def test_a_suggestion_in_a_run_folder_is_no_scene(folder: Path) -> None:
    preview = (folder / "out" / "scene" / "preview.png").read_bytes()
    (folder / "out" / SUGGESTION).write_bytes(preview)
    with pytest.raises(SceneError, match=r"of (an )?alps-geo run"):
        find_scenes([str(folder / "out")])


@pytest.mark.parametrize("name", ["a.xyz", "a.csv", "a.txt"])
def test_a_table_of_points_is_left_out_but_can_be_given(tmp_path: Path, name: str) -> None:
    table = write_table(tmp_path / name)
    pixels = np.zeros((1, 4, 5), np.uint8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=5, height=4, count=1, dtype="uint8",
        crs="EPSG:32632", transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6),
    ) as scene:  # fmt: skip
        scene.write(pixels)
    notes: list[str] = []
    for given in (str(tmp_path), str(tmp_path / "a.*")):
        assert find_scenes([given], notes.append) == (str(tmp_path / "a.tif"),)
    assert len(notes) == 2
    assert f"1 table of x, y and z is left out, {table}" in notes[0]
    assert find_scenes([str(table)]) == (str(table),)


def test_the_command_says_what_a_folder_leaves_out(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    write_table(given / "points.csv")
    (given / "scene.tif").write_bytes((folder / "scene.tif").read_bytes())
    options = [option for option in QUICK if option != "--quiet"]
    outcome = alps_geo("label", given, "--out", tmp_path / "out", *options)
    assert outcome.exit_code == 0, outcome.stderr
    assert "points.csv" in outcome.stderr
