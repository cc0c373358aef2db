"""Seams are found where they are, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from evaluate_rasters import read_ids, write_ids
from helpers import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from alps_geo.errors import SceneError, SettingsError
from alps_geo.evaluate import SeamExcess, evaluate_agreement, evaluate_seams
from alps_geo.grid import TileGrid

Ids = NDArray[np.uint32]


def seams(path: Path, ids: Ids, tile_size: int, overlap: int = 0) -> SeamExcess:
    return evaluate_seams(str(write_ids(path / "ids.tif", ids)), tile_size, overlap)


def patches(shape: tuple[int, int], seed: int, size: float = 4) -> Ids:
    """Draw smooth patches of four labels."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), size)
    borders = np.quantile(smooth, [0.25, 0.5, 0.75])
    ids: Ids = (np.digitize(smooth, borders) + 1).astype(np.uint32)
    return ids


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile_size=st.integers(2, 20),
    share=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_pairs_are_those_of_the_tile_grid(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int],
    tile_size: int,
    share: int,
    seed: int,
) -> None:
    overlap = tile_size * share // 8
    grid = TileGrid(*shape, tile_size, overlap)
    if len(grid) == 1:
        return
    ids = np.random.default_rng(seed).integers(1, 4, shape, np.uint32)
    owner = np.zeros(shape, int)
    for number, tile in enumerate(grid):
        owner[tile.core.toslices()] = number
    counts = {True: [0, 0], False: [0, 0]}
    expected = 0.0
    for axis in (0, 1):
        here, there = (np.delete(np.arange(shape[axis]), at) for at in (-1, 0))
        across = owner.take(here, axis) != owner.take(there, axis)
        differ = ids.take(here, axis) != ids.take(there, axis)
        for place in (True, False):
            counts[place][0] += int((across == place).sum())
            counts[place][1] += int(differ[across == place].sum())
        if across.any() and (~across).any():
            expected += across.sum() * differ[~across].mean()
    measured = seams(tmp_path_factory.mktemp("seams"), ids, tile_size, overlap)
    assert (measured.border_pairs, measured.elsewhere_pairs) == (counts[True][0], counts[False][0])
    assert measured.border_rate == pytest.approx(counts[True][1] / counts[True][0])
    if expected:
        assert measured.excess == pytest.approx(counts[True][1] / expected - 1)


def test_planted_seams_are_measured(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(1, 3, (256, 256), np.uint32)
    rows, cols = np.indices(ids.shape)
    planted = (ids + 2 * ((rows // 64 + cols // 64) % 2)).astype(np.uint32)
    clean, cut = seams(tmp_path, ids, 64), seams(tmp_path, planted, 64)
    assert clean.standard_error is not None
    assert abs(clean.excess) < 3 * clean.standard_error
    assert clean.elsewhere_rate == pytest.approx(0.5, abs=0.01)
    # Elsewhere half of the pairs differ; across the borders all do.
    assert cut.border_rate == 1
    assert cut.excess == pytest.approx(1, abs=0.03)


def test_the_standard_error_is_what_the_excess_varies_by(tmp_path: Path) -> None:
    measured = [seams(tmp_path, patches((240, 240), seed), 60) for seed in range(40)]
    excess = np.array([one.excess for one in measured])
    errors = np.array([one.standard_error for one in measured], float)
    assert 0.75 < excess.std() / errors.mean() < 1.33
    assert abs(excess.mean()) < 3 * excess.std() / np.sqrt(len(measured))


def test_a_scene_with_changes_in_one_direction_has_no_seam(tmp_path: Path) -> None:
    columns = np.random.default_rng(0).integers(1, 3, (1, 400), np.uint32)
    stripes = np.repeat(columns, 90, axis=0)
    measured = seams(tmp_path, stripes, 100)
    assert measured.tiles == (1, 4)
    # Half of the sideways pairs differ and none of the downward ones; borders are all sideways.
    assert measured.elsewhere_rate == pytest.approx(0.5, abs=0.06)


def test_a_gap_along_a_border_is_a_seam_and_empty_land_is_not_compared(tmp_path: Path) -> None:
    ids = np.ones((80, 80), np.uint32)
    ids[:, 40] = 0
    ids[:30] = 0
    measured = seams(tmp_path, ids, 40)
    assert measured.border_rate == pytest.approx(50 / 129)
    assert measured.border_pairs == 50 + 79
    assert np.isfinite(measured.excess)


def test_tiles_of_one_label_each_are_nothing_but_seams(tmp_path: Path) -> None:
    blocks = np.kron(np.arange(1, 10, dtype=np.uint32).reshape(3, 3), np.ones((20, 20), np.uint32))
    measured = seams(tmp_path, blocks, 20)
    assert measured.excess == np.inf
    assert measured.standard_error is None


def test_one_border_has_no_standard_error(tmp_path: Path) -> None:
    assert seams(tmp_path, patches((50, 100), 0), 50).standard_error is None


def test_wrong_grids_and_empty_rasters_are_refused(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "ids.tif", np.zeros((50, 60), np.uint32))
    with pytest.raises(SettingsError, match="one tile holds it all"):
        evaluate_seams(str(path), 64, 8)
    with pytest.raises(SettingsError, match="overlap is 30 pixels"):
        evaluate_seams(str(path), 32, 30)
    with pytest.raises(SceneError, match="no id along any border"):
        evaluate_seams(str(path), 32, 4)
    with pytest.raises(SceneError, match="has 3 bands, expected one"):
        evaluate_seams(str(DATA / "neon_osbs_10cm.tif"), 128, 16)


def test_agreement_counts_equal_labels_where_both_have_one(tmp_path: Path) -> None:
    first = patches((90, 120), 1)
    second = first.copy()
    second[:9] += 1
    second[9:12] = 0
    first[80:] = 0
    paths = [
        str(write_ids(tmp_path / f"{number}.tif", ids))
        for number, ids in enumerate((first, second))
    ]
    for size in (1024, 37):
        measured = evaluate_agreement(*paths, window_size=size)
        assert measured.both == 77 * 120
        assert measured.same == 68 * 120
        assert (measured.only_first, measured.only_second) == (3 * 120, 10 * 120)
        assert measured.share == pytest.approx(68 / 77)


def test_agreement_needs_one_grid(tmp_path: Path) -> None:
    one = write_ids(tmp_path / "one.tif", patches((40, 40), 0))
    other = write_ids(tmp_path / "other.tif", read_ids(one)[:30])
    with pytest.raises(SceneError, match="has 30 x 40 pixels, not 40 x 40"):
        evaluate_agreement(str(one), str(other))
    elsewhere = write_ids(tmp_path / "crs.tif", read_ids(one), crs="EPSG:32618")
    with pytest.raises(SceneError, match="has the CRS EPSG:32618, not EPSG:26918"):
        evaluate_agreement(str(one), str(elsewhere))
    empty = write_ids(tmp_path / "empty.tif", np.zeros((40, 40), np.uint32))
    with pytest.raises(SceneError, match="has no label where"):
        evaluate_agreement(str(one), str(empty))
