"""From points to masks on a CPU: small batches that stay in cache, on all threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from alps_geo.sam.memory import POINTS_ON_CPU, in_halves
from alps_geo.sam.packed import PackedMasks, crop_bits, join
from alps_geo.sam.pixels import Enlarger, boxes
from alps_geo.sam.threads import side_by_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.sam.decoder import ImageKeys
    from alps_geo.sam.frame import Frame
    from alps_geo.sam.model import SamModel
    from alps_geo.sam.settings import MaskSettings


def decoded_masks(
    model: SamModel,
    keys: ImageKeys,
    frame: Frame,
    points: NDArray[np.float32],
    settings: MaskSettings,
) -> PackedMasks:
    """Decode points, and keep the masks above both thresholds that have a pixel.

    Parameters
    ----------
    model : SamModel
    keys : ImageKeys
        From the model's `Decoder.prepare`.
    frame : Frame
        Position of the image in the encoder's square.
    points : (P, 2) float32
        (x, y) in input pixels.
    settings : MaskSettings

    Raises
    ------
    ModelMemoryError
        If memory doesn't suffice for a single point.
    """
    decode = partial(_decode, model, keys, Enlarger(frame), settings=settings)
    decode_any = partial(in_halves, decode, model=str(model), kind="point")
    count = settings.points_per_batch or POINTS_ON_CPU
    batches = [points[i : i + count] for i in range(0, len(points), count)]
    return join([part for halves in side_by_side(decode_any, batches) for part in halves])


def _decode(
    model: SamModel,
    keys: ImageKeys,
    enlarger: Enlarger,
    points: NDArray[np.float32],
    settings: MaskSettings,
) -> PackedMasks:
    """Decode a batch: predicted IoU decides before there are pixels, stability before masks."""
    decoder = model.decoder
    prompts = decoder.prompt(keys, torch.from_numpy(points))
    predicted_iou = decoder.predicted_iou(keys, prompts)
    wanted = torch.ones_like(predicted_iou, dtype=torch.bool)
    if settings.pred_iou_thresh > 0:
        wanted = predicted_iou > settings.pred_iou_thresh
    some = wanted.any(1).nonzero()[:, 0]
    if not len(some):
        return join([])
    logits = decoder.logits(keys, prompts[some], wanted[some].flatten().nonzero()[:, 0])
    stability = enlarger.stability(logits, settings.stability_score_offset)
    stable = stability >= settings.stability_score_thresh
    packed = enlarger.packed(logits[stable])
    bbox = boxes(packed, enlarger.frame.width)
    masks = PackedMasks(
        bbox,
        predicted_iou[wanted][stable].numpy(),
        stability[stable].numpy(),
        [crop_bits(mask, box) for mask, box in zip(packed, bbox, strict=True)],
    )
    return masks[np.flatnonzero(bbox.any(axis=1))]
