"""Folders of small real chips with land cover as masks, and short trainings on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from helpers import DATA
from PIL import Image
from rasterio.windows import Window

from alps_geo.training.finetune import FinetuneRequest, finetune
from alps_geo.training.out_folder import OutFlags
from alps_geo.training.pretrain import pretrain
from alps_geo.training.settings import FinetuneSettings, PretrainSettings

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.training.model import TrainedModel

SIDE = 40
"""Side of a chip in pixels, no multiple of any stride."""

SHORT: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 3,
    "device": "cpu",
    "checkpoint_minutes": 0.0,
    "learning_rate": 0.01,
}
"""Settings of a training of seconds."""

SMALL: dict[str, Any] = {
    **SHORT,
    "arch": "linknet",
    "encoder": "tu-test_resnet",
    "weights": "random",
}
"""The same with a network of 0.4 million weights."""


def make_chips(
    root: Path,
    train: int = 5,
    val: int = 2,
    bands: tuple[int, ...] = (1, 2, 3, 4),
    dtype: str = "uint8",
) -> Path:
    """Write chips of a real scene in the layout of mmseg, as GeoTIFFs that lie on the map."""
    names = [str(number) for number in range(16)]
    for split, count, row in (("train", train, 0), ("val", val, 400)):
        for index in range(count):
            window = Window(index * SIDE * 2, row, SIDE, SIDE)
            _write_chip(root, split, f"chip{index}", window, bands, dtype)
    info = {"classes": names, "img_suffix": ".tif", "seg_map_suffix": ".png"}
    (root / "metainfo.json").write_text(json.dumps(info))
    return root


def _write_chip(
    root: Path, split: str, name: str, window: Window, bands: tuple[int, ...], dtype: str
) -> None:
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        numbers = [(each - 1) % scene.count + 1 for each in bands]
        pixels = scene.read(numbers, window=window).astype(dtype) * (np.iinfo(dtype).max // 255)
        transform, crs = (
            scene.transform @ Affine.translation(window.col_off, window.row_off),
            scene.crs,
        )
    with rasterio.open(DATA / "naip_md_1m_landcover.tif") as truth:
        mask = truth.read(1, window=window)
    image = root / "img_dir" / split / f"{name}.tif"
    image.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": len(bands), "height": SIDE, "width": SIDE, "dtype": dtype}
    with rasterio.open(
        image, "w", driver="GTiff", transform=transform, crs=crs, alpha="NO", **shape
    ) as file:
        file.write(pixels)
    write_mask(root, split, name, mask)


def write_mask(root: Path, split: str, name: str, values: np.ndarray[Any, Any]) -> None:
    """Write a mask of bytes."""
    path = root / "ann_dir" / split / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def train_small(root: Path, out: Path, **changes: Any) -> TrainedModel:
    """Pre-train a small network; flags and listener are among the keywords."""
    more = {name: changes.pop(name) for name in ("listen",) if name in changes}
    flags = OutFlags(changes.pop("resume", False), changes.pop("overwrite", False))
    return pretrain(root, out, PretrainSettings(**{**SMALL, **changes}), flags, **more)


def tune_small(root: Path, parent: Path, out: Path, **changes: Any) -> TrainedModel:
    """Fine-tune a model."""
    more = {name: changes.pop(name) for name in ("listen",) if name in changes}
    request = FinetuneRequest(root, parent, changes.pop("labels", None))
    flags = OutFlags(changes.pop("resume", False), changes.pop("overwrite", False))
    return finetune(request, out, FinetuneSettings(**{**SHORT, **changes}), flags, **more)
