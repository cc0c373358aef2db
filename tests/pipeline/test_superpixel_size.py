"""Superpixels have the size that was asked for, in maps of several tiles and in images."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import rasterio
from helpers import DATA
from image_folders import label as label_images
from image_folders import make_root
from quarter_tiles import QuarterTiles
from rasterio.windows import Window

from alps_geo.clusters.model import ClusterModel
from alps_geo.errors import RunError
from alps_geo.evaluate import evaluate_seams
from alps_geo.masks.tile_masks import TileMasks
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from alps_geo.masks.generator import TileImage
    from alps_geo.runs.record import RunRecord

SIDE, TILE, OVERLAP = 512, 256, 128


class NoMasks(QuarterTiles):
    """A generator that finds nothing, so that superpixels fill all."""

    def masks(self, image: TileImage, encoded: Any, points: Any) -> TileMasks:
        """Find no mask."""
        return TileMasks.of(image.valid.shape, [], [], [], [])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A piece of the NAIP scene."""
    path = tmp_path_factory.mktemp("superpixels") / "scene.tif"
    with rasterio.open(DATA / "naip_md_1m.tif") as whole:
        profile = {**whole.profile, "height": SIDE, "width": SIDE}
        with rasterio.open(path, "w", **profile) as target:
            target.write(whole.read(window=Window(0, 0, SIDE, SIDE)))
            target.colorinterp = whole.colorinterp
    return path


def label(
    scene: Path, out: Path, flags: RunFlags | None = None, **settings: Any
) -> tuple[RunRecord, list[str]]:
    """Label a scene, and return what the run said as well."""
    notes: list[str] = []
    tiles = {"tile_size": TILE, "overlap": OVERLAP}
    # Superpixels that are alike would become one segment.
    chosen = {"clusters": 2, "features": "spectral", "merge": False, **tiles}
    record = label_scenes(
        [str(scene)],
        out,
        LabelSettings(**{**chosen, **settings}),
        flags or RunFlags(),
        generator=NoMasks(),
        listen=lambda event: notes.append(event.note),
    )
    return record, notes


def segments(out: Path) -> NDArray[np.uint32]:
    with rasterio.open(out / "scene" / "segments.tif") as raster:
        ids: NDArray[np.uint32] = raster.read(1)
        return ids


@pytest.mark.parametrize("size", [8, 15, 32])
def test_segments_follow_the_size_and_no_seam_shows(scene: Path, tmp_path: Path, size: int) -> None:
    record, _ = label(scene, tmp_path, superpixel_size=size)
    ids = segments(tmp_path)
    assert (ids > 0).all()
    assert 0.6 < record.segments * size**2 / SIDE**2 < 1.5
    seams = evaluate_seams(str(tmp_path / "scene" / "segments.tif"), TILE, OVERLAP)
    assert seams.standard_error is not None
    assert abs(seams.excess) < max(3 * seams.standard_error, 0.05)


def test_another_size_is_another_run(scene: Path, tmp_path: Path) -> None:
    first, _ = label(scene, tmp_path)
    with pytest.raises(RunError):
        label(scene, tmp_path, superpixel_size=32)
    other, _ = label(scene, tmp_path, RunFlags(overwrite=True), superpixel_size=32)
    assert other.segments < first.segments / 2


def test_a_model_of_segments_of_another_size_is_noted(scene: Path, tmp_path: Path) -> None:
    label(scene, tmp_path / "fitted")
    model = tmp_path / "fitted" / "clusters.npz"
    note = "the clusters were fitted with --superpixel-size 16, not 8"
    _, notes = label(scene, tmp_path / "out", clusters_from=str(model), superpixel_size=8)
    assert note in notes
    _, notes = label(scene, tmp_path / "same", clusters_from=str(model))
    assert not any("superpixel-size" in each for each in notes)
    # One that was fitted before other sizes could be chosen.
    fitted = ClusterModel.from_bytes(model.read_bytes(), str(model))
    before = json.loads(fitted.fitted_with)
    del before["settings"]["superpixel_size"]
    model.write_bytes(replace(fitted, fitted_with=json.dumps(before)).to_bytes())
    _, notes = label(scene, tmp_path / "older", clusters_from=str(model), superpixel_size=8)
    assert note in notes


def test_superpixels_of_images_have_the_size(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    found = {}
    for size in (8, 16):
        record = label_images(
            root,
            tmp_path / f"out{size}",
            fill="superpixels",
            superpixel_size=size,
            generator=NoMasks(),
        )
        found[size] = record.segments
    assert found[8] > 2.5 * found[16]
