"""Segment Anything for tiles: weights, encoders, decoder, and masks from a grid of points.

Two calls do the work: `load_model`, then `generate_masks` for each tile. They, and nothing outside
of here, import torch, and only when they are first used: `alps-geo --help` waits for neither
torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from alps_geo.sam.frame import Frame
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from alps_geo.sam.dense import DenseModel, dense_sha256, load_dense
    from alps_geo.sam.generate import generate_masks
    from alps_geo.sam.masks import TileMasks
    from alps_geo.sam.model import SamModel, load_model
    from alps_geo.sam.place import place_directions, without_place
    from alps_geo.sam.resources import memory_errors

__all__ = [
    "DenseModel",
    "Frame",
    "MaskSettings",
    "SamModel",
    "TileMasks",
    "dense_sha256",
    "generate_masks",
    "load_dense",
    "load_model",
    "memory_errors",
    "place_directions",
    "without_place",
]

_LAZY = {
    "DenseModel": "alps_geo.sam.dense",
    "dense_sha256": "alps_geo.sam.dense",
    "load_dense": "alps_geo.sam.dense",
    "TileMasks": "alps_geo.sam.masks",
    "SamModel": "alps_geo.sam.model",
    "load_model": "alps_geo.sam.model",
    "generate_masks": "alps_geo.sam.generate",
    "place_directions": "alps_geo.sam.place",
    "without_place": "alps_geo.sam.place",
    "memory_errors": "alps_geo.sam.resources",
}


def __getattr__(name: str) -> Any:
    """Import what takes long at its first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
