"""On a GPU the host waits for results three times in a round, however many batches there are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from dense_masks import unpacked
from sam_scenes import best_iou, masks_of, rgb
from torch.overrides import TorchFunctionMode

from alps_geo.errors import ModelMemoryError
from alps_geo.sam import device_pixels, memory
from alps_geo.sam.decoder import Decoder
from alps_geo.sam.frame import Frame
from alps_geo.sam.network import DecoderNetwork
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.masks.tile_masks import TileMasks
    from alps_geo.sam.model import SamModel

WAITS = {"cpu", "item", "masked_select", "nonzero", "numpy", "tolist", "unique"} | {
    f"__{kind}__" for kind in ("bool", "int", "float", "index", "contains", "array")
}
UPLOADS = {"as_tensor", "from_numpy", "tensor"}


class Waits(TorchFunctionMode):
    """Counts the calls after which a GPU's host has to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.__name__
        indices = args[1] if name in ("__getitem__", "__setitem__") else ()
        by_bool = any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for index in (indices if isinstance(indices, tuple) else (indices,))
        )
        unsized = name == "repeat_interleave" and not (kwargs or {}).get("output_size")
        moved = name == "to" and any(isinstance(arg, str | torch.device) for arg in args)
        if name in WAITS | UPLOADS or by_bool or unsized or moved:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return rgb("neon_osbs_10cm.tif", 300, 200)


@pytest.fixture(scope="module")
def embedding(mobile_sam: SamModel, image: NDArray[np.uint8]) -> torch.Tensor:
    return mobile_sam.encode(image)


def settings(points_per_batch: int | None = None) -> MaskSettings:
    return MaskSettings(
        points_per_side=3,
        points_per_batch=points_per_batch,
        pred_iou_thresh=0.7,
        stability_score_thresh=0.8,
    )


@pytest.mark.parametrize("large_batches", [True, False], ids=["GPU", "CPU"])
def test_more_batches_are_no_more_waits_on_a_gpu(
    large_batches: bool,
    mobile_sam: SamModel,
    image: NDArray[np.uint8],
    embedding: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "wants_large_batches", lambda _: large_batches)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # in this thread, where they count
    few, many = Waits(), Waits()
    for batch, waits in ((9, few), (1, many)):
        with waits:
            masks = masks_of(mobile_sam, image, settings(batch), embedding=embedding)
        assert len(masks) > 1
    assert few.counts["cpu"] + few.counts["numpy"] > 0
    # Where batches are to stay in a CPU's cache, they each say how they went.
    assert (few.counts == many.counts) is large_batches


def test_what_is_called_for_each_batch_needs_no_number_from_the_gpu() -> None:
    # A meta tensor has no numbers: whatever asks for one fails.
    device = torch.device("meta")
    with device, torch.inference_mode():
        decoder = Decoder(DecoderNetwork())
        keys = decoder.prepare(torch.empty(1, 256, 64, 64))
        prompts = decoder.prompt(keys, torch.empty(5, 2))
        some = prompts[torch.empty(4, dtype=torch.int64)][1:3]
        assert decoder.predicted_iou(keys, prompts).shape == (5, 3)
        logits = decoder.logits(keys, some, torch.empty(3, dtype=torch.int64))
        frame = Frame(300, 200)
        stability, bbox = device_pixels.measured(logits, frame, 1.0)
        sizes = np.array([5, 0, 7])
        bits = device_pixels.packed(logits, bbox, sizes, frame)
    assert (stability.shape, bits.shape) == ((3,), (12,))
    assert bits.device == device


def same(masks: TileMasks, expected: TileMasks) -> bool:
    close = best_iou(unpacked(masks), unpacked(expected)).min() > 0.99
    return len(masks) == len(expected) > 1 and bool(close)


@pytest.mark.parametrize(("kept", "points_per_batch"), [(4, 3), (1024, None)])
def test_rounds_and_batches_of_any_size_give_the_same_masks(
    kept: int,
    points_per_batch: int | None,
    mobile_sam: SamModel,
    image: NDArray[np.uint8],
    embedding: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = masks_of(mobile_sam, image, settings(), embedding=embedding)
    monkeypatch.setattr(memory, "wants_large_batches", lambda _: True)
    monkeypatch.setattr(memory, "_AT_MOST", kept)
    masks = masks_of(mobile_sam, image, settings(points_per_batch), embedding=embedding)
    assert same(masks, expected)


def test_a_round_without_a_mask_is_no_error(
    mobile_sam: SamModel,
    image: NDArray[np.uint8],
    embedding: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "wants_large_batches", lambda _: True)
    nothing = np.zeros(image.shape[:2], dtype=bool)
    strict = MaskSettings(points_per_side=2, pred_iou_thresh=0.99)
    assert len(masks_of(mobile_sam, image, strict, nothing, embedding)) == 0
    monkeypatch.setattr(Decoder, "predicted_iou", lambda self, keys, prompts: torch.zeros(4, 3))
    assert len(masks_of(mobile_sam, image, strict, embedding=embedding)) == 0
    unstable = MaskSettings(points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=1.0)
    assert len(masks_of(mobile_sam, image, unstable, embedding=embedding)) == 0


@pytest.mark.parametrize("step", ["prompt", "logits", "packed"])
def test_batches_on_a_gpu_are_halved_when_memory_runs_out(
    step: str,
    mobile_sam: SamModel,
    image: NDArray[np.uint8],
    embedding: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    four = MaskSettings(
        points_per_side=2, pred_iou_thresh=0.5, stability_score_thresh=0.5, box_nms_thresh=1.0
    )
    expected = masks_of(mobile_sam, image, four, embedding=embedding)
    monkeypatch.setattr(memory, "wants_large_batches", lambda _: True)
    owner: Any = device_pixels if step == "packed" else Decoder
    before = getattr(owner, step)
    failed: list[int] = []

    def scarce(*args: Any) -> Any:
        # prompt(decoder, keys, points), logits(decoder, keys, prompts, which), packed(logits, ...)
        count = len(args[2].tokens if step == "logits" else args[2 if step == "prompt" else 0])
        if count > (3 if step == "packed" else 1):
            failed.append(count)
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return before(*args)

    monkeypatch.setattr(owner, step, scarce)
    assert same(masks_of(mobile_sam, image, four, embedding=embedding), expected)
    assert failed

    def hopeless(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(owner, step, hopeless)
    with pytest.raises(ModelMemoryError, match="on cpu runs out of memory with a single"):
        masks_of(mobile_sam, image, four, embedding=embedding)
