"""Settings of SAM: devices, precisions, points and thresholds; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.fields import AtLeast, Between, check_fields, setting

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Devices that a model can be asked to run on; auto is the best that there is."""

PRECISIONS = ("float32", "bf16", "fp16")
"""Precisions that a model can compute in; `alps_geo.sam.model.load_model` explains each."""


@dataclass(frozen=True)
class MaskSettings:
    """Parameters of mask generation: names, meanings and defaults are segment_anything's.

    Parameters
    ----------
    points_per_side : int or None
        Prompt points along each side of the image; None if points are given with each image.
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

    points_per_side: int | None = setting(32, AtLeast(1))
    points_per_batch: int | None = setting(None, AtLeast(1))
    pred_iou_thresh: float = setting(0.88, Between(0, 1))
    stability_score_thresh: float = setting(0.95, Between(0, 1))
    stability_score_offset: float = setting(1.0, AtLeast(0))
    box_nms_thresh: float = setting(0.7, Between(0, 1))

    def __post_init__(self) -> None:
        check_fields(self)
