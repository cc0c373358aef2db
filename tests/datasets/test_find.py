"""Scenes found by names, folders and globs."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from scene_rasters import UTM, noise, write

from alps_geo.datasets import find_scenes
from alps_geo.errors import SceneError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.tif", "c.jpg"):
        driver = "JPEG" if name.endswith("jpg") else "GTiff"
        place = {"crs": None, "transform": None} if driver == "JPEG" else UTM
        write(tmp_path / name, noise(3, 9, 9), driver=driver, **place)
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.write_mask(np.full((9, 9), 255, np.uint8))
    (tmp_path / "a.tif.ovr").write_bytes((tmp_path / "b.tif").read_bytes())
    (tmp_path / "b.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.tif").write_bytes((tmp_path / "b.tif").read_bytes())
    (tmp_path / "more").mkdir()
    write(tmp_path / "more" / "d.tif", noise(3, 9, 9))
    return tmp_path


def test_folder_gives_its_rasters_sorted(folder: Path) -> None:
    assert find_scenes([str(folder)]) == tuple(str(folder / n) for n in ("a.tif", "b.tif", "c.jpg"))


def test_glob_gives_its_rasters_sorted(folder: Path) -> None:
    assert find_scenes([str(folder / "?.tif*")]) == (str(folder / "a.tif"), str(folder / "b.tif"))
    assert find_scenes([str(folder / "**" / "d.*")]) == (str(folder / "more" / "d.tif"),)


def test_inputs_keep_their_order_and_come_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    url = "https://example.org/x.tif"
    found = find_scenes(["b.tif", url, str(folder), "./b.tif", url, "/vsimem/y.tif"])
    assert found == ("b.tif", url, str(folder / "a.tif"), str(folder / "c.jpg"), "/vsimem/y.tif")


def test_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "a[1].tif", noise(3, 9, 9))
    assert find_scenes([path]) == (path,)


def test_damaged_raster_in_a_folder_is_not_passed_over(folder: Path) -> None:
    (folder / "bad.tif").write_text("not pixels")
    assert str(folder / "bad.tif") in find_scenes([str(folder)])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("none.tif", r"none\.tif does not exist: check the path"),
        ("*.jp2", r"\*\.jp2 matches no raster: check the folder and the pattern"),
        ("more/empty", r"empty holds no raster, expected a folder"),
    ],
)
def test_input_that_names_nothing(folder: Path, given: str, problem: str) -> None:
    (folder / "more" / "empty").mkdir()
    with pytest.raises(SceneError, match=problem):
        find_scenes([str(folder / given)])
