"""Prompts of a run: a grid, innermost points of regions, or none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo
from image_folders import label as label_folder
from image_folders import make_root, masks
from quarter_tiles import PromptedSquares
from rasterio.windows import Window

import alps_geo as library
from alps_geo.sam.decoder import Decoder
from alps_geo.settings.keywords import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 160


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corner of a real scene: four tiles of half its side."""
    with rasterio.open(DATA / "naip_md_1m.tif") as source:
        pixels = source.read(window=Window(0, 0, SIDE, SIDE))
    return write(tmp_path_factory.mktemp("scene") / "corner.tif", pixels)


def write(path: Path, pixels: NDArray[Any]) -> Path:
    with rasterio.open(DATA / "naip_md_1m.tif") as source:
        profile = source.profile
    shape = dict(zip(("count", "height", "width"), pixels.shape, strict=True))
    with rasterio.open(path, "w", **profile | shape) as target:
        target.write(pixels)
    return path


def ids(out: Path, name: str = "corner") -> NDArray[np.uint32]:
    with rasterio.open(out / name / "segments.tif") as file:
        found: NDArray[np.uint32] = file.read(1)
    return found


def test_each_tile_has_its_prompts_in_any_process(scene: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "tile_size": SIDE // 2,
        "overlap": 0,
        "points": "regions:6",
        "fill": "none",
    }
    settings |= {"clusters": 2, "features": "sam", "min_area": 1}
    for workers in (1, 2):
        out = tmp_path / str(workers)
        library.label(scene, out, **settings, workers=workers, generator=PromptedSquares())
    found = ids(tmp_path / "1")
    # Six squares of three pixels, in each of four tiles.
    assert found.max() == 24
    for rows in (found[: SIDE // 2], found[SIDE // 2 :]):
        for tile in (rows[:, : SIDE // 2], rows[:, SIDE // 2 :]):
            assert (tile > 0).sum() == 6 * 9
    for name in ("segments.tif", "labels.tif"):
        first, second = ((tmp_path / n / "corner" / name).read_bytes() for n in "12")
        assert first == second


def test_images_have_prompts_of_their_own(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    label_folder(root, clusters=2, points="regions:5", generator=PromptedSquares(), min_area=1)
    assert [(mask > 0).sum() for mask in masks(root).values()] == [5 * 9] * 3


def test_a_draft_has_superpixels_and_asks_for_no_mask(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Decoder, "prepare")
    run = library.label(scene, tmp_path, preset="draft", clusters=2, merge=False)
    assert run.record.origin.settings["points"] == "none"
    segments = run.segments()
    assert set(segments["source"]) == {"fill"}
    assert (ids(tmp_path) > 0).all()
    assert 80 < len(segments) < 140


@pytest.mark.parametrize("size", [1, 64])
def test_a_flat_scene_has_regions_too(size: int, tmp_path: Path) -> None:
    path = write(tmp_path / "corner.tif", np.full((4, size, size), 90, np.uint8))
    options = ("--points", "regions:9", "--clusters", 1, "--alpha", "no", "--json")
    outcome = alps_geo("label", path, "--out", tmp_path / "out", *options)
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["settings"]["points"] == "regions:9"
    assert (ids(tmp_path / "out") > 0).all()


def test_tiles_without_data_have_no_prompts(scene: Path, tmp_path: Path) -> None:
    with rasterio.open(scene) as source:
        pixels = source.read()
    # No data in the left tiles, and in half of the upper right one.
    pixels[:, :, : SIDE // 2] = pixels[:, : SIDE // 4] = 0
    path = write(tmp_path / "corner.tif", pixels)
    settings: dict[str, Any] = {
        "tile_size": SIDE // 2,
        "overlap": 0,
        "points": "regions:6",
        "fill": "none",
    }
    settings |= {"clusters": 2, "features": "sam", "min_area": 1, "nodata": 0}
    library.label(path, tmp_path / "out", **settings, generator=PromptedSquares())
    found = ids(tmp_path / "out")
    assert len(np.unique(found[found > 0])) == 3 + 6
    assert not found[pixels[0] == 0].any()


def test_the_published_recipe_keeps_its_grid() -> None:
    assert settings_from({"preset": "alps"}, {"points": "none"}).points == "grid:32"
