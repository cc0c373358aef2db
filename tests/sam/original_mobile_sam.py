"""MobileSAM's own network with random weights, and its answers: ``original_mobile_sam.py FOLDER``.

A program of its own, since importing ``mobile_sam`` replaces TinyViT in timm's registry.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch


def load_class() -> Any:
    """Build the network, without the warnings of its import about timm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mobile_sam import sam_model_registry

    torch.manual_seed(0)
    return sam_model_registry["vit_t"]().requires_grad_(False)


def randomise(network: Any) -> None:
    """Fill in what a new network has zeros and ones for."""
    for name, values in network.state_dict().items():
        if name.endswith("running_var"):
            torch.nn.init.uniform_(values, 0.5, 1.5)
        elif ("bn." in name and values.ndim) or name.endswith("attention_biases"):
            torch.nn.init.normal_(values, std=0.5)


def fuse(network: Any) -> None:
    """Replace every convolution with a batch norm by MobileSAM's own fusion of the two."""
    for name, part in network.named_children():
        if hasattr(part, "fuse"):
            setattr(network, name, part.fuse())
        else:
            fuse(part)


def answers(network: Any, image: Any, points: torch.Tensor) -> dict[str, torch.Tensor]:
    """Embed an image that needs no resizing, and decode points on it, (x, y) in pixels."""
    pixels = network.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None])
    # In float32 the original encoder strays from itself in float64 much farther than ours does.
    network.image_encoder.double().eval()
    embedding = network.image_encoder(pixels.double())
    sparse, dense = network.prompt_encoder(
        points=(points[:, None], torch.ones(len(points), 1)), boxes=None, masks=None
    )
    logits, iou = network.mask_decoder(
        image_embeddings=embedding.float(),
        image_pe=network.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    return {"embedding": embedding, "logits": logits, "iou": iou}


def main(folder: Path) -> None:
    network = load_class()
    randomise(network)
    torch.save(network.state_dict(), folder / "mobile_sam.pt")
    image = np.random.default_rng(0).integers(0, 256, (700, 1024, 3), dtype=np.uint8)
    points = torch.tensor([[100.0, 600.0], [512.0, 300.0], [930.0, 60.0]])
    found = answers(network, image, points)
    arrays: dict[str, Any] = {"image": image, "points": points, **found}
    np.savez(folder / "answers.npz", **arrays)
    fuse(network.image_encoder)
    torch.save(network.state_dict(), folder / "fused.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
