"""`label` and `apply` write the report of their run at the end, if they are asked to."""

from __future__ import annotations

import json
from shutil import copy
from typing import TYPE_CHECKING

import pytest
from helpers import DATA, alps_geo

if TYPE_CHECKING:
    from pathlib import Path

NAME = "neon_osbs_10cm"
QUICK = ("--points", "none", "--features", "spectral")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a report, of a scene that may be moved away."""
    folder = tmp_path_factory.mktemp("report")
    copy(DATA / f"{NAME}.tif", folder / "scene.tif")
    out = folder / "out"
    outcome = alps_geo(
        "label", folder / "scene.tif", *QUICK, "--clusters", "4", "--out", out, "--report"
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.rstrip().endswith(str(out / "report.html"))
    return out


def test_label_writes_the_report_of_its_run(labelled: Path) -> None:
    page = (labelled / "report.html").read_text(encoding="utf-8")
    segments = json.loads((labelled / "run.json").read_text())["segments"]
    assert f"{segments:,} segments in 4 clusters" in page


def test_apply_writes_it_and_prints_json_alone(labelled: Path, tmp_path: Path) -> None:
    model = ("--clusters-from", labelled / "clusters.npz", "--points", "none")
    scene, out = DATA / f"{NAME}.tif", tmp_path / "out"
    outcome = alps_geo("apply", scene, *model, "--out", out, "--report", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["scenes"][0]["name"] == NAME
    assert f"Map of clusters of {NAME}" in (out / "report.html").read_text(encoding="utf-8")


def test_a_run_that_has_finished_gets_its_report_again(labelled: Path) -> None:
    (labelled / "report.html").unlink()
    scene = labelled.parent / "scene.tif"
    again = alps_geo("label", scene, *QUICK, "--clusters", "4", "--out", labelled, "--report")
    assert again.exit_code == 0, again.stderr
    assert (labelled / "report.html").exists()


def test_no_report_is_written_without_being_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = alps_geo("label", DATA / f"{NAME}.tif", *QUICK, "--clusters", "3", "--out", out)
    assert outcome.exit_code == 0, outcome.stderr
    assert not (out / "report.html").exists()


def test_a_report_that_cannot_be_written_leaves_the_run_finished(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "report.html").mkdir(parents=True)
    outcome = alps_geo(
        "label", DATA / f"{NAME}.tif", *QUICK, "--clusters", "3", "--out", out, "--report"
    )
    assert outcome.exit_code == 1
    assert "report.html" in outcome.stderr
    assert (out / "run.json").exists()
