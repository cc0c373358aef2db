"""Validation: figures of a network on chips that it is not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

from alps_geo.errors import ModelMemoryError
from alps_geo.training.model import IGNORED
from alps_geo.training.steps import autocast
from alps_geo.training.torchmetrics import Scores, count_pixels

if TYPE_CHECKING:
    from torch import nn

    from alps_geo.training.batches import ValidationBatches
    from alps_geo.training.losses import PixelLoss
    from alps_geo.training.processes import Processes
    from alps_geo.training.settings import TrainingSettings


@dataclass(frozen=True)
class Validation:
    """Figures of a network.

    Attributes
    ----------
    loss : float
        Mean loss of the labelled pixels.
    scores : Scores
        Figures of the predictions.
    """

    loss: float
    scores: Scores


def validate(
    network: nn.Module,
    loss: PixelLoss,
    batches: ValidationBatches,
    settings: TrainingSettings,
    processes: Processes,
) -> Validation:
    """Predict the classes of validation chips, and compare them with the labels.

    Raises
    ------
    ModelMemoryError
        If memory does not suffice.
    """
    device = processes.device
    if processes.count > 1:
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)
    network.eval()
    counts, sums = torch.zeros(1, 1, dtype=torch.int64, device=device), torch.zeros(2).double()
    try:
        with torch.inference_mode():
            for images, labels in batches:
                truth = labels.to(device)
                with autocast(settings, device):
                    logits = network(images.to(device))
                pixels = int((truth != IGNORED).sum())
                sums += torch.tensor([float(loss(logits, truth)) * pixels, pixels])
                counts = counts + count_pixels(logits, truth)
    except torch.OutOfMemoryError as error:
        raise ModelMemoryError(
            "memory of the GPU does not suffice for the validation chips; give a smaller "
            "--batch-size, or smaller chips"
        ) from error
    counts, sums = processes.total(counts), processes.total(sums.to(device))
    return Validation(float(sums[0] / sums[1].clamp(min=1)), Scores.of(counts))
