"""The published recipe describes masks whole, and every other one segments by their own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from image_folders import SIDE, label, masks, naip, save
from quarter_tiles import QuarterTiles, mean_colours
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score
from torch.nn.functional import interpolate

from alps_geo.masks.tile_masks import TileMasks
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.segments.table import open_table
from alps_geo.settings import LabelSettings
from alps_geo.settings.presets import IMAGE_PRESETS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.masks.generator import TileImage

HALF = np.indices((SIDE, SIDE))[1] < SIDE // 2
QUARTER = HALF & (np.indices((SIDE, SIDE))[0] < SIDE // 2)


@dataclass(frozen=True)
class Nested(QuarterTiles):
    """The left half of a tile, and the upper left quarter on top of it."""

    def masks(self, image: TileImage, encoded: Any, points: Any) -> TileMasks:
        """Return both."""
        sides = [(SIDE, SIDE // 2), (SIDE // 2, SIDE // 2)]
        boxes = [(0, 0, *side) for side in sides]
        bits = [np.packbits(np.ones(side, np.bool_)) for side in sides]
        return TileMasks.of((SIDE, SIDE), boxes, bits, [0.9] * 2, [0.8] * 2)


def enlarged(chip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Enlarge the embedding of a chip to its pixels, as torch does."""
    cells = torch.from_numpy(mean_colours(chip).astype(np.float16).astype(np.float32))
    return interpolate(cells[None], (SIDE, SIDE), mode="bilinear")[0].numpy()


def described(table: Path) -> NDArray[np.float32]:
    """Read the mean embeddings of segments."""
    columns = open_table(table)
    return columns.read(0, len(columns)).select([f"sam.{i}" for i in range(3)])


RECIPES = pytest.mark.parametrize(
    ("chosen", "of_half"),
    [
        ({"compare": "raw"}, HALF),
        ({"compare": "raw", "passes": 1, "batch_size": 2}, HALF),
        ({"compare": "weighted"}, HALF & ~QUARTER),
    ],
)


@RECIPES
def test_masks_of_images_are_described_whole_as_published(
    tmp_path: Path, chosen: dict[str, Any], of_half: NDArray[np.bool_]
) -> None:
    chips = [naip(row, 128) for row in (0, 256, 512)]
    for index, chip in enumerate(chips):
        save(tmp_path / f"img_dir/train/{index}.png", chip)
    label(tmp_path, features="sam", clusters=2, generator=Nested(), **chosen)
    expected = [enlarged(chip)[:, of].mean(axis=1) for chip in chips for of in (of_half, QUARTER)]
    found = described(tmp_path / ".tiles/train.segments")
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@RECIPES
def test_masks_of_scenes_are_described_whole_as_published(
    tmp_path: Path, chosen: dict[str, Any], of_half: NDArray[np.bool_]
) -> None:
    scene = save(tmp_path / "scene.png", naip(0, 128))
    settings = LabelSettings(features="sam", clusters=2, fill="none", neighbours=0, **chosen)
    label_scenes([str(scene)], tmp_path / "run", settings, generator=Nested())
    expected = [enlarged(naip(0, 128))[:, of].mean(axis=1) for of in (of_half, QUARTER)]
    found = described(tmp_path / "run/.tiles/scene.segments")
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_run_of_the_published_recipe_has_the_clusters_of_scikit_learn(tmp_path: Path) -> None:
    for split, count in (("train", 7), ("val", 3)):
        for row in range(count):
            save(tmp_path / f"img_dir/{split}/{row}.png", naip(64 * row, 320))
    settings = {**IMAGE_PRESETS["alps"], "batch_size": 16, "clusters": 6, "seed": 5}
    label(tmp_path, **settings)
    tables = [tmp_path / f".tiles/{split}.segments" for split in ("train", "val")]
    rows = np.concatenate([described(table) for table in tables])
    kmeans = MiniBatchKMeans(6, random_state=5, batch_size=16, n_init="auto")
    for start in range(0, len(rows), 16):
        kmeans.partial_fit(rows[start : start + 16])
    painted = np.stack(list(masks(tmp_path).values()))
    corners = painted[:, [[8], [40]], [[8, 40]]].reshape(-1)
    assert adjusted_rand_score(kmeans.predict(rows), corners) == 1.0
