"""From points to masks on a GPU, which never waits for the host.

As long as the host asks for no result it runs ahead of the GPU, which then always has work. So
points go in rounds of as many as memory can keep, mostly all of a crop, and no loop over batches
asks for anything. The first loop leaves tokens and predicted IoU on the GPU. Then the host learns
which masks are wanted, so that all sizes are known; the second loop leaves logits, stability and
boxes. Then it learns which masks are stable, and the third loop packs these. Three times in a
round the host waits, however many batches there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from alps_geo.sam import device_pixels
from alps_geo.sam.memory import AtOnce, in_halves
from alps_geo.sam.packed import PackedMasks, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.sam.decoder import ImageKeys, Prompts
    from alps_geo.sam.frame import Frame
    from alps_geo.sam.model import SamModel
    from alps_geo.sam.settings import MaskSettings

_EACH = 3
"""Masks of a prompt."""


@dataclass(frozen=True)
class _Measured:
    """Masks of a batch: their logits, stability and boxes, all on the GPU."""

    logits: Tensor
    stability: Tensor
    bbox: Tensor


def decoded_masks(
    model: SamModel,
    keys: ImageKeys,
    frame: Frame,
    points: NDArray[np.float32],
    settings: MaskSettings,
) -> PackedMasks:
    """Decode points, and keep the masks above both thresholds that have a pixel.

    Parameters and errors are those of `alps_geo.sam.batches.decoded_masks`.
    """
    if not len(points):
        return join([])
    at_once = AtOnce.on(model.device, model.torch_dtype.itemsize, settings.points_per_batch)
    work = partial(_round, model, keys, frame, settings=settings, at_once=at_once)
    rounds = torch.split(torch.from_numpy(points).to(model.device), at_once.kept)
    halves = (in_halves(work, some, model=str(model), kind="point") for some in rounds)
    return join([part for parts in halves for part in parts])


@torch.inference_mode()
def _round(
    model: SamModel,
    keys: ImageKeys,
    frame: Frame,
    points: Tensor,
    settings: MaskSettings,
    at_once: AtOnce,
) -> PackedMasks:
    looks = _look(model, keys, points, at_once.tokens)
    predicted_iou = _to_host([predicted for _, predicted in looks])
    wanted = np.ones_like(predicted_iou, dtype=np.bool_)
    if settings.pred_iou_thresh > 0:
        wanted = predicted_iou > settings.pred_iou_thresh
    if not wanted.any():
        return join([])
    offset = settings.stability_score_offset
    measured = _measure(model, keys, frame, looks, wanted, offset, at_once.pixels)
    stability = _to_host([part.stability for part in measured])
    bbox = _to_host([part.bbox for part in measured]).astype(np.int64)
    good = np.flatnonzero((stability >= settings.stability_score_thresh) & bbox.any(axis=1))
    return PackedMasks(
        bbox[good],
        predicted_iou[wanted][good],
        stability[good],
        _pack(frame, measured, good, bbox),
    )


def _look(
    model: SamModel, keys: ImageKeys, points: Tensor, count: int
) -> list[tuple[Prompts, Tensor]]:
    """Take points through the transformer, and predict the IoU of their masks."""

    def look(some: Tensor) -> tuple[Prompts, Tensor]:
        prompts = model.decoder.prompt(keys, some)
        return prompts, model.decoder.predicted_iou(keys, prompts)

    batches = torch.split(points, count)
    return [
        part for some in batches for part in in_halves(look, some, model=str(model), kind="point")
    ]


def _measure(
    model: SamModel,
    keys: ImageKeys,
    frame: Frame,
    looks: list[tuple[Prompts, Tensor]],
    wanted: NDArray[np.bool_],
    offset: float,
    count: int,
) -> list[_Measured]:
    """Compute wanted masks, (P, 3) bool, in their order; consumes `looks` to free GPU memory."""
    chosen = np.flatnonzero(wanted.any(axis=1))
    # All indices go to the GPU at once; loops take slices, whose lengths the host knows.
    device = looks[0][1].device
    chosen_there = torch.from_numpy(chosen).to(device)
    which_there = torch.from_numpy(np.flatnonzero(wanted[chosen])).to(device)
    masks_before = np.concatenate([[0], wanted[chosen].sum(axis=1).cumsum()]).tolist()

    def measure(prompts: Prompts, start: int, span: range) -> _Measured:
        first, last = start + span.start, start + span.stop
        which = which_there[masks_before[first] : masks_before[last]] - _EACH * first
        logits = model.decoder.logits(keys, prompts[span.start : span.stop], which)
        return _Measured(logits, *device_pixels.measured(logits, frame, offset))

    results: list[_Measured] = []
    counts = [len(predicted) for _, predicted in looks]
    for begin, first, last in _slices(chosen, counts):
        # Of prompts that have no mask to compute nothing is kept.
        prompts = looks.pop(0)[0][chosen_there[first:last] - begin]
        for start in range(0, last - first, count):
            span = range(start, min(start + count, last - first))
            work = partial(measure, prompts, first)
            results += in_halves(work, span, model=str(model), kind="point")
    return results


def _pack(
    frame: Frame, measured: Sequence[_Measured], good: NDArray[np.int64], bbox: NDArray[np.int64]
) -> list[NDArray[np.uint8]]:
    """Pack good masks, given by their numbers, inside their boxes."""
    if not len(good):
        return []
    good_there = torch.from_numpy(good).to(measured[0].logits.device)
    sizes = device_pixels.packed_sizes(bbox[good])
    packed = []
    counts = [len(part.logits) for part in measured]
    for part, (begin, first, last) in zip(measured, _slices(good, counts), strict=True):
        some = good_there[first:last] - begin
        packed.append(
            device_pixels.packed(part.logits[some], part.bbox[some], sizes[first:last], frame)
        )
    return np.split(_to_host(packed), sizes.cumsum()[:-1])


def _slices(numbers: NDArray[np.int64], counts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Divide sorted numbers among parts that hold so many each.

    Yields for each part the number that it begins with, and the slice [first, last) of its numbers.
    """
    begin = 0
    for count in counts:
        first, last = np.searchsorted(numbers, [begin, begin + count]).tolist()
        yield begin, first, last
        begin += count


def _to_host(parts: Sequence[Tensor]) -> NDArray[Any]:
    """Wait for parts, which become one array."""
    whole: NDArray[Any] = torch.cat(list(parts)).cpu().numpy()
    return whole
