"""Provenance in the files of a run: program, scene, model, settings and true dates."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyogrio
import pytest
import rasterio
from clustered_runs import SCENES, Killed, clusters, finished_run, polygons, table
from helpers import DATA, alps_geo

from alps_geo.outputs.gpkg.contents import read_contents
from alps_geo.pipeline import scenes
from alps_geo.review import changes

LABEL = ("label", DATA / f"{SCENES[0]}.tif", "--points", "grid:2", "--clusters", "3", "--out")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def record(run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return found


def tags(path: Path) -> dict[str, str]:
    with rasterio.open(path) as raster:
        found: dict[str, str] = raster.tags()
        return found


def changed(path: Path) -> dict[str, str]:
    """Return the date of the last change of each layer."""
    return dict(table(path, "SELECT table_name, last_change FROM gpkg_contents"))


@pytest.mark.parametrize("name", ["labels.tif", "segments.tif"])
def test_rasters_tell_what_made_them(finished: Path, name: str) -> None:
    known = record(finished)
    for scene in SCENES:
        found = tags(finished / scene / name)
        assert found["TIFFTAG_SOFTWARE"] == found["software"] == "alps-geo 0.1.0"
        assert found["TIFFTAG_DATETIME"] == "2000:01:01 00:00:00"
        assert found["date"] == known["date"] == "2000-01-01T00:00:00Z"
        assert (found["scene"], found["model"]) == (scene, "mobile_sam")
        assert found["settings_sha256"] == known["settings_sha256"]
        assert len(found["settings_sha256"]) == 64
        assert f" of {scene}, made by alps-geo 0.1.0" in found["TIFFTAG_IMAGEDESCRIPTION"]


def test_polygons_tell_what_made_them(finished: Path) -> None:
    for scene in SCENES:
        path = finished / scene / "segments.gpkg"
        found = pyogrio.read_info(path, layer="segments")["layer_metadata"]
        assert found["DESCRIPTION"].startswith(f"Segments of {scene}, made by alps-geo 0.1.0 with ")
        assert (found["scene"], found["model"]) == (scene, "mobile_sam")
        assert found["settings_sha256"] == record(finished)["settings_sha256"]
        assert (polygons(finished, scene)["scene"] == scene).all()
        standards = table(path, "SELECT md_standard_uri, mime_type FROM gpkg_metadata")
        assert ("http://mrcc.com/qgis.dtd", "text/xml") in standards
        named = "SELECT count(*) FROM gpkg_extensions WHERE extension_name = 'gpkg_metadata'"
        assert table(path, named) == [(2,)]


def test_dates_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    before = datetime.now(UTC).replace(microsecond=0)
    assert alps_geo(*LABEL, tmp_path / "run").exit_code == 0
    date = datetime.fromisoformat(str(record(tmp_path / "run")["date"]))
    assert before <= date <= datetime.now(UTC)
    scene = tmp_path / "run" / SCENES[0]
    assert tags(scene / "labels.tif")["TIFFTAG_DATETIME"] == f"{date:%Y:%m:%d %H:%M:%S}"
    assert set(changed(scene / "segments.gpkg").values()) == {f"{date:%Y-%m-%dT%H:%M:%S}.000Z"}


def test_a_run_that_goes_on_keeps_its_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    with monkeypatch.context() as patch:
        patch.setattr(scenes, "write_run_files", die)
        with pytest.raises(Killed):
            alps_geo(*LABEL, run)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    assert alps_geo(*LABEL, run).exit_code == 0
    assert record(run)["date"] == "2001-09-09T01:46:40Z"
    assert tags(run / SCENES[0] / "labels.tif")["TIFFTAG_DATETIME"] == "2001:09:09 01:46:40"
    assert alps_geo(*LABEL, run, "--force").exit_code == 0
    assert record(run)["date"] == "2020-09-13T12:26:40Z"


def test_a_change_has_a_date_of_its_own(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    clusters("merge", run, "1", "2")
    monkeypatch.undo()
    for scene in SCENES:
        path = run / scene / "segments.gpkg"
        assert changed(path)["segments"] == "2001-09-09T01:46:40.000Z"
        styles = dict(table(path, "SELECT styleName, update_time FROM layer_styles"))
        assert styles["clusters"] == "2001-09-09T01:46:40.000Z"
        assert styles["outlines"] == "2000-01-01T00:00:00.000Z"
        assert tags(run / scene / "labels.tif")["date"] == "2001-09-09T01:46:40Z"
        assert tags(run / scene / "segments.tif")["date"] == "2000-01-01T00:00:00Z"
    assert record(run)["date"] == "2000-01-01T00:00:00Z"


def test_a_change_that_is_finished_later_has_the_date_of_its_beginning(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    with monkeypatch.context() as patch:
        patch.setattr(changes, "rewrite_results", die)
        with pytest.raises(Killed):
            alps_geo("clusters", "merge", run, "1", "2")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    clusters("merge", run, "1", "2")
    for scene in SCENES:
        assert tags(run / scene / "labels.tif")["date"] == "2001-09-09T01:46:40Z"


def test_a_date_that_is_no_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    outcome = alps_geo(*LABEL, tmp_path / "run")
    assert outcome.exit_code != 0
    assert "SOURCE_DATE_EPOCH is 'yesterday', expected seconds since 1970" in outcome.stderr
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_description_of_a_person_is_no_provenance(run: Path) -> None:
    path = run / SCENES[0] / "segments.gpkg"
    assert read_contents(path).extras == ()
    again = ("label", *(DATA / f"{name}.tif" for name in SCENES), "--points", "grid:4")
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE gpkg_contents SET description = description || ' Checked.'")
        database.commit()
    outcome = alps_geo(*again, "--clusters", "5", "--overwrite", "--out", run)
    assert outcome.exit_code == 1
    assert "Checked.' added" in outcome.stderr
