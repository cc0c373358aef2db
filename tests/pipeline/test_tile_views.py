"""Runs in which the mask generator sees parts of tiles too."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo
from image_folders import label, naip, save
from quarter_tiles import QuarterTiles
from rasterio.windows import Window

import alps_geo as library
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("images_encoded_once")

SIDE = 128
QUARTERS = LabelSettings(
    tile_size=(SIDE, 64), overlap=16, clusters=2, fill="none", features="sam", min_area=0
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of a real scene, of two tiles; each has two views."""
    path = tmp_path_factory.mktemp("scene") / "corner.tif"
    window = Window(60, 60, 2 * SIDE - 16, 100)
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        profile = source.profile | {"width": window.width, "height": window.height}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=window))
    return path


def raster(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        found: NDArray[Any] = file.read(1)
    return found


def arguments(scene: Path, out: Path) -> tuple[object, ...]:
    quick = ("--points", "grid:2", "--clusters", "3", "--quiet")
    return (scene, "--out", out, "--tile-size", "128,96", *quick)


@pytest.fixture(scope="module")
def run(scene: Path) -> Path:
    out = scene.parent / "run"
    outcome = alps_geo("label", *arguments(scene, out))
    assert outcome.exit_code == 0, outcome.stderr
    return out


def test_the_whole_scene_is_labelled_and_recorded(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["tile_size"] == [SIDE, 96]
    assert record["labelled_share"] == 1
    assert len([*run.glob(".tiles/corner.*/[0-9]*.outlines.npz")]) == 2
    assert "corner" in alps_geo("status", run).stdout


def test_workers_do_not_change_a_byte(run: Path, scene: Path, tmp_path: Path) -> None:
    outcome = alps_geo("label", *arguments(scene, tmp_path / "run"), "--workers", "2")
    assert outcome.exit_code == 0, outcome.stderr
    for name in ("labels.tif", "segments.tif"):
        before, after = (out / "corner" / name for out in (run, tmp_path / "run"))
        assert before.read_bytes() == after.read_bytes()
    assert (run / "clusters.npz").read_bytes() == (tmp_path / "run/clusters.npz").read_bytes()


def test_a_record_is_a_config_and_the_same_run(run: Path) -> None:
    tiles = {path: path.stat().st_mtime_ns for path in run.rglob("*.npz")}
    outcome = alps_geo("label", "--config", run / "run.json", "--out", run)
    assert outcome.exit_code == 0, outcome.stderr
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.npz")} == tiles


def test_clusters_are_applied_to_segments_of_the_same_sizes(
    run: Path, scene: Path, tmp_path: Path
) -> None:
    model = run / "clusters.npz"
    applied = library.apply(scene, model, tmp_path / "python")
    assert applied.record.origin.settings["tile_size"] == [SIDE, 96]
    outcome = alps_geo("apply", scene, "--clusters-from", model, "--out", tmp_path / "typed")
    assert outcome.exit_code == 0, outcome.stderr
    assert "were fitted with" not in outcome.stderr
    for out in ("python", "typed"):
        path = tmp_path / out / "corner" / "labels.tif"
        np.testing.assert_array_equal(raster(path), raster(run / "corner" / "labels.tif"))
    outcome = alps_geo(
        "apply", scene, "--clusters-from", model, "--out", tmp_path / "other", "--tile-size", "128"
    )
    assert "were fitted with --tile-size 128,96, not 128" in outcome.stderr


@pytest.mark.parametrize("sizes", [(SIDE, 64), (SIDE, 120)])
def test_parts_of_parts_own_the_pixels_of_small_objects(
    scene: Path, tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    """Quarters of a view that touch its border inside the tile are dropped: 1 of 4 remains.

    A view of nearly the whole tile is none.
    """
    settings = replace(QUARTERS, tile_size=sizes)
    record = label_scenes([str(scene)], tmp_path, settings, generator=QuarterTiles())
    ids = raster(tmp_path / "corner" / "segments.tif")
    plain = label_scenes(
        [str(scene)],
        tmp_path,
        replace(QUARTERS, tile_size=SIDE),
        RunFlags(overwrite=True),
        generator=QuarterTiles(),
    )
    np.testing.assert_array_equal(ids > 0, raster(tmp_path / "corner" / "segments.tif") > 0)
    assert (record.segments > plain.segments) == (sizes == (SIDE, 64))


def test_images_of_folders_are_seen_in_parts_too(tmp_path: Path) -> None:
    for index in range(2):
        chip = naip(0, SIDE * index, SIDE, SIDE)
        save(tmp_path / "root" / "img_dir" / "train" / f"{index}.png", chip)
    whole, parts = (
        label(tmp_path / "root", tmp_path / name, tile_size=sizes, features="sam", min_area=0)
        for name, sizes in (("whole", SIDE), ("parts", (SIDE, 64)))
    )
    # Each part keeps the quarter in its corner of the image.
    assert (whole.segments, parts.segments) == (8, 16)
