"""Masks are stored without loss, and a frame says where their pixels lie in the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from dense_masks import packed, unpacked
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional as F

from alps_geo.errors import SettingsError
from alps_geo.sam import device_pixels
from alps_geo.sam.frame import Frame
from alps_geo.sam.pixels import Enlarger, boxes
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from alps_geo.masks.tile_masks import TileMasks

SIZES = st.integers(1, 3000)


def dense_masks() -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(0, 4), st.integers(1, 20), st.integers(1, 20))
    return shapes.flatmap(lambda shape: arrays(np.bool_, shape))


def scored(masks: np.ndarray) -> TileMasks:
    scores = np.linspace(0, 1, len(masks), dtype=np.float32)
    return packed(masks, scores, scores)


@given(dense_masks())
def test_packing_loses_no_pixel(masks: np.ndarray) -> None:
    tile = scored(masks)
    assert len(tile) == len(masks)
    np.testing.assert_array_equal(unpacked(tile), masks)
    np.testing.assert_array_equal(tile.area, masks.sum(axis=(1, 2)))


@given(dense_masks())
def test_a_mask_is_cropped_to_its_bbox(masks: np.ndarray) -> None:
    tile = scored(masks)
    for index, mask in enumerate(masks):
        crop = tile.mask(index)
        np.testing.assert_array_equal(crop, mask[tile.slices(index)])
        if mask.any():
            assert crop[0].any()
            assert crop[-1].any()
            assert crop[:, 0].any()
            assert crop[:, -1].any()


@given(st.data(), dense_masks())
def test_clipped_masks_lie_inside_the_region(data: st.DataObject, masks: np.ndarray) -> None:
    region = data.draw(arrays(np.bool_, masks.shape[1:]))
    clipped = scored(masks).clipped(region)
    np.testing.assert_array_equal(unpacked(clipped), masks & region)
    np.testing.assert_array_equal(clipped.area, (masks & region).sum(axis=(1, 2)))


@given(dense_masks().filter(len))
def test_boxes_of_packed_rows_are_those_of_the_masks(masks: np.ndarray) -> None:
    found = boxes(np.packbits(masks, axis=-1), masks.shape[2])
    np.testing.assert_array_equal(found, scored(masks).bbox)


@given(SIZES, SIZES)
def test_the_embedding_grid_just_covers_the_image(height: int, width: int) -> None:
    frame = Frame(height, width)
    assert max(frame.input_shape) == 1024
    for cells, size, length in zip(frame.grid_shape, frame.cell_size, frame.shape, strict=True):
        assert cells * size >= length * (1 - 1e-9)
        assert (cells - 1) * size < length


def logits_and_pixels(shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Make logits of large and small masks and of none; enlarge them as segment_anything does."""
    noise = torch.randn(4, 1, 20, 20, generator=torch.Generator().manual_seed(0)) * 4 - 2
    noise[1:] = -9
    noise[1, 0, 3:5, 3:5] = 9
    noise[2, 0, :, 7] = 9
    logits = F.interpolate(noise, (256, 256), mode="bicubic")[:, 0]
    rows, cols = Frame(*shape).input_shape
    square = F.interpolate(logits[:, None], (1024, 1024), mode="bilinear")
    return logits, F.interpolate(square[:, :, :rows, :cols], shape, mode="bilinear")[:, 0]


SHAPES = [(1024, 1024), (1024, 600), (400, 400), (97, 1300), (1, 50)]


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_are_those_of_interpolating_everything(shape: tuple[int, int]) -> None:
    logits, full = logits_and_pixels(shape)
    inner, outer = ((full > level).sum((1, 2)) for level in (1, -1))
    enlarger = Enlarger(Frame(*shape))
    stability = enlarger.stability(logits, 1.0)
    torch.testing.assert_close(
        stability, inner / outer.clamp(min=1), rtol=0, atol=2 / full[0].numel()
    )
    pixels = np.unpackbits(enlarger.packed(logits), axis=-1, count=shape[1]).astype(bool)
    assert (pixels != (full > 0).numpy()).mean() < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pixels_at_once", [2**21, 2**25])
def test_pixels_on_a_gpu_are_those_of_interpolating_everything(
    shape: tuple[int, int], pixels_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_pixels, "_PIXELS", pixels_at_once)
    logits, full = logits_and_pixels(shape)
    inner, outer = ((full > level).sum((1, 2)) for level in (1, -1))
    expected = scored((full > 0).numpy())
    stability, bbox = device_pixels.measured(logits, Frame(*shape), 1.0)
    torch.testing.assert_close(stability, inner / outer.clamp(min=1))
    np.testing.assert_array_equal(bbox, expected.bbox)
    sizes = device_pixels.packed_sizes(bbox.numpy())
    np.testing.assert_array_equal(sizes, np.diff(expected.offsets))
    bits = device_pixels.packed(logits, bbox, sizes, Frame(*shape))
    np.testing.assert_array_equal(bits, expected.bits)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("points_per_side", 0, "1 or more"),
        ("points_per_batch", 0, "1 or more"),
        ("pred_iou_thresh", 1.5, "0 to 1"),
        ("stability_score_offset", -1, "0 or more"),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float, expected: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is {value}, expected {expected}"):
        MaskSettings(**{name: value})  # type: ignore[arg-type]
