"""`alps-geo train predict` and `export`: bad input is one line, and nothing is changed."""

from __future__ import annotations

from shutil import copytree
from typing import TYPE_CHECKING

import pytest
import rasterio
from helpers import DATA, alps_geo
from random_models import cut, write_random_model
from rasterio.windows import Window

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("errors")
    write_random_model(made / "model")
    cut(made / "rgb.tif", "neon_osbs_10cm.tif", Window(100, 60, 48, 40))
    cut(made / "four.tif", "naip_md_1m.tif", Window(100, 60, 48, 40))
    with rasterio.open(made / "rgb.tif") as file:
        profile = {**file.profile, "count": 1}
        with rasterio.open(made / "grey.tif", "w", **profile) as grey:
            grey.write(file.read(1), 1)
    return made


def refused(*arguments: object, code: int = 1) -> str:
    outcome = alps_geo("train", *arguments, "--quiet")
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    line = outcome.stderr.strip().removeprefix("alps-geo: ")
    assert "\n" not in line
    return line


def predict(folder: Path, scene: str, out: Path, *more: object) -> tuple[object, ...]:
    scenes = [folder / scene]
    return ("predict", *scenes, "--model", folder / "model", "--out", out, "--device", "cpu", *more)


@pytest.mark.parametrize(
    ("scene", "options", "words"),
    [
        ("grey.tif", (), ("has 1 band (band_1)", "trained on 3 (red, green, blue)")),
        ("absent.tif", (), ("absent.tif",)),
        ("rgb.tif", ("--bands", "1,2"), ("bands is 1,2", "expected 3 different numbers")),
        ("rgb.tif", ("--bands", "1,2,9"), ("no data band 9", "expected some of 1, 2, 3")),
        ("rgb.tif", ("--stretch", "2,98"), ("stretch is 2,98", "leave it out")),
        ("rgb.tif", ("--overlap", "300"), ("overlap is 300", "0 to 256")),
        ("rgb.tif", ("--tile-size", "8"), ("tile_size is 8", "32 to 16384")),
    ],
)
def test_scenes_and_options_that_do_not_fit(
    folder: Path, tmp_path: Path, scene: str, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    given = predict(folder, scene, tmp_path / "out", *options)
    line = refused(*given, code=2 if options else 1)
    assert all(each in line for each in words), line
    assert not (tmp_path / "out").exists()


def test_pictures_of_a_scene_of_one_band_have_to_be_asked_for(folder: Path, tmp_path: Path) -> None:
    write_random_model(tmp_path / "model", ("1", "2", "3"), values="8bit")
    given = ("predict", folder / "grey.tif", "--model", tmp_path / "model", "--device", "cpu")
    line = refused(*given, "--out", tmp_path / "out")
    assert "has 1 band (band_1), but the model was trained on 3 (1, 2, 3)" in line
    outcome = alps_geo("train", *given, "--out", tmp_path / "out", "--bands", "1")
    assert outcome.exit_code == 0, outcome.stderr


def test_other_bands_are_not_guessed(folder: Path, tmp_path: Path) -> None:
    write_random_model(tmp_path / "model", ("swir", "nir", "red"))
    given = ("predict", folder / "four.tif", "--model", tmp_path / "model")
    line = refused(*given, "--out", tmp_path / "out")
    assert "four.tif has the bands red, green, blue, nir" in line
    assert "trained on swir, nir, red" in line
    assert "--bands" in line


def test_models_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    scene = folder / "rgb.tif"
    line = refused("predict", scene, "--model", tmp_path, "--out", tmp_path / "out")
    assert "holds no trained model" in line
    damaged = copytree(folder / "model", tmp_path / "model") / "weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"0000")
    line = refused("predict", scene, "--model", damaged.parent, "--out", tmp_path / "out")
    assert f"{damaged} has SHA-256" in line
    line = refused("export", damaged.parent, "--to", "onnx", "--out", tmp_path / "model.onnx")
    assert f"{damaged} has SHA-256" in line
    assert not (tmp_path / "model.onnx").exists()


def test_folders_of_other_runs_are_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert alps_geo("train", *predict(folder, "rgb.tif", out)).exit_code == 0
    before = (out / "run.json").read_bytes()
    line = refused(*predict(folder, "four.tif", out))
    assert "holds another run" in line
    assert "--overwrite" in line
    assert (out / "run.json").read_bytes() == before
    labelled = alps_geo("label", DATA / "neon_osbs_10cm.tif", "--out", out, "--quiet")
    assert labelled.exit_code == 1
    assert "holds another run" in labelled.stderr
    for command in (("report", out), ("clusters", "gallery", out), ("classify", out)):
        outcome = alps_geo(*command)
        assert outcome.exit_code == 1
        assert "holds maps that alps-geo train predict has made" in outcome.stderr


def test_scenes_and_a_folder_are_asked_for(folder: Path, tmp_path: Path) -> None:
    outcome = alps_geo("train", "predict", "--model", folder / "model", "--out", tmp_path / "out")
    assert outcome.exit_code == 2
    assert "give at least one raster" in outcome.stderr
