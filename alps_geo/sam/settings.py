"""Settings of SAM: devices, precisions, points and thresholds; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.errors import SettingsError

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Devices that a model can be asked to run on; auto is the best that there is."""

PRECISIONS = ("float32", "bf16", "fp16")
"""Precisions that a model can compute in; `alps_geo.sam.model.load_model` explains each."""


@dataclass(frozen=True)
class MaskSettings:
    """Parameters of mask generation: names, meanings and defaults are segment_anything's.

    Parameters
    ----------
    points_per_side : int
        Prompt points along each side of the image.
    points_per_batch : int or None
        Points decoded at once; None chooses what is fastest on the device. It changes no mask.
    pred_iou_thresh : float
        Masks are kept if the model's own prediction of their IoU is above this.
    stability_score_thresh : float
        Masks are kept if their IoU under a shifted logit threshold is at least this.
    stability_score_offset : float
        The shift, in logits.
    box_nms_thresh : float
        Of two masks whose boxes have a larger IoU than this, the better is kept.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    points_per_side: int = 32
    points_per_batch: int | None = None
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7

    def __post_init__(self) -> None:
        _require_at_least(1, points_per_side=self.points_per_side)
        if self.points_per_batch is not None:
            _require_at_least(1, points_per_batch=self.points_per_batch)
        _require_at_least(0, stability_score_offset=self.stability_score_offset)
        _require_share(
            pred_iou_thresh=self.pred_iou_thresh,
            stability_score_thresh=self.stability_score_thresh,
            box_nms_thresh=self.box_nms_thresh,
        )


def _require_at_least(least: int, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise SettingsError(f"{name} is {value}, expected {least} or more")


def _require_share(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise SettingsError(f"{name} is {value}, expected a number from 0 to 1")
