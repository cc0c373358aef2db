"""Optimiser and learning rates of a training, and the optimiser's state as plain tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.optim import AdamW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from alps_geo.training.settings import TrainingSettings

_LAST_RATE = 0.01
"""Learning rate at the end, as a share of the highest."""

_STATE = ("step", "exp_avg", "exp_avg_sq")


def make_optimiser(network: nn.Module, settings: TrainingSettings) -> AdamW:
    """Make AdamW over the weights that are trained, the encoder's with a rate of their own.

    Weights without a matrix, such as those of normalisation, do not decay.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            key = name.startswith("encoder."), weight.ndim > 1
            groups.setdefault(key, []).append(weight)
    return AdamW(
        [
            {
                "params": weights,
                "weight_decay": settings.weight_decay if decays else 0.0,
                "share": settings.encoder_rate if of_encoder else 1.0,
            }
            for (of_encoder, decays), weights in groups.items()
        ],
        lr=settings.learning_rate,
    )


def rate_at(step: int, steps: int, settings: TrainingSettings) -> float:
    """Return the learning rate of a step: it rises in a line, and falls by a cosine.

    Parameters
    ----------
    step : int
        Number of the step, from 0.
    steps : int
        Steps of all epochs.
    settings : TrainingSettings
        Highest rate, and share of the steps in which it rises.
    """
    rising = round(settings.warmup * steps)
    if step < rising:
        return settings.learning_rate * (step + 1) / rising
    passed = (step - rising) / max(1, steps - rising)
    cosine = (1 + math.cos(math.pi * min(1.0, passed))) / 2
    return settings.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


def set_rate(optimiser: AdamW, rate: float) -> None:
    """Set the learning rate of the decoder, and that of the encoder to its share of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def optimiser_tensors(optimiser: AdamW, network: nn.Module) -> dict[str, Tensor]:
    """Return the state of an optimiser as tensors, by names of weights."""
    return {
        f"{part}.{name}": optimiser.state[weight][part]
        for name, weight in network.named_parameters()
        for part in _STATE
        if part in optimiser.state.get(weight, {})
    }


def fill_optimiser(optimiser: AdamW, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that `optimiser_tensors` returned."""
    for name, weight in network.named_parameters():
        found = {part: tensors[f"{part}.{name}"] for part in _STATE if f"{part}.{name}" in tensors}
        if found:
            # The count of steps stays on the CPU, as AdamW has it.
            optimiser.state[weight] = {
                part: value.clone() if part == "step" else value.to(weight.device)
                for part, value in found.items()
            }


def shorten_gradients(network: nn.Module, longest: float) -> float:
    """Shorten the gradient to a length, 0 for any; return the length that it had."""
    weights = [each for each in network.parameters() if each.grad is not None]
    limit = longest or math.inf
    return float(torch.nn.utils.clip_grad_norm_(weights, limit))
