"""Name of the device and torch that models run on: tiles of another may differ in some pixels."""

from __future__ import annotations

import platform
import sys


def machine_of(device: str) -> str:
    """Name a device and torch, such as ``cuda (NVIDIA H100), torch 2.9.1``.

    Parameters
    ----------
    device : str
        One of `alps_geo.sam.settings.DEVICES`.

    Returns
    -------
    str
        Of a processor with its kind of instructions, by which torch chooses how to compute.
        Without torch, which not every mask generator needs, the kind of processor.
    """
    if "torch" not in sys.modules:
        return f"cpu ({platform.machine()})"
    import torch

    from alps_geo.sam.model import describe_device

    named = describe_device(device)
    if named == "cpu":
        named = f"cpu ({torch.backends.cpu.get_cpu_capability()})"
    return f"{named}, torch {torch.__version__}"
