"""Folders of real image chips, and runs over them, for tests of folders of images."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from helpers import DATA
from PIL import Image
from quarter_tiles import QuarterTiles
from rasterio.errors import NotGeoreferencedWarning

from alps_geo.pipeline.images import label_images
from alps_geo.settings import LabelSettings
from alps_geo.settings.folder import FolderSettings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.runs.address import RunAddress
    from alps_geo.runs.record import RunRecord

SIDE = 64


def naip(row: int, col: int, height: int = SIDE, width: int = SIDE) -> NDArray[np.uint8]:
    """Cut a chip (H, W, 3) of red, green and blue from a real scene."""
    with rasterio.open(DATA / "naip_md_1m.tif") as scene:
        window = rasterio.windows.Window(col, row, width, height)
        chip: NDArray[np.uint8] = np.moveaxis(scene.read([1, 2, 3], window=window), 0, -1)
    return chip


def save(path: Path, pixels: NDArray[Any]) -> Path:
    """Write pixels (H, W) or (H, W, 3 or 4) in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == np.uint8:
        Image.fromarray(pixels).save(path)
        return path
    bands = np.atleast_3d(pixels).transpose(2, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        shape = dict(zip(("count", "height", "width"), bands.shape, strict=True))
        with rasterio.open(path, "w", driver="PNG", dtype=bands.dtype, **shape) as file:
            file.write(bands)
    return path


def make_root(root: Path, train: int = 4, val: int = 2, suffix: str = ".png") -> Path:
    """Make a folder with splits of chips from different places of a scene."""
    for split, count, row in (("train", train, 0), ("val", val, 512)):
        for index in range(count):
            chip = naip(row + SIDE * (index // 8), SIDE * (index % 8) * 2)
            save(root / "img_dir" / split / f"chip.{index}{suffix}", chip)
    return root


def label(root: Path, out: Path | RunAddress | None = None, **more: Any) -> RunRecord:
    """Label a folder with quarters of images as masks."""
    layout = {name: more.pop(name) for name in list(more) if hasattr(FolderSettings, name)}
    run = {name: more.pop(name) for name in ("flags", "listen") if name in more}
    generator = more.pop("generator", QuarterTiles())
    settings = LabelSettings(**{"clusters": 3, "fill": "none", **more})
    return label_images(root, out, settings, FolderSettings(**layout), generator=generator, **run)


def read(path: Path) -> NDArray[Any]:
    """Read an image as it is stored."""
    with Image.open(path) as image:
        return np.asarray(image)


def masks(out: Path) -> dict[str, NDArray[Any]]:
    """Read all masks of a run, by their paths in the folder of masks."""
    place = out / "instance_mask"
    return {
        path.relative_to(place).as_posix(): read(path)
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def files(folder: Path) -> dict[str, bytes]:
    """Read all files of a run but its record and lock, by their paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", "lock")
    }
