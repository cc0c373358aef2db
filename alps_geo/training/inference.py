"""Probabilities of classes, as a trained network gives them to the pixels of one window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from alps_geo.errors import ModelError
from alps_geo.sam.memory import memory_errors
from alps_geo.training.networks import load_network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from alps_geo.training.model import TrainedModel
    from alps_geo.training.predict_settings import PredictSettings

_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
_MOST = 255


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network on its device.

    Attributes
    ----------
    network : torch.nn.Module
        The network, in evaluation mode.
    stride : int
        Height and width of its input have to be multiples of it.
    device : torch.device
        Its device.
    precision : str
        ``float32`` or ``bf16``.
    flips : bool
        True to average over flips.
    """

    network: nn.Module
    stride: int
    device: torch.device
    precision: str = "float32"
    flips: bool = False

    @classmethod
    def load(cls, folder: Path, model: TrainedModel, settings: PredictSettings) -> Predictor:
        """Load the network of a trained model.

        Raises
        ------
        ModelError
            If it cannot be used, or there is no such device.
        """
        device = find_device(settings.device)
        with memory_errors():
            network = load_network(folder, model).to(device)
        return cls(network, model.stride, device, settings.precision, settings.flips)

    @memory_errors()
    def probabilities(
        self, values: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """Predict the classes of pixels.

        Parameters
        ----------
        values : ndarray of float32, shape (B, H, W)
            Bands on the scale of the network; padded by reflection to its stride.
        valid : ndarray of bool, shape (H, W)
            True where there is data.

        Returns
        -------
        ndarray of uint8, shape (k, H, W)
            Probability of each class times 255, rounded; 0 without data.

        Raises
        ------
        ModelError
            If the network gives numbers that are none.
        MemoryError
            If memory does not suffice.
        """
        height, width = valid.shape
        down, right = -height % self.stride, -width % self.stride
        padded = np.pad(values, ((0, 0), (0, down), (0, right)), mode="reflect")
        image = torch.from_numpy(padded)[None].to(self.device)
        flips = _FLIPS if self.flips else _FLIPS[:1]
        with torch.inference_mode():
            mean = self._flipped(image, flips[0])
            for axes in flips[1:]:
                mean += self._flipped(image, axes)
            scaled = mean[:, :height, :width] * (_MOST / len(flips))
        if not bool(torch.isfinite(scaled).all()):
            raise ModelError(
                "the network gives values that are no numbers; expected finite weights and bands "
                "like those of its training: check the model and the scene"
            )
        found = scaled.round().to(torch.uint8).cpu().numpy()
        found[:, ~valid] = 0
        return found

    def _flipped(self, image: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return probabilities (k, H, W) of a flipped image, flipped back."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.network(image.flip(axes) if axes else image)
        found: Tensor = logits[0].float().softmax(dim=0)
        return found.flip(axes) if axes else found


def find_device(name: str) -> torch.device:
    """Return the device of a setting: auto is a GPU where there is one.

    Raises
    ------
    ModelError
        If there is no GPU though one is asked for.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ModelError("device is cuda, but torch finds no GPU; give --device cpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")
