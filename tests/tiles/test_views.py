"""Parts of tiles that the mask generator is shown on their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from affine import Affine
from helpers import DATA
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window
from scipy.ndimage import find_objects, label

from alps_geo.errors import ModelError
from alps_geo.masks.generator import GeneratorOptions, TileImage
from alps_geo.masks.registry import make_generator
from alps_geo.masks.tile_masks import TileMasks
from alps_geo.sam.settings import MaskSettings
from alps_geo.scene import fill_invalid, open_scene, read_tile
from alps_geo.tiles.views import Looker, cut_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.masks.generator import MaskGenerator, MaskModel

SIDE, SIZE = 256, 128
CELLS = 64
SMALL = 16
"""Bright squares that are smaller are seen in views only."""


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(64, 1024))
def test_views_cover_a_tile_and_overlap(height: int, width: int, size: int) -> None:
    views = cut_views((height, width), size)
    sides = {(view.rows.stop - view.rows.start, view.cols.stop - view.cols.start) for view in views}
    if max(height, width) <= size + size // 8:
        assert views == []
        return
    ((rows, cols),) = sides
    assert max(rows, cols) <= size + size // 8
    assert len({(view.rows.start, view.cols.start) for view in views}) == len(views)
    for axis, length in (("rows", height), ("cols", width)):
        spans = sorted({(getattr(view, axis).start, getattr(view, axis).stop) for view in views})
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        shared = [before[1] - after[0] for before, after in pairwise(spans)]
        assert all(pixels >= size // 8 for pixels in shared)
        # With one view fewer they would have to be larger.
        assert len(spans) == 1 or (len(spans) - 1) * size < length - size // 8
    for view in views:
        assert view.inner_rows == (view.rows.start > 0, view.rows.stop < height)
        assert view.inner_cols == (view.cols.start > 0, view.cols.stop < width)


@dataclass(frozen=True)
class BrightObjects:
    """Bright objects as masks, unless they are small in the image; brightness as embedding."""

    shift: float = 0.0
    """Times the first column of the image: a part of the embedding that differs between views."""

    name = "bright"
    channels = 2
    images_at_once = 2

    def cell_size(self, shape: tuple[int, int]) -> tuple[float, float]:
        return shape[0] / CELLS, shape[1] / CELLS

    def sha256(self) -> str:
        return "bright"

    def load(self) -> BrightObjects:
        return self

    def encode(self, images: Sequence[TileImage]) -> list[int]:
        return [0 for _ in images]

    def masks(self, image: TileImage, encoded: int, points: Any = None) -> TileMasks:
        bright, count = label(image.pixels[..., 0] > 200)
        least = max(image.valid.shape) * SMALL / SIDE
        boxes, bits = [], []
        for number, (rows, cols) in enumerate(find_objects(bright, count), start=1):
            if rows.stop - rows.start >= least:
                boxes.append((rows.start, cols.start, rows.stop, cols.stop))
                bits.append(np.packbits(bright[rows, cols] == number))
        scores = [0.9] * len(boxes)
        return TileMasks.of(image.pixels.shape[:2], boxes, bits, scores, scores)

    def embedding(self, image: TileImage, encoded: int) -> NDArray[np.float32]:
        height = image.valid.shape[0]
        rows = (np.arange(CELLS) + 0.5) * height / CELLS + image.window.row_off
        first = np.full((CELLS, CELLS), self.shift * image.window.col_off)
        return np.stack([np.repeat(rows[:, None], CELLS, 1), first]).astype(np.float32)


def tile(pixels: NDArray[np.uint8], window: Window | None = None) -> TileImage:
    """A tile of one brightness at each pixel."""
    height, width = pixels.shape
    return TileImage(
        np.repeat(pixels[..., None], 3, axis=2),
        np.ones(pixels.shape, np.bool_),
        window or Window(30, 50, width, height),
        "scene.tif",
        Affine.identity(),
        None,
    )


def grid(_rows: slice, _cols: slice) -> None:
    """Leave the prompts of a view to the generator."""


def looked_at(
    image: TileImage, sizes: tuple[int, ...] = (SIZE,), shift: float = 0.0
) -> tuple[TileMasks, NDArray[np.float32]]:
    generator = BrightObjects(shift)
    masks, embedding = generator.masks(image, 0), generator.embedding(image, 0)
    return Looker(generator, generator, sizes).add_views(image, masks, embedding, grid)


@given(st.integers(0, SIDE - 12), st.integers(0, SIDE - 12), st.integers(9, 12), st.integers(9, 12))
def test_a_small_object_is_found_once_and_at_its_place(
    top: int, left: int, height: int, width: int
) -> None:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[top : top + height, left : left + width] = 255
    image = tile(pixels)
    assert len(BrightObjects().masks(image, 0)) == 0
    masks, _ = looked_at(image)
    assert masks.bbox.tolist() == [[top, left, top + height, left + width]]
    assert masks.mask(0).all()


def test_an_object_that_a_view_cuts_is_taken_from_the_whole_tile() -> None:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[20:60, 10:250] = 255
    masks, _ = looked_at(tile(pixels), (SIZE, 64))
    assert masks.bbox.tolist() == [[20, 10, 60, 250]]


def test_objects_at_the_edge_of_the_tile_are_found_by_views() -> None:
    """The tile next to it goes on with them, as with all masks of a tile."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[:10, :10] = pixels[-10:, 100:110] = 255
    masks, _ = looked_at(tile(pixels))
    assert sorted(masks.bbox.tolist()) == [[0, 0, 10, 10], [246, 100, 256, 110]]


def test_an_embedding_of_the_place_is_the_same_from_parts_as_from_the_whole() -> None:
    """The rows of a tile are linear, so interpolation and means keep them."""
    image = tile(np.zeros((SIDE, SIDE), np.uint8))
    _, blended = looked_at(image, (SIZE, 64))
    # Beyond the centres of the outermost cells of a part nothing is known.
    np.testing.assert_allclose(
        blended[0, 1:-1], BrightObjects().embedding(image, 0)[0, 1:-1], atol=0.5
    )


def test_parts_of_other_embeddings_blend_without_a_seam() -> None:
    """Each view is of another level; a step between cells is no larger than the ramp has it."""
    flat = tile(np.zeros((SIDE, SIDE), np.uint8), Window(0, 0, SIDE, SIDE))
    _, blended = looked_at(flat, shift=1.0)
    steps = np.diff(blended[1], axis=1)
    views = cut_views((SIDE, SIDE), SIZE)
    levels = sorted({view.cols.start for view in views})
    assert blended[1].min() == pytest.approx(levels[0] / 2)
    assert blended[1].max() == pytest.approx(levels[-1] / 2)
    assert steps.min() >= -1e-5
    # Cells are a quarter of the overlap. Without the ramp a step would be of all of the distance.
    assert steps.max() <= 0.3 * (levels[-1] - levels[0]) / 2


def test_views_without_data_are_not_shown_to_the_generator() -> None:
    asked: list[tuple[int, int]] = []

    class Watched(BrightObjects):
        def encode(self, images: Sequence[TileImage]) -> list[int]:
            asked.extend((image.window.row_off, image.window.col_off) for image in images)
            return super().encode(images)

    image = tile(np.zeros((SIDE, SIDE), np.uint8))
    image.valid[:, : SIDE // 2 + 20] = False
    generator = Watched()
    before = generator.embedding(image, 0)
    _, after = Looker(generator, generator, (SIZE,)).add_views(
        image, generator.masks(image, 0), before, grid
    )
    views = cut_views((SIDE, SIDE), SIZE)
    assert asked == [(50 + v.rows.start, 30 + v.cols.start) for v in views if v.cols.start > 0]
    np.testing.assert_array_equal(after[:, :, 0], before[:, :, 0])


def test_a_view_that_breaks_the_contract_is_named() -> None:
    class Wrong(BrightObjects):
        def embedding(self, image: TileImage, encoded: int) -> NDArray[np.float32]:
            found = super().embedding(image, encoded)
            return found if max(image.valid.shape) == SIDE else found[:1]

    generator = Wrong()
    image = tile(np.zeros((SIDE, SIDE), np.uint8))
    masks, embedding = generator.masks(image, 0), generator.embedding(image, 0)
    with pytest.raises(ModelError, match=r"bright: the embedding is of shape \(1, 64, 64\)"):
        Looker(generator, generator, (SIZE,)).add_views(image, masks, embedding, grid)


@cache
def sam() -> tuple[MaskGenerator, MaskModel]:
    options = GeneratorOptions(
        device="cpu", masks=MaskSettings(3, pred_iou_thresh=0.7, stability_score_thresh=0.8)
    )
    generator = make_generator(options)
    return generator, generator.load()


def test_sam_finds_more_and_smaller_objects_in_views() -> None:
    scene = open_scene(str(DATA / "naip_md_1m.tif"))
    window = Window(100, 100, SIDE, SIDE)
    pixels = read_tile(scene, window)
    image = TileImage(
        fill_invalid(pixels.image, pixels.valid),
        pixels.valid,
        window,
        scene.path,
        scene.transform,
        scene.crs,
    )
    generator, model = sam()
    (encoded,) = model.encode([image])
    masks, embedding = model.masks(image, encoded, None), model.embedding(image, encoded)
    more, blended = Looker(generator, model, (SIZE,)).add_views(image, masks, embedding, grid)
    assert len(more) > len(masks)
    assert np.median(more.area) < np.median(masks.area)
    assert blended.shape == embedding.shape
    # The masks of a view are those of SAM on the view alone, pixel by pixel.
    view = cut_views((SIDE, SIDE), SIZE)[0]
    alone = view.image(image)
    (encoded,) = model.encode([alone])
    found = model.masks(alone, encoded, None)
    mine = {(box.tobytes(), more.mask(index).tobytes()) for index, box in enumerate(more.bbox)}
    kept = [(b.tobytes(), found.mask(i).tobytes()) in mine for i, b in enumerate(found.bbox)]
    assert any(kept)
