import numpy as np
import pytest
import torch
from dense_masks import packed
from helpers import EMBEDDINGS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alps_geo.features.embeddings import CellSize, Embeddings
from alps_geo.features.images import band_scale
from alps_geo.grid import Tile, TileGrid
from alps_geo.masks.tile_masks import TileMasks
from alps_geo.scene import TilePixels
from alps_geo.segments.fragments import FragmentRules, Fragments, _filled, cut_fragments
from alps_geo.segments.ranks import Rank
from alps_geo.segments.superpixels import TileBands
from alps_geo.windows import origin

CELLS = Embeddings(
    np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float16),
    EMBEDDINGS.backbone,
)


@pytest.fixture
def overlapping() -> TileMasks:
    dense = np.zeros((3, 16, 16), dtype=bool)
    dense[0, 2:12, 2:12] = True
    dense[1, 4:8, 4:8] = True
    dense[2] = True
    return packed(
        dense,
        np.array([0.9, 0.8, 0.95], np.float32),
        np.array([0.97, 0.96, 0.99], np.float32),
    )


def pixels_of(valid: NDArray[np.bool_]) -> TilePixels:
    return TilePixels(
        image=np.zeros((*valid.shape, 3), np.uint8),
        bands=np.arange(valid.size, dtype=np.float32).reshape(1, *valid.shape),
        valid=valid,
    )


def cut(
    pixels: TilePixels,
    masks: TileMasks,
    grid: TileGrid | None = None,
    *,
    gate: float = 1.0,
    cell_size: CellSize | None = None,
    superpixel_size: int | None,
) -> Fragments:
    """Cut the fragments of the first tile of a grid, by default of a grid of one tile."""
    height, width = pixels.valid.shape
    grid = TileGrid(height, width, max(height, width), 0) if grid is None else grid
    return cut_fragments(
        grid,
        grid[0, 0],
        TileBands(pixels, band_scale(pixels), (0, 0), superpixel_size or 16),
        masks,
        EMBEDDINGS if cell_size is None else CELLS,
        FragmentRules(gate, superpixel_size is not None, cell_size),
    )


def is_filled(fragments: Fragments) -> NDArray[np.bool_]:
    """Mark the fragments that are superpixels, or parts of one."""
    objects = fragments.objects
    return np.append(True, objects.in_parts)[objects.of]


def test_small_masks_lie_over_large_ones_and_nodata_is_nobodys(overlapping: TileMasks) -> None:
    valid = np.ones((16, 16), dtype=bool)
    valid[:, 15] = False
    fragments = cut(pixels_of(valid), overlapping, superpixel_size=None)
    assert fragments.labels[5, 5] == 2
    assert fragments.labels[3, 3] == 1
    assert fragments.labels[0, 0] == 3
    assert (fragments.labels[:, 15] == 0).all()
    assert fragments.size.tolist() == [84, 16, 140]
    assert fragments.valid_pixels == 240
    scores = fragments.objects.scores[fragments.objects.of - 1]
    np.testing.assert_allclose(scores[:, 0], [0.9, 0.8, 0.95], rtol=1e-6)


def test_the_smaller_of_two_masks_is_the_one_with_fewer_valid_pixels() -> None:
    """Masks go on under a collar, where how large they are is anyone's guess."""
    valid = np.arange(16) < 8 + np.zeros((16, 1), int)
    field, shed = np.zeros((2, 16, 16), dtype=bool)
    field[:, :8] = True  # 128 pixels, all of them valid
    shed[4:12, 4:] = True  # 32 valid ones
    shed[:, 8:] = True  # and 128 beyond
    masks = packed(
        np.stack([field, shed]),
        np.array([0.9, 0.8], np.float32),
        np.array([0.9, 0.8], np.float32),
    )
    fragments = cut(pixels_of(valid), masks, superpixel_size=None)
    assert fragments.size.tolist() == [96, 32]
    kept = cut(pixels_of(valid), masks, gate=0.5, superpixel_size=None)
    assert kept.size.tolist() == [96, 32]


def test_whole_masks_are_described_under_smaller_ones_too(overlapping: TileMasks) -> None:
    pixels = pixels_of(np.ones((16, 16), dtype=bool))
    fragments = cut(pixels, overlapping, cell_size=lambda _: (4, 4), superpixel_size=None)
    # A linear image of the cells on 16 x 16 pixels, as torch enlarges them.
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(CELLS.sam.astype(np.float32))[None], (16, 16), mode="bilinear"
    )[0].numpy()
    whole = [np.zeros((16, 16), dtype=bool) for _ in range(3)]
    for i, mask in enumerate(whole):
        mask[overlapping.slices(i)] = overlapping.mask(i)
    expected = [enlarged[:, mask].mean(axis=1) for mask in whole]
    np.testing.assert_allclose(fragments.objects.means, expected, rtol=1e-5, atol=1e-6)
    assert cut(pixels, overlapping, superpixel_size=None).objects.means.shape == (3, 0)


def test_the_gate_drops_masks_that_cover_too_much(overlapping: TileMasks) -> None:
    fragments = cut(pixels_of(np.ones((16, 16), bool)), overlapping, gate=0.5, superpixel_size=None)
    assert fragments.labels[0, 0] == 0
    assert fragments.size.tolist() == [84, 16]


def test_fragments_are_ranked_by_how_well_the_tile_knows_them() -> None:
    grid = TileGrid(16, 28, 16, 4)
    assert [tile.core_slices[1] for tile in grid] == [slice(0, 14), slice(2, 16)]
    dense = np.zeros((4, 16, 16), dtype=bool)
    dense[0, 0:4, 0:4] = True  # at the scene's own edge, which cuts nothing off
    dense[1, 8:12, 4:16] = True  # reaches the edge beyond which the scene goes on
    dense[2, 6, 14:16] = True
    dense[3, 0:2, 12:15] = True  # its centroid is in column 13, the last of the core
    scores = np.ones(4, np.float32)
    masks = packed(dense, scores, scores)
    fragments = cut(pixels_of(np.ones((16, 16), bool)), masks, grid, superpixel_size=None)
    assert fragments.rank.tolist() == [Rank.OWNED, Rank.CUT, Rank.CUT, Rank.OWNED]


LENGTHS = st.integers(4, 10).flatmap(
    # Two windows of even sizes, that lie the same in the mirror.
    lambda half: st.tuples(st.just(2 * half), st.integers(1, half // 2))
)


@given(LENGTHS, st.data())
@settings(max_examples=60)
def test_a_mirrored_scene_has_mirrored_owners(length: tuple[int, int], data: st.DataObject) -> None:
    size, half_overlap = length
    width = 2 * size - 2 * half_overlap
    grid = TileGrid(size, width, size, 2 * half_overlap)
    assert [tile.core.width for tile in grid] == [width // 2] * 2
    # A mask of any shape that both windows see whole, away from a tie.
    middle = range(width // 2 - half_overlap + 1, width // 2 + half_overlap - 1)
    seen = st.sets(st.tuples(st.integers(1, size - 2), st.sampled_from(middle)), min_size=1)
    pixels = np.array(sorted(data.draw(seen))) if middle else np.array([[1, width // 2]])
    scene = np.zeros((size, width), bool)
    scene[tuple(pixels.T)] = True
    centre = (pixels[:, 1] + 0.5).mean()
    assume(abs(centre - width / 2) > 1e-9)
    for mirrored in (False, True):
        mask = scene[:, ::-1] if mirrored else scene
        owns = [owned(grid, tile, mask) for tile in grid]
        assert owns == [(centre < width / 2) != mirrored, (centre > width / 2) != mirrored]


def owned(grid: TileGrid, tile: Tile, mask: NDArray[np.bool_]) -> bool:
    """Return True if a tile owns a mask of the scene that it sees whole."""
    inside = mask[tile.window.toslices()]
    scores = np.ones(1, np.float32)
    masks = packed(inside[None], scores, scores)
    pixels = pixels_of(np.ones(inside.shape, bool))
    bands = TileBands(pixels, band_scale(pixels), origin(tile.window), 16)
    rules = FragmentRules(1.0, fill=False)
    fragments = cut_fragments(grid, tile, bands, masks, EMBEDDINGS, rules)
    return bool(fragments.rank[0] == Rank.OWNED)


def test_parts_of_many_masks_over_many_superpixels_are_told_apart() -> None:
    """As many as in a tile of 16 384 pixels: their product takes more than 32 bits."""
    cells = np.maximum(np.arange(2**16, dtype=np.int32), 1).reshape(256, 256)
    owner = np.zeros_like(cells)
    # Half of the first superpixel, of two pixels, is of a mask cut off.
    owner[0, 0] = 2**16
    in_parts = np.zeros(2**16, bool)
    in_parts[-1] = True
    labels, mask_of, _ = _filled(owner, cells, np.zeros(2**16, bool), in_parts)
    assert labels[0, 0] != labels[0, 1]
    assert mask_of[labels[0, :2] - 1].tolist() == [2**16, 0]
    assert len(np.unique(labels)) == len(mask_of) == 2**16


def test_filling_leaves_no_valid_pixel_out_and_says_what_it_filled(
    overlapping: TileMasks,
) -> None:
    valid = np.ones((16, 16), dtype=bool)
    valid[:, 15] = False
    fragments = cut(pixels_of(valid), overlapping, gate=0.5, superpixel_size=16)
    np.testing.assert_array_equal(fragments.labels > 0, valid)
    assert fragments.size[:2].tolist() == [84, 16]
    assert is_filled(fragments).tolist() == [False, False] + [True] * (len(fragments) - 2)
    assert fragments.size.sum() == valid.sum()


def blocks(side: int) -> TilePixels:
    """Draw one even quarter next to three that are checkered, in three bands."""
    rng = np.random.default_rng(0)
    coarse = rng.choice([-1.0, 1.0], size=(3, side // 16, side // 16))
    bands = coarse.repeat(16, axis=1).repeat(16, axis=2) * 100 + rng.normal(size=(3, side, side))
    bands[:, : side // 2, : side // 2] = rng.normal(size=(3, side // 2, side // 2))
    return TilePixels(
        np.zeros((side, side, 3), np.uint8), bands.astype(np.float32), np.ones((side, side), bool)
    )


def test_large_uneven_masks_give_way_to_superpixels_and_even_ones_stay_whole() -> None:
    side = 128
    dense = np.zeros((3, side, side), dtype=bool)
    dense[0, : side // 2, : side // 2] = True  # even
    dense[1, side // 2 :] = True  # uneven
    dense[2, 8:40, 70:86] = True  # uneven, but small
    masks = packed(
        dense,
        np.full(3, 0.9, np.float32),
        np.full(3, 0.9, np.float32),
    )
    pixels = blocks(side)
    whole = cut(pixels, masks, superpixel_size=None)
    assert whole.size.tolist() == dense.sum(axis=(1, 2)).tolist()
    filled = cut(pixels, masks, superpixel_size=16)
    assert np.unique(filled.labels[dense[0]]).tolist() == [1]
    assert np.unique(filled.labels[dense[2]]).tolist() == [2]
    lower = np.unique(filled.labels[dense[1]])
    assert len(lower) > 16
    assert is_filled(filled)[lower - 1].all()
    # No fill lies on both sides of a mask's border, and next to none across two colours.
    assert not np.isin(filled.labels[~dense[1]], lower).any()
    sign = np.sign(pixels.bands)
    mixed = [
        number
        for number in lower.tolist()
        if (np.abs(sign[:, filled.labels == number].mean(axis=1)) < 0.6).any()
    ]
    assert np.isin(filled.labels, mixed).sum() < 0.05 * dense[1].sum()


@pytest.mark.parametrize(
    ("contrast", "size", "stays"), [(0.45, 16, True), (1.0, 16, False), (0.45, 8, False)]
)
def test_an_uneven_mask_stays_if_few_superpixels_differ_little(
    contrast: float, size: int, stays: bool
) -> None:
    dense = np.zeros((1, 128, 128), dtype=bool)
    dense[0, 80:112, 32:112] = True  # ten superpixels of 16 pixels
    pixels = blocks(128)
    pixels.bands[:, dense[0]] *= contrast
    score = np.full(1, 0.9, np.float32)
    fragments = cut(pixels, packed(dense, score, score), superpixel_size=size)
    assert is_filled(fragments)[fragments.labels[dense[0]] - 1].any() != stays


def test_masks_that_the_window_cuts_off_lie_in_parts_but_not_at_the_edge_of_the_scene() -> None:
    grid = TileGrid(128, 240, 128, 16)
    dense = np.zeros((3, 128, 128), dtype=bool)
    dense[0, :48, :48] = True  # at the scene's own edge
    dense[1, 60:100, 80:] = True  # at the edge beyond which the scene goes on
    dense[2, 118:126, 100:] = True  # there too, and small
    scores = np.full(3, 0.9, np.float32)
    masks = packed(dense, scores, scores)
    even = TilePixels(
        np.zeros((128, 128, 3), np.uint8),
        np.random.default_rng(0).normal(size=(1, 128, 128)).astype(np.float32),
        np.ones((128, 128), bool),
    )
    fragments = cut(even, masks, grid, superpixel_size=16)
    assert np.unique(fragments.labels[dense[0]]).tolist() == [1]
    assert fragments.objects.in_parts.tolist() == [False, True, True]
    for number in (1, 2):
        parts = np.unique(fragments.labels[dense[number]])
        assert is_filled(fragments)[parts - 1].all()
        assert not np.isin(fragments.labels[~dense[number]], parts).any()
        assert (fragments.objects.of[parts - 1] == number + 1).all()
    assert fragments.objects.edges[1:].tolist() == [[False, False, False, True]] * 2
    assert (fragments.rank < Rank.CUT).sum() == is_filled(fragments).sum()
