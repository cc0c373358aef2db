"""Trained models whose weights are random numbers, for tests of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rasterio
import torch
from affine import Affine
from helpers import DATA

from alps_geo.training.history import EpochFigures
from alps_geo.training.model import (
    BandStatistics,
    Figures,
    ModelClass,
    TrainedModel,
    TrainingData,
)
from alps_geo.training.model_folder import write_model
from alps_geo.training.networks import build_network

if TYPE_CHECKING:
    from pathlib import Path

    from rasterio.windows import Window

CLASSES = (
    ModelClass(0, "water", (0, 0, 255)),
    ModelClass(1, "wood", (0, 90, 0)),
    ModelClass(2, "a field", (230, 200, 60)),
)
STRIDE = 32


def write_random_model(
    folder: Path,
    bands: tuple[str, ...] = ("red", "green", "blue"),
    *,
    classes: tuple[ModelClass, ...] = CLASSES,
    values: str = "native",
    dtype: str = "uint8",
) -> TrainedModel:
    """Write a small network that gives pixels of real scenes all of its classes."""
    model = TrainedModel(
        "linknet",
        "tu-test_resnet",
        tuple(BandStatistics(name, 100.0 + 10 * n, 30.0) for n, name in enumerate(bands)),
        values,
        dtype,
        classes,
        64,
        STRIDE,
        "random",
        (),
        TrainingData("chips", "nobody", "00ff", 1, 1),
        {},
        Figures(1, 1, 1.0, 1.0, 0.0, 0.0, (None,) * len(classes), 0.0, "cpu"),
        {"alps-geo": "0.1.0", "torch": torch.__version__},
    )
    torch.manual_seed(4)
    network = build_network(model.network).network.eval()
    with torch.no_grad():
        # Classes differ by pixels alone, not by a bias; and networks that are trained are sure.
        image = torch.randn(1, len(bands), 64, 64)
        head: Any = network.get_submodule("segmentation_head.0")
        head.bias -= network(image).mean(dim=(0, 2, 3))
        head.weight *= 4 / network(image).std()
        head.bias -= network(image).mean(dim=(0, 2, 3))
    history = [EpochFigures(1, 1.0, 1.0, 0.0, 0.0, 1e-3, 1.0)]
    return write_model(folder, model, network.state_dict(), history)


def cut(path: Path, name: str, window: Window) -> Path:
    """Cut a window out of a real scene."""
    with rasterio.open(DATA / name) as scene:
        profile = {
            **scene.profile,
            "height": window.height,
            "width": window.width,
            "transform": scene.transform @ Affine.translation(window.col_off, window.row_off),
        }
        pixels, kinds = scene.read(window=window), scene.colorinterp
    for key in ("blockxsize", "blockysize", "tiled", "interleave", "compress", "photometric"):
        profile.pop(key, None)
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        file.colorinterp = kinds
    return path
