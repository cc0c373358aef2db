"""Figures of predictions, counted by torchmetrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from alps_geo.training.model import IGNORED

if TYPE_CHECKING:
    from torch import Tensor


def count_pixels(logits: Tensor, labels: Tensor) -> Tensor:
    """Count the pixels of each class and each prediction.

    Parameters
    ----------
    logits : Tensor, shape (N, k, H, W)
        Output of a network.
    labels : Tensor of int64, shape (N, H, W)
        Positions of classes, or `IGNORED`.

    Returns
    -------
    Tensor of int64, shape (k, k)
        Rows are classes, columns predictions.
    """
    count = logits.shape[1]
    if count == 1:  # torchmetrics knows two classes or more
        return (labels != IGNORED).sum().reshape(1, 1)
    found: Tensor = multiclass_confusion_matrix(
        logits.argmax(dim=1), labels, num_classes=count, ignore_index=IGNORED, validate_args=False
    )
    return found


@dataclass(frozen=True)
class Scores:
    """Figures of predictions.

    Attributes
    ----------
    mean_iou : float
        Mean intersection over union of the classes that are there or predicted; 0 without any.
    accuracy : float
        Share of the pixels with their class.
    class_iou : tuple of (float or None)
        Intersection over union of each class; None for one that is neither there nor predicted.
    """

    mean_iou: float
    accuracy: float
    class_iou: tuple[float | None, ...]

    @classmethod
    def of(cls, counts: Tensor) -> Scores:
        """Compute figures of a table of `count_pixels`."""
        table = counts.double().cpu()
        right = table.diagonal()
        union = table.sum(dim=0) + table.sum(dim=1) - right
        is_there = union > 0
        iou = torch.where(is_there, right / union.clamp(min=1), torch.zeros_like(union))
        total = float(table.sum())
        return cls(
            float(iou[is_there].mean()) if bool(is_there.any()) else 0.0,
            float(right.sum()) / total if total else 0.0,
            tuple(
                float(value) if known else None
                for value, known in zip(iou.tolist(), is_there.tolist(), strict=True)
            ),
        )
