"""A generator of one's own goes through the whole pipeline, in this process and in others."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import DATA
from quarter_tiles import OnlyElsewhere, QuarterTiles
from rasterio.windows import Window

from alps_geo.errors import ModelError
from alps_geo.masks import registry
from alps_geo.masks.generator import GeneratorOptions, TileImage, check_tile
from alps_geo.masks.registry import Family, make_generator, models, register
from alps_geo.masks.sam1 import SamGenerator
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.origin import WeightsRecord
from alps_geo.sam.weights import MODELS
from alps_geo.segments.table import open_table
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.masks.tile_masks import TileMasks

SIDE = 64
REPLACE = RunFlags(overwrite=True)
SETTINGS = LabelSettings(
    tile_size=SIDE, overlap=0, clusters=2, fill="none", features="sam", min_area=0
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiles next to each other."""
    path = tmp_path_factory.mktemp("scene") / "corner.tif"
    window = Window(0, 0, 2 * SIDE, SIDE)
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        profile = source.profile | {"width": window.width, "height": window.height}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=window))
    return path


def segments(out: Path) -> NDArray[np.uint32]:
    with rasterio.open(out / "corner" / "segments.tif") as file:
        found: NDArray[np.uint32] = file.read(1)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_masks_of_another_generator_become_the_segments(
    workers: int, scene: Path, tmp_path: Path
) -> None:
    generator = QuarterTiles() if workers == 1 else OnlyElsewhere()
    settings = replace(SETTINGS, workers=workers)
    record = label_scenes([str(scene)], tmp_path, settings, generator=generator)
    assert record.segments == 8
    ids = segments(tmp_path)
    half = SIDE // 2
    corners = ids[::half, ::half]
    assert len(np.unique(corners)) == 8
    quarters = corners.repeat(half, axis=0).repeat(half, axis=1)
    np.testing.assert_array_equal(ids, np.where(ids > 0, quarters, 0))
    assert (ids > 0).mean() > 0.99
    # Its embedding describes them, in cells of its own: three channels for each.
    table = open_table(tmp_path / ".tiles" / "corner.segments")
    assert table.names == ("sam.0", "sam.1", "sam.2")
    with rasterio.open(scene) as file:
        red = file.read(1).reshape(2, half, 4, half).mean(axis=(1, 3)) / 255
    values = table.read(0, len(table)).values[:, 0]
    assert np.corrcoef(values, red.ravel()[np.argsort(corners.ravel())][table.rows - 1])[0, 1] > 0.9


def test_several_images_are_encoded_together(scene: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    class Watched(QuarterTiles):
        def encode(self, images: Any) -> Any:
            asked.append(len(images))
            return super().encode(images)

    label_scenes([str(scene)], tmp_path, SETTINGS, generator=Watched(images_at_once=2))
    assert asked == [2]


def test_tiles_of_another_generator_are_not_taken_over(scene: Path, tmp_path: Path) -> None:
    for edition in ("first", "second"):
        generator = QuarterTiles(edition)
        record = label_scenes([str(scene)], tmp_path, SETTINGS, REPLACE, generator=generator)
        assert record.origin.model == WeightsRecord("quarters", generator.sha256())
    keys = list((tmp_path / ".tiles").glob("corner.*/*.npz"))
    assert len({path.parent for path in keys if path.name[0].isdigit()}) == 1


def test_a_generator_is_registered_by_the_name_of_its_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_FAMILIES", list(registry._FAMILIES))
    spec = replace(MODELS["vit_b"], name="quarters")
    register(Family("quarter_tiles:QuarterTiles.from_options", {"quarters": spec}))
    assert list(models()) == [*MODELS, "quarters"]
    assert models()["quarters"] is spec
    assert make_generator(GeneratorOptions(model="quarters")) == QuarterTiles("quarters")
    assert LabelSettings(model="quarters").generator_options.model == "quarters"


def test_a_later_family_leaves_the_default_model_first_and_wins_a_shared_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = replace(MODELS["vit_b"], name="mobile_sam")
    later = Family("quarter_tiles:QuarterTiles.from_options", {"quarters": spec, "vit_b": spec})
    monkeypatch.setattr(registry, "_FAMILIES", [*registry._FAMILIES, later])
    assert next(iter(models())) == LabelSettings().model == "mobile_sam"
    assert list(models()) == [*MODELS, "quarters"]
    assert models()["vit_b"] is spec
    assert make_generator(GeneratorOptions(model="vit_b")) == QuarterTiles("vit_b")


def test_sams_generator_is_a_value_of_its_options() -> None:
    generator = make_generator(GeneratorOptions(model="mobile_sam"))
    assert generator == SamGenerator(GeneratorOptions())
    assert pickle.loads(pickle.dumps(generator)) == generator
    assert generator.sha256() == MODELS["mobile_sam"].sha256
    with pytest.raises(ModelError, match="no model 'sam9', expected one of mobile_sam, vit_b"):
        make_generator(GeneratorOptions(model="sam9"))


def test_names_of_models_cost_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from alps_geo.masks.registry import models; assert 'vit_h' in models(); "
        "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("masks", r"quarters: masks are of a tile of \(9, 9\) pixels, expected \(8, 8\)"),
        ("channels", r"embedding is of shape \(2, 4, 4\), expected \(3, 4, 4\)"),
        ("cells", r"embedding is of shape \(3, 4, 3\), expected \(3, 4, 4\)"),
    ],
)
def test_what_breaks_the_contract_is_named(change: str, message: str) -> None:
    generator = QuarterTiles()
    image = TileImage(
        np.zeros((8, 8, 3), np.uint8),
        np.ones((8, 8), np.bool_),
        Window(0, 0, 8, 8),
        "scene.tif",
        Affine.identity(),
        None,
    )
    (encoded,) = generator.encode([image])
    masks: TileMasks = generator.masks(image, encoded, None)
    embedding = generator.embedding(image, encoded)
    check_tile(generator, image, masks, embedding)
    if change == "masks":
        masks = replace(masks, shape=(9, 9))
    embedding = {"channels": embedding[:2], "cells": embedding[:, :, :3]}.get(change, embedding)
    with pytest.raises(ModelError, match=message):
        check_tile(generator, image, masks, embedding)
