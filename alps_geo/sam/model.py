"""A loaded model on its device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from alps_geo.errors import ModelError
from alps_geo.sam.decoder import Decoder
from alps_geo.sam.encoder import MEAN, STD, TinyVitEncoder, fuse_attention, fuse_norms, to_input
from alps_geo.sam.frame import CELL, SIDE
from alps_geo.sam.settings import DEVICES
from alps_geo.sam.weights import model_spec, read_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, eq=False)
class SamModel:
    """A SAM, ready to encode tiles and decode points.

    Attributes
    ----------
    name : str
        A key of `alps_geo.sam.weights.MODELS`.
    sha256 : str
        Digest of the weights file, in hexadecimal.
    device : str
        "cpu", "cuda" or "mps".
    dtype : str
        "float32", "bf16" or "fp16".
    encoder : torch.nn.Module
        (B, 3, 1024, 1024) normalised pixels to (B, 256, 64, 64).
    decoder : alps_geo.sam.decoder.Decoder
        Embeddings and points to masks.
    """

    name: str
    sha256: str
    device: str
    dtype: str
    encoder: nn.Module
    decoder: Decoder

    @property
    def torch_dtype(self) -> torch.dtype:
        """What `dtype` is called in torch."""
        return DTYPES[self.dtype]

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Encode an (H, W, 3) uint8 image to (1, 256, 64, 64) float32, padding included."""
        pixels = to_input(image, torch.device(self.device)).to(self.torch_dtype)
        embedding: Tensor = self.encoder(pixels.contiguous(memory_format=torch.channels_last))
        return embedding.float()


def load_model(
    name: str = "mobile_sam",
    checkpoint: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
) -> SamModel:
    """Load a SAM.

    Parameters
    ----------
    name : str
        "mobile_sam", which ships with the package, or "vit_b", "vit_l", "vit_h", whose weights are
        downloaded into the user's cache unless `checkpoint` is given.
    checkpoint : path, optional
        A weights file of that model type: safetensors or a PyTorch state dict.
    device : str
        "cpu", "cuda", "mps", or "auto" for the best one there is.
    dtype : str
        "float32", in which masks equal segment_anything's; or "bf16" or, on a GPU, "fp16", which
        are faster and change some masks.

    Returns
    -------
    SamModel

    Raises
    ------
    ModelError
        If the model or device is unknown or absent, or the weights cannot be used.
    """
    model_spec(name)
    place = choose_device(device)
    if dtype not in DTYPES:
        raise ModelError(f"there is no dtype {dtype!r}, expected one of {', '.join(DTYPES)}")
    if dtype == "fp16" and place == "cpu":
        raise ModelError(
            "dtype fp16 was asked for on a CPU, where it is many times slower than float32; "
            "expected float32 or bf16"
        )
    path = None if checkpoint is None else Path(checkpoint)
    sam, sha256 = load_network(name, path)
    if name == "mobile_sam":
        fuse_norms(sam.image_encoder)
    else:
        fuse_attention(sam.image_encoder)
    sam.to(place)
    # Convolutions are quicker with the channels of a pixel side by side.
    encoder = sam.image_encoder.to(dtype=DTYPES[dtype], memory_format=torch.channels_last)
    return SamModel(name, sha256, place, dtype, encoder, Decoder(sam, DTYPES[dtype]))


def load_network(name: str, checkpoint: Path | None = None) -> tuple[Sam, str]:
    """Load a SAM as segment_anything's own class, in float32 on the CPU, with its file's SHA-256.

    Raises
    ------
    ModelError
        If the weights cannot be used.
    """
    state, sha256 = read_weights(name, checkpoint)
    sam = _build_mobile_sam() if name == "mobile_sam" else sam_model_registry[name]()
    _load_state(sam, state, checkpoint or model_spec(name).path)
    return sam.eval().requires_grad_(False), sha256


def choose_device(device: str) -> str:
    """Resolve "auto" and check that the device is there.

    Raises
    ------
    ModelError
        If the device is unknown, or this machine or this build of torch has none.
    """
    if device not in DEVICES:
        raise ModelError(f"there is no device {device!r}, expected one of {', '.join(DEVICES)}")
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, is_there in present.items() if is_there)
    if not present[device]:
        raise ModelError(
            f"device {device} was asked for, but torch {torch.__version__} finds none here; "
            "use --device auto or cpu, or mend the driver"
        )
    return device


def _build_mobile_sam() -> Sam:
    grid = SIDE // CELL, SIDE // CELL
    return Sam(
        image_encoder=TinyVitEncoder(),
        prompt_encoder=PromptEncoder(256, grid, (SIDE, SIDE), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            transformer_dim=256,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048),
        ),
        pixel_mean=list(MEAN),
        pixel_std=list(STD),
    )


def _load_state(sam: Sam, state: dict[str, Tensor], path: Path) -> None:
    """Copy a state dict into the network, asking for every tensor and every shape."""
    wanted = {k: v for k, v in sam.state_dict().items() if not k.endswith("num_batches_tracked")}
    missing = sorted(wanted.keys() - state.keys())
    shaped_otherwise = sorted(
        k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape
    )
    if missing or shaped_otherwise:
        example = (missing or shaped_otherwise)[0]
        raise ModelError(
            f"{path}: the checkpoint lacks {len(missing)} tensors and has "
            f"{len(shaped_otherwise)} of another shape (such as {example}); "
            "expected all tensors of the model"
        )
    sam.load_state_dict(state, strict=False)
