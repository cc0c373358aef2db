"""segment_anything's own network with the same weights, to compare the mask engine with.

The engine needs nothing of this: what it costs to import, an engine at work does without.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import timm
from segment_anything import sam_model_registry
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn

from alps_geo.sam.frame import CHANNELS, SIDE
from alps_geo.sam.weights import read_weights

if TYPE_CHECKING:
    from pathlib import Path

    from segment_anything.modeling import Sam


class ReferenceTinyVit(nn.Module):
    """MobileSAM's image encoder, put together from timm's and segment_anything's parts."""

    img_size = SIDE

    def __init__(self) -> None:
        super().__init__()
        trunk: Any = timm.create_model("tiny_vit_5m_224", num_classes=0)
        # MobileSAM doesn't halve the grid before its last stage, so that it ends at 64 x 64.
        trunk.stages[3].downsample.conv2.conv.stride = (1, 1)
        parts = OrderedDict(patch_embed=trunk.patch_embed, stages=trunk.stages)
        self.trunk = nn.Sequential(parts)
        self.neck = nn.Sequential(
            nn.Conv2d(320, CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, 1024, 1024) normalised pixels to (B, 256, 64, 64)."""
        embedding: Tensor = self.neck(self.trunk(x))
        return embedding


def load_reference(name: str, checkpoint: Path | None = None) -> Sam:
    """Load a SAM as segment_anything's own class, in float32 on the CPU.

    Parameters
    ----------
    name : str
        A key of `alps_geo.sam.weights.MODELS`.
    checkpoint : pathlib.Path, optional
        As for `alps_geo.sam.load_model`.

    Raises
    ------
    ModelError
        If the weights cannot be used.
    """
    state, _ = read_weights(name, checkpoint)
    sam = sam_model_registry["vit_b" if name == "mobile_sam" else name]()
    if name == "mobile_sam":
        sam.image_encoder = ReferenceTinyVit()
    sam.load_state_dict(state, strict=False)
    return sam.eval().requires_grad_(False)
