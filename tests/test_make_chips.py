"""Folders of chips with their truth, cut for benchmarks."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from evaluate_rasters import LANDCOVER, NAIP, read_ids, write_ids
from make_chips import SPLITS, Cut, make_chips
from PIL import Image

from alps_geo.errors import SceneError


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chips")
    assert make_chips(str(NAIP), str(LANDCOVER), out, Cut()) == {"train": 8, "val": 4, "test": 4}
    return out


def test_chips_and_their_truth_are_the_scene_cut_up(chips: Path) -> None:
    with rasterio.open(NAIP) as dataset:
        scene = np.moveaxis(dataset.read((1, 2, 3)), 0, 2)
    landcover = read_ids(LANDCOVER)
    found = sorted(chips.glob("img_dir/*/*.png"))
    assert len({path.name for path in found}) == 16
    for path in found:
        row, col = map(int, path.stem.split("_")[-2:])
        part = slice(row * 256, row * 256 + 256), slice(col * 256, col * 256 + 256)
        assert (np.asarray(Image.open(path)) == scene[part]).all()
        truth = chips / "truth" / path.relative_to(chips / "img_dir")
        assert (np.asarray(Image.open(truth)) == landcover[part]).all()


def test_blocks_of_neighbours_share_a_split(chips: Path) -> None:
    split_of = {path.stem: path.parent.name for path in chips.glob("img_dir/*/*.png")}
    assert set(split_of.values()) == set(SPLITS)
    for row in (0, 2):
        for col in (0, 2):
            block = {(row + down, col + right) for down in (0, 1) for right in (0, 1)}
            assert len({split_of[f"naip_md_1m_{r}_{c}"] for r, c in block}) == 1


def test_the_seed_decides_the_splits(tmp_path: Path, chips: Path) -> None:
    for seed in (0, 1):
        make_chips(str(NAIP), str(LANDCOVER), tmp_path / str(seed), Cut(seed=seed))
    names = [
        {path.relative_to(top) for path in top.rglob("*.png")}
        for top in (chips, tmp_path / "0", tmp_path / "1")
    ]
    assert names[0] == names[1] != names[2]


def test_truth_must_lie_on_the_scene(tmp_path: Path) -> None:
    other = write_ids(tmp_path / "truth.tif", np.ones((10, 10), np.uint8))
    with pytest.raises(SceneError, match="lies on another grid"):
        make_chips(str(NAIP), str(other), tmp_path / "chips", Cut())
    with pytest.raises(SceneError, match="is smaller than a chip of 2048 px"):
        make_chips(str(NAIP), str(LANDCOVER), tmp_path / "chips", Cut(size=2048))
