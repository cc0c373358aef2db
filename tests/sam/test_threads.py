"""The number of threads decides no bit of an embedding or a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sam_scenes import masks_of, rgb
from torch.nn import functional as F

from alps_geo.sam.encoder import vit_encoder
from alps_geo.sam.pointwise import PointwiseConvolution
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.sam.model import SamModel


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_embeddings_and_masks_are_the_same_on_any_number_of_threads(mobile_sam: SamModel) -> None:
    image = rgb("neon_osbs_10cm.tif", 300, 200)
    settings = MaskSettings(points_per_side=6, pred_iou_thresh=0.7, stability_score_thresh=0.8)
    embeddings, masks = [], []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        embeddings.append(mobile_sam.encode(image))
        masks.append(masks_of(mobile_sam, image, settings))
    assert len(masks[0].area) > 1
    for embedding, found in zip(embeddings[1:], masks[1:], strict=True):
        assert torch.equal(embedding, embeddings[0])
        np.testing.assert_array_equal(found.bits, masks[0].bits)
        np.testing.assert_array_equal(found.predicted_iou, masks[0].predicted_iou)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_pointwise_convolution_is_one_on_any_number_of_threads(channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    grid = torch.randn(1, 768, 64, 64, generator=generator)
    if channels_last:
        grid = grid.contiguous(memory_format=torch.channels_last)
    convolution = PointwiseConvolution(768, 256).requires_grad_(False)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(convolution(grid))
    torch.testing.assert_close(results[0], F.conv2d(grid, convolution.weight))
    assert all(torch.equal(result, results[0]) for result in results)


def test_the_large_encoders_have_it_too() -> None:
    neck = vit_encoder("vit_b").get_submodule("neck")
    assert isinstance(neck.get_submodule("0"), PointwiseConvolution)
    assert "0.weight" in dict(neck.named_parameters())
