"""Scenes whose results cannot be written leave the results of the other scenes alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from helpers import DATA, FULL_DISK, alps_geo
from rasterio.crs import CRS
from rasterio.windows import Window

from alps_geo.errors import DiskError, RunError
from alps_geo.events import Event
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.failures import FailedScene, write_each
from alps_geo.settings import LabelSettings

pytestmark = pytest.mark.usefixtures("images_encoded_once")

QUICK = ("--points", "grid:2", "--clusters", "2", "--features", "sam")
FILES = {
    *("labels.tif", "labels.tif.aux.xml", "labels.qml", "segments.tif", "segments.qml"),
    *("segments.gpkg", "patches.gpkg", "preview.png"),
}


def write(path: Path, *, size: int = 80, bands: int = 3, **changes: Any) -> Path:
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        pixels = source.read(window=Window(0, 0, size, size))
        crs, transform = source.crs, source.transform
    profile = {"crs": crs, "transform": transform, "nodata": 255, "dtype": "uint8", **changes}
    with rasterio.open(path, "w", height=size, width=size, count=bands, **profile) as target:
        target.write(np.resize(pixels, (bands, size, size)))
    return path


def results(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_scene_that_cannot_be_written_is_listed_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite holds no more than 2000 columns, so not the means of 2100 bands."""
    many = write(tmp_path / "many.tif", size=32, bands=2100)
    write(tmp_path / "plain.tif")
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    command = ("label", "many.tif", "plain.tif", "--out", out, *QUICK)
    strict = alps_geo(*command, "--strict")
    assert strict.exit_code == 1
    assert not (out / "run.json").exists()
    outcome = alps_geo(*command)
    assert outcome.exit_code == 3
    line, last = outcome.stderr.splitlines()[-2:]
    assert line.startswith(f"failed: many, all results: {out / 'many' / 'segments.gpkg'}")
    assert last.startswith("alps-geo: 1 scene failed, without results; the same command tries")
    assert results(out / "plain") == FILES
    assert results(out / "many") == set()
    record = json.loads((out / "run.json").read_text())
    assert [scene["name"] for scene in record["scenes"]] == ["plain"]
    assert record["segments"] == len(gpd.read_file(out / "plain/segments.gpkg", layer="segments"))
    assert not any(name.startswith("many") for name in record["files"])
    assert [(each["scene"], each["path"]) for each in record["failed"]] == [("many", str(many))]
    status = alps_geo("status", out)
    assert "failed: many, all results: " in status.stdout
    found = json.loads(alps_geo("status", out, "--json").stdout)
    assert found["failed"] == record["failed"]
    # The record names all scenes in their order, so it is a config of the same run anywhere.
    monkeypatch.chdir(out)
    again = alps_geo("label", "--config", out / "run.json", "--out", out)
    assert again.exit_code == 3, again.stderr
    assert alps_geo("clusters", "name", out, "1=trees").exit_code == 0
    assert alps_geo("clusters", "gallery", out).exit_code == 0


def test_a_scene_that_is_gone_while_results_are_written_is_written_later(tmp_path: Path) -> None:
    first, second = write(tmp_path / "first.tif"), write(tmp_path / "second.tif")
    settings = LabelSettings(points="grid:2", clusters=2, features="sam")
    away = tmp_path / "away"

    def unplug(event: Event) -> None:
        if event.stage == "write" and event.scene == "second" and second.exists():
            second.rename(away)

    out = tmp_path / "out"
    record = label_scenes([str(first), str(second)], out, settings, listen=unplug)
    assert [each.scene for each in record.failed if isinstance(each, FailedScene)] == ["second"]
    assert "second.tif does not exist" in record.failed[0].reason
    assert (results(out / "first"), results(out / "second")) == (FILES, set())
    away.rename(second)
    record = label_scenes([str(first), str(second)], out, settings)
    assert record.failed == ()
    assert results(out / "second") == FILES


def test_scenes_that_all_fail_end_the_run_with_one_line(tmp_path: Path) -> None:
    many = write(tmp_path / "many.tif", size=32, bands=2100)
    options = ("--points", "grid:2", "--features", "sam", "--quiet")
    outcome = alps_geo("label", many, "--out", tmp_path / "out", *options)
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    assert "segments.gpkg: cannot be written (" in outcome.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".tiles"]


@pytest.mark.parametrize("kind", [ZeroDivisionError, MemoryError, RunError])
def test_whatever_fails_costs_its_own_scene_alone(kind: type[Exception], tmp_path: Path) -> None:
    scenes = {name: str(tmp_path / f"{name}.tif") for name in ("a", "b", "c")}

    def write_all_but(broken: str, error: Exception) -> tuple[dict[str, str], list[str]]:
        def step(name: str) -> str:
            (tmp_path / name).mkdir(exist_ok=True)
            if name == broken:
                raise error
            return name

        done, failed = write_each(scenes, step, tmp_path.joinpath, print, strict=False)
        return done, [each.reason for each in failed]

    done, reasons = write_all_but("b", kind("of this scene"))
    assert list(done) == ["a", "c"]
    assert reasons[0].endswith("of this scene")
    assert not (tmp_path / "b").exists()
    with pytest.raises(DiskError):
        write_all_but("b", DiskError("full"))


def test_an_unforeseen_failure_of_all_scenes_is_one_line(tmp_path: Path) -> None:
    scenes = {"a": str(tmp_path / "a.tif")}

    def step(_: str) -> None:
        raise ZeroDivisionError("division\nby zero")

    with pytest.raises(RunError, match=r"a\.tif: .*ZeroDivisionError: division by zero"):
        write_each(scenes, step, tmp_path.joinpath, print, strict=False)


def test_a_full_disk_leaves_results_of_no_scene(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="limits on files are POSIX only")
    small, large = write(tmp_path / "small.tif", size=32), write(tmp_path / "large.tif", size=400)
    out = tmp_path / "out"
    command = ("label", small, large, "--out", out, *QUICK)
    assert alps_geo(*command).exit_code == 0
    sizes = [(out / name / "segments.gpkg").stat().st_size for name in ("small", "large")]
    assert sizes[0] < sizes[1] - 8192
    for folder in ("small", "large"):
        shutil.rmtree(out / folder)
    for name in ("run.json", "clusters.npz", "clusters.csv", "alps.qgz"):
        (out / name).unlink()
    limited = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(sizes[1] - 4096), *map(str, command), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 1
    assert "large/segments.gpkg: cannot be written" in limited.stderr
    assert "make room" in limited.stderr
    assert [path.name for path in out.iterdir()] == [".tiles"]


def test_scenes_in_a_crs_that_needs_wkt2_are_labelled_next_to_others(tmp_path: Path) -> None:
    high = CRS.from_user_input("EPSG:32633+4979")
    scenes = write(tmp_path / "plain.tif"), write(tmp_path / "high.tif", crs=high)
    with rasterio.open(scenes[1]) as scene:
        assert scene.crs == high
    out = tmp_path / "out"
    outcome = alps_geo("label", *scenes, "--out", out, *QUICK, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["scenes"][1]["crs"].startswith("PROJCRS[")
    with rasterio.open(out / "high" / "labels.tif") as labels:
        assert labels.crs == high
    segments = gpd.read_file(out / "high" / "segments.gpkg", layer="segments")
    assert segments.crs == high
    np.testing.assert_allclose(segments["area_m2"], segments.area, rtol=2e-3)
    named = alps_geo("clusters", "name", out, "1=trees")
    assert named.exit_code == 0, named.stderr
    with rasterio.open(out / "high" / "labels.tif") as labels:
        assert labels.crs == high
