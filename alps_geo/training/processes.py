"""Processes that train one network together, as torchrun starts them, and their devices."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

from alps_geo.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """The processes of a training, seen from one of them.

    Attributes
    ----------
    number, count : int
        Number of this process, and number of processes.
    device : torch.device
        Device that it trains on.
    """

    number: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """True for the process that writes files and tells what is being done."""
        return self.number == 0

    @property
    def device_name(self) -> str:
        """Name of the device for people."""
        name = "cpu"
        if self.device.type == "cuda":
            name = torch.cuda.get_device_name(self.device)
        return f"{self.count} x {name}" if self.count > 1 else name

    def share(self, batch_size: int) -> int:
        """Return the chips of a batch that are of one process.

        Raises
        ------
        SettingsError
            If the processes cannot share a batch evenly.
        """
        if batch_size % self.count:
            raise SettingsError(
                f"batch_size is {batch_size}, expected a multiple of the {self.count} processes "
                "that torchrun started"
            )
        return batch_size // self.count

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of the tensors of all processes."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started; alone if it started none.

    Raises
    ------
    ModelError
        If there is no GPU though one is asked for.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    number, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ModelError("device is cuda, but torch finds no GPU; give --device cpu")
    on_gpu = has_gpu and device != "cpu"
    if count > 1 and on_gpu and local >= torch.cuda.device_count():
        raise ModelError(
            f"torchrun started process {local + 1} here, but there are "
            f"{torch.cuda.device_count()} GPUs; give it as many processes as GPUs"
        )
    place = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if count == 1:
        yield Processes(0, 1, place)
        return
    if on_gpu:
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Processes(number, count, place)
    finally:
        distributed.destroy_process_group()
