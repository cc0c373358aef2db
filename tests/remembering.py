"""An image encoder that remembers, for tests that are not about encoding."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import torch

from alps_geo.sam.model import load_model

if TYPE_CHECKING:
    from alps_geo.sam.model import SamModel

_MOST_IMAGES = 32

_KNOWN: OrderedDict[bytes, torch.Tensor] = OrderedDict()
"""Embeddings of 4 MiB by weights and pixels, those asked for last at the end."""


class Remembering(torch.nn.Module):
    """An encoder that encodes an image once only, since each takes a second."""

    def __init__(self, encoder: torch.nn.Module, weights: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.weights = weights

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        key = sha256(self.weights.encode() + pixels.contiguous().numpy().tobytes()).digest()
        found = _KNOWN.pop(key) if key in _KNOWN else self.encoder(pixels)
        _KNOWN[key] = found
        if len(_KNOWN) > _MOST_IMAGES:
            _KNOWN.popitem(last=False)
        return found.clone()


def remembering(model: SamModel) -> SamModel:
    return replace(model, encoder=Remembering(model.encoder, model.sha256))


def load_remembering(*arguments: Any) -> SamModel:
    """Load a model as `load_model` does, on the CPU in float32 with an encoder that remembers."""
    model = load_model(*arguments)
    return remembering(model) if (model.device, model.dtype) == ("cpu", "float32") else model
