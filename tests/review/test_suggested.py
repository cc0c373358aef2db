"""Segments to label next: a layer to fill in that is samples afterwards, and crops of them."""

from __future__ import annotations

import json
from shutil import copytree
from typing import TYPE_CHECKING

import geopandas as gpd
import pytest
from class_samples import points, segments
from edited_runs import SCENES, contents, done, finished_crops
from helpers import alps_geo
from in_qgis import in_qgis

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory) / "out"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return copytree(finished, tmp_path / "out")


def fill_in(run: Path, words: dict[int, str]) -> gpd.GeoDataFrame:
    """Fill in rows of the layer by position, as in QGIS."""
    path = run / "suggested.gpkg"
    found = gpd.read_file(path, layer="suggested")
    for row, word in words.items():
        found.loc[row, "class"] = word
    found.to_file(path, layer="suggested")
    return found


def test_suggestions_without_samples_change_nothing_else(run: Path) -> None:
    before = contents(run)
    outcome = alps_geo("classify", run, "--suggest", 6, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    after = contents(run)
    assert {name for name in after if before.get(name) != after[name]} == {
        "suggested.gpkg",
        "suggested.html",
    }
    found = gpd.read_file(run / "suggested.gpkg", layer="suggested")
    assert len(found) == 6
    assert found["class"].isna().all()
    assert found.crs == segments(run).crs
    for row in found.itertuples():
        assert row.geometry.equals(segments(run, row.scene).loc[row.segment_id].geometry)
    page = (run / "suggested.html").read_text()
    assert page.count("<img ") == 6
    assert f"--samples {run / 'suggested.gpkg'} --suggest 6" in page
    assert json.loads(outcome.stdout)["page"] == str(run / "suggested.html")


def test_filled_suggestions_are_samples_and_the_layer_goes_on(run: Path) -> None:
    done(alps_geo("classify", run, "--suggest", 6, "--quiet"))
    first = fill_in(run, {0: "a", 1: "b", 2: "a", 3: "b"})
    path = run / "suggested.gpkg"
    done(alps_geo("classify", run, "--samples", path, "--suggest", 5, "--quiet"))
    for row in first.iloc[:4].itertuples():
        assert segments(run, row.scene).loc[row.segment_id, "class"] == row[3]
    second = gpd.read_file(path, layer="suggested")
    assert len(second) == 11
    assert second["class"].iloc[:4].tolist() == ["a", "b", "a", "b"]
    # Those that were passed over are asked for no second time.
    assert not second.duplicated(["scene", "segment_id"]).any()
    doubts = second["reason"].iloc[6:]
    assert doubts.str.fullmatch(r"[ab] \d\.\d\d or [ab] \d\.\d\d").all()


def test_qgis_lists_the_classes_that_are_known(run: Path) -> None:
    path, project = run / "suggested.gpkg", run / "alps.qgz"
    done(alps_geo("classify", run, "--suggest", 4, "--quiet"))
    (before,) = in_qgis("qgis_project.py", project, f"{path}|layername=suggested")["styled"]
    # Without classes any word can be given.
    assert before["choices"] == {}
    assert {display for display, _ in before["features"].values()} == {
        "large, and unlike the others"
    }
    fill_in(run, {0: "a <b>", 1: "c"})
    done(alps_geo("classify", run, "--samples", path, "--suggest", 3, "--quiet"))
    (after,) = in_qgis("qgis_project.py", project, f"{path}|layername=suggested")["styled"]
    assert after["choices"] == {"class": ["a <b>", "c"]}
    assert after["colors"] > 2
    assert ["a <b>", "a &lt;b>"] in after["features"].values()


def test_labels_that_were_filled_in_survive_new_suggestions(run: Path) -> None:
    done(alps_geo("classify", run, "--suggest", 4, "--quiet"))
    fill_in(run, {1: "road"})
    done(alps_geo("classify", run, "--suggest", 4, "--quiet"))
    found = gpd.read_file(run / "suggested.gpkg", layer="suggested")
    assert found["class"].dropna().tolist() == ["road"]
    assert len(found) == 5


def test_no_page_without_the_scenes(finished: Path, run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["scenes"][0]["path"] = str(tmp_path / "gone.tif")
    (run / "run.json").write_text(json.dumps(record))
    outcome = alps_geo("classify", run, "--suggest", 4)
    assert outcome.exit_code == 0
    assert "no page with crops" in outcome.stdout
    assert len(gpd.read_file(run / "suggested.gpkg", layer="suggested")) == 4


def test_samples_are_not_suggested(run: Path) -> None:
    samples = points(run, run.parent / "points.gpkg")
    done(alps_geo("classify", run, "--samples", samples, "--suggest", 10, "--quiet"))
    found = gpd.read_file(run / "suggested.gpkg", layer="suggested")
    for scene in SCENES:
        here = segments(run, scene)
        given = here.index[here["class_confidence"] == 1]
        assert not set(found[found["scene"] == scene]["segment_id"]) & set(given)
    assert found["uncertainty"].between(0, 1).all()
