"""SAM models: loading, devices, precisions and encoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from alps_geo.errors import ModelError, SettingsError
from alps_geo.sam.checkpoints import check_state
from alps_geo.sam.decoder import Decoder
from alps_geo.sam.encoder import fuse_attention, to_input, vit_encoder
from alps_geo.sam.memory import NO_ROOM, images_at_once, in_halves, memory_errors
from alps_geo.sam.network import DecoderNetwork
from alps_geo.sam.settings import DEVICES, PRECISIONS
from alps_geo.sam.tiny_vit import TinyVitEncoder, fold_norms
from alps_geo.sam.weights import model_spec, read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    Embedding = Tensor
    """Result of `SamModel.encode`, for code that only passes it on."""

_DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))


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

    def __str__(self) -> str:
        return f"{self.name} on {self.device}"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as a torch dtype."""
        return _DTYPES[self.dtype]

    @property
    def images_at_once(self) -> int:
        """Images to give to `encode_many` at once: one, more on a GPU."""
        return images_at_once(self.device)

    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Encode an (H, W, 3) uint8 image to (1, 256, 64, 64) float32, padding included.

        Raises
        ------
        SettingsError
            If the image has another shape or dtype.
        ModelMemoryError
            If memory doesn't suffice.
        """
        (embedding,) = self.encode_many([image])
        return embedding

    @torch.inference_mode()
    def encode_many(self, images: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """Encode images together, in halves if memory runs out; each as `encode` does.

        Raises
        ------
        SettingsError
            If an image has another shape or dtype.
        ModelMemoryError
            If memory doesn't suffice for one of them.
        """
        if not images:
            return []
        for image in images:
            _check_image(image)
        parts = in_halves(self._encode_together, images, model=str(self), kind="image")
        return [embedding for part in parts for embedding in torch.split(part, 1)]

    def _encode_together(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        device = torch.device(self.device)
        pixels = torch.cat([to_input(image, device, self.torch_dtype) for image in images])
        embeddings: Tensor = self.encoder(pixels)
        return embeddings.float()


@memory_errors(NO_ROOM)
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
        "float32", in which masks equal segment_anything's; or, where the device computes in it,
        "bf16" (GPUs, processors with such instructions) or "fp16" (GPUs), which are faster and
        change some masks.

    Returns
    -------
    SamModel

    Raises
    ------
    ModelError
        If the model or device is unknown or absent, the device only emulates the dtype, the
        weights cannot be used, or memory doesn't suffice for them (`ModelMemoryError`).
    """
    model_spec(name)
    device = choose_device(device)
    if dtype not in PRECISIONS:
        raise ModelError(f"there is no dtype {dtype!r}, expected one of {', '.join(PRECISIONS)}")
    if dtype not in (quick := quick_dtypes(device)):
        raise ModelError(
            f"dtype {dtype} was asked for on a {device.upper()} that only emulates it, many times "
            f"slower than float32; expected {' or '.join(quick)}"
        )
    path = None if checkpoint is None else Path(checkpoint)
    network, sha256 = _load_network(name, path)
    network.to(device)
    encoder = network.image_encoder.to(dtype=_DTYPES[dtype])
    return SamModel(name, sha256, device, dtype, encoder, Decoder(network, _DTYPES[dtype]))


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


def describe_device(device: str = "auto") -> str:
    """Name a device, with the name of a GPU: ``cuda (NVIDIA H100 80GB HBM3)``."""
    device = choose_device(device)
    return f"{device} ({torch.cuda.get_device_name()})" if device == "cuda" else device


def quick_dtypes(device: str) -> tuple[str, ...]:
    """List the `PRECISIONS` in which a device that is there computes rather than emulates.

    A processor without instructions for bf16 took eighty times as long for a product in it as in
    float32.
    """
    if device != "cpu":
        return PRECISIONS
    has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return ("float32", "bf16") if has_bf16 else ("float32",)


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise SettingsError(
            f"the image is {image.dtype} of shape {image.shape}, expected uint8 of (H, W, 3)"
        )


class _Network(DecoderNetwork):
    """A whole SAM."""

    def __init__(self, image_encoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder


def _load_network(name: str, checkpoint: Path | None) -> tuple[_Network, str]:
    """Load a SAM in float32 on the CPU, and its file's SHA-256."""
    state, sha256 = read_weights(name, checkpoint)
    state = {key: tensor.float() for key, tensor in state.items()}
    # Without memory of its own, the network takes the tensors of the file as they are.
    with torch.device("meta"):
        network = _Network(TinyVitEncoder() if name == "mobile_sam" else vit_encoder(name))
    if name == "mobile_sam":
        state = fold_norms(state)
    check_state(network.state_dict(), state, checkpoint or model_spec(name).path)
    network.load_state_dict(state, strict=False, assign=True)
    network.eval().requires_grad_(False)
    if name != "mobile_sam":
        fuse_attention(network.image_encoder)
    # Convolutions are quicker with the channels of a pixel side by side.
    network.image_encoder.to(memory_format=torch.channels_last)
    return network, sha256
