"""Previews in several formats, written by a run and followed by changes of its clusters."""

from __future__ import annotations

import json
from shutil import copytree
from typing import TYPE_CHECKING

import geopandas as gpd
import pytest
from clustered_runs import clusters, contents
from helpers import DATA, alps_geo
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

NAME = "neon_osbs_10cm"
LABEL = ("label", DATA / f"{NAME}.tif", "--points", "none", "--features", "spectral")
FORMATS = ("--preview-format", "svg,png,pdf")
FILES = {f"{NAME}/preview.{form}" for form in ("png", "pdf", "svg")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("formats") / "out"
    outcome = alps_geo(*LABEL, "--clusters", "5", *FORMATS, "--out", out)
    assert outcome.exit_code == 0, outcome.stderr
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def previews(run: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(run).items() if name in FILES}


def test_every_format_that_is_asked_for_is_written_and_listed(finished: Path) -> None:
    assert previews(finished).keys() == FILES
    record = json.loads((finished / "run.json").read_text())
    assert set(record["files"]) >= FILES
    assert record["settings"]["preview_format"] == ["svg", "png", "pdf"]
    with Image.open(finished / NAME / "preview.png") as picture:
        assert picture.format == "PNG"
    assert (finished / NAME / "preview.pdf").read_bytes().startswith(b"%PDF-")
    svg = (finished / NAME / "preview.svg").read_text(encoding="utf-8")
    assert ">EPSG:32617   WGS 84 / UTM zone 17N</text>" in svg
    assert ">segments</text>" in svg


@pytest.mark.parametrize(
    "change",
    [("name", "1=Wald 森林"), ("recolor", "1=#123456"), ("merge", "1", "2")],
    ids=lambda x: x[0],
)
def test_all_formats_follow_a_change_of_the_clusters(change: tuple[str, ...], run: Path) -> None:
    before = previews(run)
    clusters(change[0], run, *change[1:])
    after = previews(run)
    assert after.keys() == FILES
    assert all(after[name] != before[name] for name in FILES)
    svg = (run / NAME / "preview.svg").read_text(encoding="utf-8")
    expected = {"name": "Wald 森林", "recolor": "#123456", "merge": ">share</text>"}
    assert expected[change[0]] in svg


def test_classes_have_previews_in_the_same_formats(run: Path, tmp_path: Path) -> None:
    shapes = gpd.read_file(run / NAME / "segments.gpkg", layer="segments")
    samples = shapes.iloc[:: len(shapes) // 6].copy()
    samples["geometry"] = samples.representative_point()
    samples["class"] = ["tree", "sand"] * (len(samples) // 2) + ["tree"] * (len(samples) % 2)
    samples[["class", "geometry"]].to_file(tmp_path / "samples.gpkg")
    outcome = alps_geo("classify", run, "--samples", tmp_path / "samples.gpkg")
    assert outcome.exit_code == 0, outcome.stderr
    files = {f"{NAME}/classes.{form}" for form in ("png", "pdf", "svg")}
    assert files <= contents(run).keys()
    assert files <= set(json.loads((run / "run.json").read_text())["files"])
    assert ">tree</text>" in (run / NAME / "classes.svg").read_text(encoding="utf-8")
    # Another run in the folder leaves none of them.
    again = alps_geo(*LABEL, "--clusters", "4", "--out", run, "--overwrite", "--discard-edits")
    assert again.exit_code == 0, again.stderr
    assert not files & contents(run).keys()
    assert previews(run).keys() == {f"{NAME}/preview.png"}


def test_a_run_with_one_format_has_no_other(run: Path) -> None:
    outcome = alps_geo(
        *LABEL, "--clusters", "5", "--preview-format", "pdf", "--out", run, "--overwrite"
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert previews(run).keys() == {f"{NAME}/preview.pdf"}
    clusters("name", run, "1=grass")
    assert previews(run).keys() == {f"{NAME}/preview.pdf"}


def test_the_record_is_a_config_of_the_same_formats(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    outcome = alps_geo("label", DATA / f"{NAME}.tif", "--config", run / "run.json", "--out", again)
    assert outcome.exit_code == 0, outcome.stderr
    assert previews(again) == previews(run)


@pytest.mark.parametrize("value", ["jpg", "png,png", "", "png,tiff"])
def test_other_formats_are_refused(value: str, tmp_path: Path) -> None:
    outcome = alps_geo(*LABEL, "--preview-format", value, "--out", tmp_path / "out")
    assert outcome.exit_code == 2
    assert "some of png, pdf, svg" in " ".join(outcome.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
