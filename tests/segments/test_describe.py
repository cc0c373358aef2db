"""Description of segments: merged ones are the union of theirs, pixel for pixel and sum for sum."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dense_masks import packed
from helpers import DATA, EMBEDDINGS, cell_size, disk_of, painted
from rasterio.windows import Window
from scipy.sparse import csr_array

from alps_geo.clusters.scaling import project_alone
from alps_geo.errors import RunError
from alps_geo.features.columns import ColumnSchema
from alps_geo.features.images import band_scale
from alps_geo.grid import TileGrid
from alps_geo.scene import open_scene, read_tile
from alps_geo.segments.borders import Borders
from alps_geo.segments.core_sums import Source
from alps_geo.segments.describe import NeighbourRules, describe_segments
from alps_geo.segments.fragments import FragmentRules, Fragments, cut_fragments
from alps_geo.segments.neighbours import neighbour_shares
from alps_geo.segments.painting import StoredPainting
from alps_geo.segments.pooling import segment_rows
from alps_geo.segments.stitch import stitch
from alps_geo.segments.superpixels import TileBands
from alps_geo.segments.table import open_table, read_segments
from alps_geo.windows import origin

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.scene import TilePixels
    from alps_geo.segments.stitch import Stitched
    from alps_geo.segments.table import SegmentTable

SIDE = 320
SCENE = open_scene(str(DATA / "naip_md_1m.tif"))
MASKS = np.zeros((3, SIDE, SIDE), dtype=bool)
MASKS[0, 40:56, 50:66] = True
MASKS[1, 168:180, 150:170] = True  # where tiles meet
MASKS[2, 180:192, 150:170] = True  # next to another
SCHEMA = ColumnSchema(SCENE.band_names, SCENE.unit, ("spectral", "texture"))
MERGED = NeighbourRules(strength=0.3)


def read(window: Window, shape: tuple[int, int] = (500, 300)) -> TilePixels:
    row, col = shape
    return read_tile(
        SCENE,
        Window(col + window.col_off, row + window.row_off, window.width, window.height),
    )


@cache
def tiles_of(grid: TileGrid) -> dict[object, Fragments]:
    """Tiles with some masks, the rest filled with superpixels."""
    tiles: dict[object, Fragments] = {}
    scale = band_scale(read(Window(0, 0, SIDE, SIDE)))
    for tile in grid:
        dense = MASKS[:, *tile.window.toslices()]
        scores = np.full(len(dense), 0.9, np.float32)
        there = dense.any(axis=(1, 2))
        masks = packed(dense[there], scores[there], scores[there])
        embeddings = replace(EMBEDDINGS, sam=np.zeros((256, 8, 8), np.float16))
        rules = FragmentRules(1.0, fill=True)
        bands = TileBands(read(tile.window), scale, origin(tile.window), 16)
        tiles[tile] = cut_fragments(grid, tile, bands, masks, embeddings, rules)
    return tiles


def described(
    folder: Path, rules: NeighbourRules, grid: TileGrid | None = None
) -> tuple[NDArray[np.uint32], SegmentTable, Stitched]:
    """Picture of the segment ids, their table, and the segments before any is merged."""
    grid = grid or TileGrid(SIDE, SIDE, 192, 32)
    tiles = tiles_of(grid)
    found = stitch(grid, tiles.__getitem__, StoredPainting(folder), min_area=16, superpixel_size=16)
    source = Source(
        lambda tile: tiles[tile].embeddings,
        read,
        band_scale(read(Window(0, 0, SIDE, SIDE))),
        grid,
        cell_size,
    )
    rows = segment_rows(grid, found, source, SCHEMA)
    table = describe_segments(found, rows, SCHEMA, rules, folder, project_alone)
    return painted(grid, found), table, found


def by_id(table: SegmentTable) -> NDArray[np.floating]:
    values = table.read(0, len(table)).values
    return values[np.argsort(table.rows)]


def test_merged_segments_are_whole_segments_and_masks_stay(tmp_path: Path) -> None:
    before, plain, _ = described(tmp_path / "plain", NeighbourRules())
    after, table, _ = described(tmp_path / "merged", MERGED)
    assert len(table) < 0.7 * len(plain)
    # Each segment lies in one merged one; the ids follow the first of their segments.
    pairs = np.unique(np.stack([before.ravel(), after.ravel()], axis=1), axis=0)
    assert pairs[:, 0].tolist() == list(range(1, len(plain) + 1))
    _, first = np.unique(pairs[:, 1], return_index=True)
    assert (np.diff(first) > 0).all()
    assert sorted(table.rows.tolist()) == list(range(1, len(table) + 1))
    for mask in MASKS:
        inside = np.unique(after[mask])
        assert len(inside) == 1
        np.testing.assert_array_equal(after == inside[0], before == before[mask][0])
        assert np.isin(
            before[mask], np.flatnonzero(~read_segments(plain.folder)[1].is_filled) + 1
        ).all()


def test_figures_of_merged_segments_are_those_of_their_pixels(tmp_path: Path) -> None:
    picture, table, _ = described(tmp_path, MERGED)
    segments, attributes = read_segments(tmp_path)
    pixels = read(Window(0, 0, SIDE, SIDE))
    area = np.bincount(picture.ravel())[1:]
    np.testing.assert_array_equal(segments.area, area)
    assert segments.valid_pixels == picture.size
    means = [np.bincount(picture.ravel(), band.ravel())[1:] / area for band in pixels.bands]
    np.testing.assert_allclose(attributes.band_means, np.stack(means, axis=1))
    names = [f"mean.{name}" for name in SCENE.band_names]
    columns = table.read(0, len(table)).select(names)
    np.testing.assert_allclose(columns[np.argsort(table.rows)], np.stack(means, 1), rtol=1e-6)
    assert np.isnan(attributes.predicted_iou).sum() == len(segments) - len(MASKS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "columns.npy", "ids.npy", "painted", "segments.npz",
    ]  # fmt: skip


def test_neighbours_share_in_the_columns_and_not_in_the_attributes(tmp_path: Path) -> None:
    picture, plain, found = described(tmp_path / "plain", NeighbourRules())
    same, mixed, _ = described(tmp_path / "mixed", NeighbourRules(share=0.4))
    np.testing.assert_array_equal(same, picture)
    for one, other in zip(
        *(vars(read_segments(t.folder)[1]).values() for t in (plain, mixed)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert Borders.between(picture).sides.tolist() == found.borders.sides.tolist()
    own, theirs = by_id(plain), by_id(mixed)
    assert np.abs(own - theirs).max() > 0
    # Each is a mean of the segment and its neighbours.
    step = neighbour_shares(own, found.area / 256, found.borders, 0.4)
    shares = csr_array(step @ step)
    for row in range(len(plain)):
        around = own[shares.indices[shares.indptr[row] : shares.indptr[row + 1]]]
        slack = 1e-5 * np.abs(around).max(axis=0)
        assert (theirs[row] >= around.min(axis=0) - slack).all()
        assert (theirs[row] <= around.max(axis=0) + slack).all()


def test_neighbours_reach_as_far_through_superpixels_of_any_size(tmp_path: Path) -> None:
    _, plain, found = described(tmp_path / "plain", NeighbourRules())
    own = by_id(plain)
    rows = project_alone(plain)[np.argsort(plain.rows)]
    step = neighbour_shares(rows, found.area / 11**2, found.borders, 0.4)
    for _ in range(4):
        own = step @ own
    _, mixed, _ = described(tmp_path / "mixed", NeighbourRules(share=0.4, superpixel_size=11))
    np.testing.assert_allclose(by_id(mixed), own, rtol=1e-3, atol=1e-4)


def test_the_strength_of_merging_means_the_same_for_superpixels_of_any_size(tmp_path: Path) -> None:
    small, large = (
        described(tmp_path / str(size), NeighbourRules(strength=0.2, superpixel_size=size))[0]
        for size in (8, 16)
    )
    assert 1 < small.max() < described(tmp_path / "plain", NeighbourRules())[0].max()
    np.testing.assert_array_equal(small, large)


def test_a_scene_of_one_colour_is_one_segment_outside_of_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def even(window: Window) -> TilePixels:
        pixels = read_tile(SCENE, Window(0, 0, window.width, window.height))
        return replace(pixels, bands=np.full_like(pixels.bands, 7))

    monkeypatch.setitem(globals(), "read", even)
    tiles_of.cache_clear()
    _, table, found = described(tmp_path, NeighbourRules(0.2, 0.3))
    tiles_of.cache_clear()
    assert len(found) > 100
    assert len(table) == 1 + len(MASKS)
    assert np.ptp(by_id(table), axis=0).max() < 1e-5


def test_a_single_pixel_is_a_segment(tmp_path: Path) -> None:
    grid = TileGrid(1, 1, 192, 32)
    picture, table, _ = described(tmp_path, NeighbourRules(0.2, 0.3), grid)
    assert (picture.tolist(), len(table), table.area.tolist()) == ([[1]], 1, [1])


def test_a_full_disk_leaves_no_sums_and_no_table(tmp_path: Path) -> None:
    described(tmp_path / "plain", NeighbourRules())
    largest = max(path.stat().st_size for path in (tmp_path / "plain").iterdir())
    with disk_of(largest // 2), pytest.raises(RunError):
        described(tmp_path / "merged", MERGED)
    left = {path.name for path in (tmp_path / "merged").iterdir()}
    assert left <= {"ids.npy", "painted"}
    assert not left or len(open_table(tmp_path / "plain"))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_same_segments_give_the_same_bytes(tmp_path: Path, share: float) -> None:
    rules = NeighbourRules(0.2, share)
    make = partial(described, rules=rules)
    first, second = make(tmp_path / "one"), make(tmp_path / "two")
    np.testing.assert_array_equal(first[0], second[0])
    for name in ("columns.npy", "segments.npz", "ids.npy"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
