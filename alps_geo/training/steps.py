"""Steps of a training: a batch goes through the network, and its weights follow the gradient."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from alps_geo.errors import ModelError, ModelMemoryError, SettingsError
from alps_geo.training.batches import seed_of
from alps_geo.training.model import IGNORED
from alps_geo.training.optimisation import rate_at, set_rate, shorten_gradients

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.optim import AdamW

    from alps_geo.training.losses import PixelLoss
    from alps_geo.training.processes import Processes
    from alps_geo.training.settings import TrainingSettings


class DivergedError(ModelError):
    """A loss or a gradient that is no number any more."""


def autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """Return the context in which a network computes in the precision of the settings.

    Raises
    ------
    SettingsError
        If the device has no such precision.
    """
    on_gpu = device.type == "cuda"
    has_bf16 = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if settings.precision == "bf16" and on_gpu and not has_bf16:
        raise SettingsError("precision is bf16, which this GPU has not; give --precision float32")
    enabled = settings.precision == "bf16" or (settings.precision == "auto" and has_bf16)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def check_batch(network: nn.Module, chips: int) -> None:
    """Check that a network can be trained on so many chips at once.

    Raises
    ------
    SettingsError
        If it is one, and the network normalises over batches.
    """
    if chips < least_part(network):
        raise SettingsError(
            f"batch_size leaves {chips} chip for each process, but the network normalises over the "
            "chips of a batch: give a --batch-size of 2 or more for each"
        )


def least_part(network: nn.Module) -> int:
    """Return the fewest chips that a network can be trained on at once."""
    normalises = any(isinstance(each, _BatchNorm) for each in network.modules())
    return 2 if normalises else 1


class Steps:
    """Takes the steps of a training.

    Parameters
    ----------
    network : torch.nn.Module
        The network, on the device.
    loss : PixelLoss
        The loss.
    optimiser : torch.optim.AdamW
        The optimiser of its weights.
    settings : TrainingSettings
        Rates, clipping, precision and seed.
    processes : Processes
        Processes that train together.
    part : int
        Chips to take at once; fewer as soon as memory does not suffice.
    note : callable
        Given a sentence when chips are taken in smaller parts.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PixelLoss,
        optimiser: AdamW,
        settings: TrainingSettings,
        processes: Processes,
        part: int,
        note: Callable[[str], None],
    ) -> None:
        self._network, self._loss, self._optimiser = network, loss, optimiser
        self._settings, self._processes = settings, processes
        self._forward: nn.Module = network
        if processes.count > 1:
            self._forward = DistributedDataParallel(network, find_unused_parameters=True)
        self._precision = autocast(settings, processes.device)
        self._least, self._note = least_part(network), note
        self.part = part

    def take(self, images: Tensor, labels: Tensor, number: int, steps: int) -> float:
        """Take a step, and return the loss of its batch.

        Parameters
        ----------
        images : Tensor of float32, shape (N, B, H, W)
            Chips of this process.
        labels : Tensor of int64, shape (N, H, W)
            Their labels.
        number, steps : int
            Number of the step from 0, and steps of all epochs.

        Raises
        ------
        DivergedError
            If the loss or the gradient is no number; weights are as before.
        ModelMemoryError
            If memory does not suffice for the smallest part of a batch.
        """
        set_rate(self._optimiser, rate_at(number, steps, self._settings))
        device = self._processes.device
        images, labels = images.to(device), labels.to(device)
        loss = self._gradient(images, labels, number)
        mean = float(self._processes.total(torch.tensor(loss, device=device)))
        mean /= self._processes.count
        length = shorten_gradients(self._network, self._settings.clip)
        if not math.isfinite(mean) or not math.isfinite(length):
            what = f"loss is {mean}" if not math.isfinite(mean) else f"gradient has length {length}"
            raise DivergedError(f"the {what}")
        self._optimiser.step()
        return mean

    def _gradient(self, images: Tensor, labels: Tensor, number: int) -> float:
        """Compute the gradient of a batch, in parts that memory holds; return the mean loss."""
        while True:
            # Layers that drop values do so by the seed, the step and the process.
            torch.manual_seed(seed_of(self._settings.seed, number, self._processes.number))
            self._optimiser.zero_grad(set_to_none=True)
            try:
                return self._in_parts(images, labels)
            except torch.OutOfMemoryError as error:
                self._halve(len(images), error)
            torch.cuda.empty_cache()

    def _in_parts(self, images: Tensor, labels: Tensor) -> float:
        whole = max(1, int((labels != IGNORED).sum()))
        total = 0.0
        for part in _parts(len(images), self.part):
            with self._precision:
                logits = self._forward(images[part])
            share = int((labels[part] != IGNORED).sum()) / whole
            loss = self._loss(logits, labels[part]) * share
            loss.backward()
            total += float(loss.detach())
        return total

    def _halve(self, chips: int, error: Exception) -> None:
        before = min(self.part, chips)
        self.part = -(-before // 2)
        smallest = min(part.stop - part.start for part in _parts(chips, self.part))
        # Processes wait for each other's gradients, so one of them cannot take parts alone.
        if self._processes.count > 1 or before == 1 or smallest < self._least:
            raise ModelMemoryError(
                f"memory of the GPU does not suffice for {before} chips at once; give a smaller "
                "--batch-size, --crop or --encoder"
            ) from error
        self._note(
            f"memory of the GPU does not suffice for {before} chips at once: batches are taken "
            f"in parts of {self.part}, whose gradients are added"
        )


def _parts(count: int, size: int) -> list[slice]:
    """Cut so many chips into parts of about the same size, `size` at most."""
    number = max(1, -(-count // size))
    edges = [round(index * count / number) for index in range(number + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]
