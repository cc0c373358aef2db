"""The algorithms in the real QGIS, without a screen; `make test-qgis` runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from shutil import copytree
from typing import Any

import geopandas as gpd
import pytest
import rasterio
from affine import Affine
from helpers import DATA, alps_geo
from rasterio.windows import Window

from alps_geo.qgis.install import NAME, plugin_folder

pytestmark = pytest.mark.skipif(
    "ALPS_GEO_QGIS" not in os.environ, reason="needs QGIS: make test-qgis"
)

# The program of Debian adds an option that qgis_process itself does not know.
PROCESS = shutil.which("qgis_process.bin") or "qgis_process"
PYTHON = "/usr/bin/python3"
DIALOG = Path(__file__).parent / "dialog.py"
QUICK: dict[str, Any] = {"POINTS": "none", "CLUSTERS": 4}


class Qgis:
    """A QGIS with a profile of its own, in which the plugin is installed and enabled."""

    def __init__(self, folder: Path) -> None:
        self.profile = folder / "profiles" / "default"
        self._environment = {
            **os.environ,
            "QGIS_CUSTOM_CONFIG_PATH": str(folder),
            "QT_QPA_PLATFORM": "offscreen",
            "XDG_RUNTIME_DIR": str(folder),
            # As in QGIS on other systems: these are none of the program's.
            "PYTHONHOME": "/usr",
            "PROJ_DATA": str(folder),
            "PROJ_LIB": "/usr/share/proj",
        }

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROCESS, *arguments], env=self._environment, capture_output=True, text=True
        )

    def run(self, algorithm: str, **parameters: object) -> subprocess.CompletedProcess[str]:
        given = [f"--{name}={value}" for name, value in parameters.items()]
        return self.process("run", f"alps:{algorithm}", *given)

    def dialog(
        self,
        algorithm: str,
        *project: str,
        cancel_at: str | None = None,
        **parameters: object,
    ) -> dict[str, Any]:
        """Run an algorithm as QGIS's dialog does; return all that it showed."""
        request = {
            "algorithm": f"alps:{algorithm}",
            "project": project,
            "parameters": parameters,
            "cancel_at": cancel_at,
        }
        plugins = str(self.profile / "python" / "plugins")
        ended = subprocess.run(
            [PYTHON, str(DIALOG), plugins],
            input=json.dumps(request),
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        shown: dict[str, Any] = json.loads(ended.stdout)
        return shown


@pytest.fixture(scope="module")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> Qgis:
    folder = tmp_path_factory.mktemp("qgis")
    folder.chmod(0o700)
    made = Qgis(folder)
    # QGIS makes its profile when it starts.
    assert made.process("plugins").returncode == 0
    outcome = alps_geo("qgis", "install", "--path", made.profile)
    assert outcome.exit_code == 0, outcome.stderr
    assert plugin_folder(made.profile).is_dir()
    assert f"* {NAME}" in made.process("plugins", "enable", NAME).stdout
    return made


@pytest.fixture(scope="module")
def crop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "crop.tif"
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        window = Window(300, 200, 160, 120)
        here = scene.transform @ Affine.translation(window.col_off, window.row_off)
        placed = {"transform": here, "height": 120, "width": 160}
        with rasterio.open(path, "w", **scene.profile | placed) as part:
            part.write(scene.read(window=window))
    return path


@pytest.fixture(scope="module")
def labelled(qgis: Qgis, crop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label the crop by `qgis_process`; the run is not to be changed."""
    out = tmp_path_factory.mktemp("run") / "out"
    ended = qgis.run("label", INPUT=crop, OUTPUT=out, **QUICK)
    assert ended.returncode == 0, ended.stderr
    assert f"LABELS:\t{out}/crop/labels.tif" in ended.stdout
    assert f"SEGMENTS:\t{out}/crop/segments.gpkg|layername=segments" in ended.stdout
    assert "70...80...90" in ended.stdout
    return out


@pytest.fixture
def run(labelled: Path, tmp_path: Path) -> Path:
    return copytree(labelled, tmp_path / "out")


def test_the_toolbox_lists_the_algorithms(qgis: Qgis) -> None:
    listed = qgis.process("list").stdout
    for algorithm in ("label", "apply", "name", "classify", "export"):
        assert f"alps:{algorithm}\t" in listed
    shown = qgis.process("help", "alps:export").stdout
    assert "- 1: coco" in shown
    assert "Default: 512" in shown


def test_label_writes_what_the_program_writes(labelled: Path) -> None:
    record = json.loads((labelled / "run.json").read_text())
    assert (record["settings"]["clusters"], record["settings"]["points"]) == (4, "none")
    assert record["settings"]["tile_size"] == 1024
    for name in record["files"]:
        assert (labelled / name).is_file()


def test_errors_of_the_program_are_errors_of_qgis(qgis: Qgis, crop: Path, tmp_path: Path) -> None:
    ended = qgis.run("label", INPUT=crop, OUTPUT=tmp_path / "out", BANDS="9,9,9")
    assert ended.returncode != 0
    assert "bands 9,9,9 given, but it has 4 bands: choose from 1 to 4" in ended.stderr
    assert not (tmp_path / "out" / "run.json").exists()
    shown = qgis.dialog("name", RUN=str(tmp_path), NAMES="1=water")
    assert not shown["ok"]
    (error,) = shown["errors"]
    assert str(tmp_path) in error
    assert "alps-geo: error" not in error


def test_label_in_the_dialog_adds_styled_layers(qgis: Qgis, crop: Path, tmp_path: Path) -> None:
    shown = qgis.dialog("label", INPUT=str(crop), OUTPUT=str(tmp_path / "one"), **QUICK)
    assert shown["ok"], shown["errors"]
    labels, segments = sorted(shown["layers"], key=lambda layer: str(layer["name"]))
    assert (labels["name"], segments["name"]) == ("crop: labels", "crop: segments")
    assert (labels["renderer"], segments["renderer"]) == ("paletted", "categorizedSymbol")
    assert len(labels["legend"]) == 4
    assert len(segments["legend"]) >= 4
    assert segments["features"] > 4
    assert labels["source"] == shown["results"]["LABELS"]
    assert {"tiles crop", "write crop"} <= set(shown["texts"])
    assert any(text.startswith("warning: crop: band 4") for text in shown["texts"])
    assert 95.0 in shown["numbers"]


def test_apply_gives_the_same_labels_and_adds_no_layers_unless_asked(
    qgis: Qgis, crop: Path, labelled: Path, tmp_path: Path
) -> None:
    model, out = str(labelled / "clusters.npz"), str(tmp_path / "out")
    shown = qgis.dialog("apply", INPUT=str(crop), CLUSTERS_FROM=model, OUTPUT=out, LOAD=False)
    assert shown["ok"], shown["errors"]
    assert shown["layers"] == []
    with (
        rasterio.open(shown["results"]["LABELS"]) as applied,
        rasterio.open(labelled / "crop" / "labels.tif") as before,
    ):
        assert (applied.read(1) == before.read(1)).all()


def test_a_cancelled_label_says_that_it_can_go_on(qgis: Qgis, crop: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "INPUT": str(crop),
        "OUTPUT": str(tmp_path / "out"),
        **QUICK,
        "TILE_SIZE": "64",
    }
    shown = qgis.dialog("label", cancel_at="tiles crop", **given)
    assert not shown["ok"]
    (error,) = shown["errors"]
    assert error.startswith("Cancelled. Finished tiles are kept: run it again")
    assert str(tmp_path / "out") in error
    assert shown["layers"] == []
    assert not (tmp_path / "out" / "run.json").exists()
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.outlines.npz")}
    assert stored
    again = qgis.dialog("label", **given)
    assert again["ok"], again["errors"]
    assert {path: path.stat().st_mtime_ns for path in stored} == stored


def test_names_show_in_layers_that_are_open(qgis: Qgis, run: Path) -> None:
    scene = run / "crop"
    project = (f"{scene}/labels.tif", f"{scene}/segments.gpkg|layername=segments")
    shown = qgis.dialog("name", *project, RUN=str(run), NAMES="1=open water; 3=wood")
    assert shown["ok"], shown["errors"]
    assert [layer["is_new"] for layer in shown["layers"]] == [False, False]
    for layer in shown["layers"]:
        assert {"open water (1)", "wood (3)"} <= set(layer["legend"])
    assert shown["results"]["OUTPUT"] == str(run)


def test_samples_of_a_layer_become_classes(qgis: Qgis, run: Path, tmp_path: Path) -> None:
    found = gpd.read_file(run / "crop" / "segments.gpkg", layer="segments")
    ordered = found.sort_values("mean_nir").reset_index(drop=True)
    chosen = [*range(4), *range(len(ordered) - 4, len(ordered))]
    points = ordered.geometry[chosen].representative_point()
    words = ["dark"] * 4 + ["bright"] * 4
    samples = gpd.GeoDataFrame({"kind": words}, geometry=points.to_list(), crs=found.crs)
    samples.to_file(tmp_path / "samples.gpkg", layer="field work")
    # A second layer, so that only the chosen one makes sense.
    samples[:0].to_file(tmp_path / "samples.gpkg", layer="other")
    source = f"{tmp_path}/samples.gpkg|layername=field work"
    shown = qgis.dialog("classify", RUN=str(run), SAMPLES=source, FIELD="kind", SUGGEST=2)
    assert shown["ok"], shown["errors"]
    layers = {layer["name"]: layer for layer in shown["layers"]}
    assert set(layers) == {"crop: classes", "crop: areas of classes", "segments to label next"}
    assert set(layers["crop: classes"]["legend"]) == {"bright (1)", "dark (2)"}
    assert layers["crop: areas of classes"]["features"] == 2
    assert layers["segments to label next"]["features"] == 2


def test_a_training_set_is_exported(qgis: Qgis, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    ended = qgis.run("export", RUN=run, TO="coco", OUTPUT=out, CHIP_SIZE=64)
    assert ended.returncode == 0, ended.stderr
    settings = json.loads((out / "export.json").read_text())["settings"]
    assert settings["chip_size"] == 64
    assert settings["values"] == "8bit"
