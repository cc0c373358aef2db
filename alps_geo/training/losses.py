"""Losses of predictions, and weights of classes in them; pixels without a class do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from alps_geo.training.model import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from alps_geo.training.settings import TrainingSettings

_LARGEST_RATIO = 100.0


def class_weights(counts: NDArray[np.int64], kind: str) -> tuple[float, ...]:
    """Return weights of classes, whose mean over all labelled pixels is 1.

    Parameters
    ----------
    counts : ndarray of int64, shape (k,)
        Pixels of each class.
    kind : str
        ``none``, ``sqrt`` or ``balanced``. The largest weight is 100 times the smallest at most; a
        class without pixels gets the largest.

    Examples
    --------
    >>> class_weights(np.array([300, 100]), "balanced")
    (0.6666666666666666, 2.0)
    """
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[kind]
    shares = np.maximum(counts, 1) / max(int(counts.sum()), 1)
    weights = shares**-power
    weights = np.minimum(weights, weights.min() * _LARGEST_RATIO)
    mean = float((weights * counts).sum() / max(int(counts.sum()), 1)) or 1.0
    return tuple((weights / mean).tolist())


class PixelLoss(nn.Module):
    """Mean loss of the labelled pixels; 0 where none is labelled.

    Parameters
    ----------
    settings : TrainingSettings
        Decide the loss.
    weights : tuple of float
        Weights of classes in cross-entropy.
    """

    def __init__(self, settings: TrainingSettings, weights: tuple[float, ...]) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        if settings.loss in ("ce", "ce+dice"):
            parts.append(
                nn.CrossEntropyLoss(
                    torch.tensor(weights, dtype=torch.float32),
                    ignore_index=IGNORED,
                    label_smoothing=settings.label_smoothing,
                )
            )
        if settings.loss in ("dice", "ce+dice", "focal"):
            from alps_geo.training.segmentation_models_pytorch import make_loss

            parts.append(make_loss("focal" if settings.loss == "focal" else "dice"))
        self._parts = nn.ModuleList(parts)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits (N, k, H, W) and labels (N, H, W)."""
        logits = logits.float()
        if not bool((labels != IGNORED).any()):
            # A mean over no pixel would be nan; gradients are 0, and there for all processes.
            return logits.sum() * 0
        loss: Tensor = sum((part(logits, labels) for part in self._parts), torch.zeros(()))
        return loss
