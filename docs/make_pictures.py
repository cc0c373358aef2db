"""Writer of the pictures in docs/pictures: the steps of a run, drawn from its own results.

Run it by hand after a change of the method: ``python docs/make_pictures.py RUN``, where RUN is the
folder of ``alps-geo label tests/data/naip_md_1m.tif --out RUN``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
from PIL import Image
from rasterio.features import rasterize
from rasterio.windows import Window
from skimage.segmentation import find_boundaries

import alps_geo

ROOT = Path(__file__).parent.parent
SCENE = ROOT / "tests" / "data" / "naip_md_1m.tif"
TRUTH = ROOT / "tests" / "data" / "naip_md_1m_landcover.tif"
NAMES = {1: "water", 2: "trees", 3: "low vegetation", 4: "barren", 5: "impervious", 6: "road"}
OUT = ROOT / "docs" / "pictures"
PART = Window(400, 250, 480, 480)
"""Part of the scene that is shown."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def main() -> None:
    """Write all pictures."""
    OUT.mkdir(exist_ok=True)
    run = alps_geo.open_run(sys.argv[1])
    image = imagery()
    labels = Path(sys.argv[1]) / SCENE.stem / "labels.tif"
    ids = part_of(run.segment_ids())
    save(image, "image")
    save(with_borders(image, masks(run)), "masks")
    save(with_borders(image, ids), "segments")
    save(coloured(part_of(labels), palette(labels)), "clusters")
    save(classes(Path(sys.argv[1])), "classes")


def imagery() -> Pixels:
    """Read red, green and blue (H, W, 3) of the part."""
    with rasterio.open(SCENE) as scene:
        pixels: Pixels = np.moveaxis(scene.read([1, 2, 3], window=PART), 0, -1)
    return pixels


def part_of(path: Path) -> np.ndarray[Any, Any]:
    """Read the part of a raster of ids."""
    with rasterio.open(path) as raster:
        ids: np.ndarray[Any, Any] = raster.read(1, window=PART)
    return ids


def masks(run: alps_geo.Run) -> np.ndarray[Any, Any]:
    """Draw the segments that SAM found as ids, 0 elsewhere."""
    found = run.segments()
    found = found[found["source"] == "sam"]
    with rasterio.open(SCENE) as scene:
        transform = scene.window_transform(PART)
    shapes = zip(found.geometry, found["segment_id"], strict=True)
    ids: np.ndarray[Any, Any] = rasterize(
        shapes, out_shape=(PART.height, PART.width), transform=transform, dtype="uint32"
    )
    return ids


def with_borders(image: Pixels, ids: np.ndarray[Any, Any]) -> Pixels:
    """Draw the borders of segments over the image, in yellow."""
    drawn = image.copy()
    borders: np.ndarray[Any, Any] = find_boundaries(ids, mode="inner")  # type: ignore[no-untyped-call]
    drawn[borders] = 255, 230, 0
    return drawn


def palette(path: Path) -> Pixels:
    """Read the colours of ids (256, 3) from a raster."""
    with rasterio.open(path) as raster:
        found = raster.colormap(1)
    return np.array([found.get(i, (255, 255, 255))[:3] for i in range(256)], np.uint8)


def coloured(ids: np.ndarray[Any, Any], colours: Pixels) -> Pixels:
    """Return ids in their colours (H, W, 3)."""
    drawn: Pixels = colours[ids]
    return drawn


def classes(run: Path) -> Pixels:
    """Classify a copy of the run as a person would: three times twenty suggested segments."""
    with TemporaryDirectory() as folder:
        copied = copytree(run, Path(folder) / "run")
        suggested = copied / "suggested.gpkg"
        program: list[str | Path] = [
            sys.executable,
            "-c",
            "from alps_geo_cli.main import run; run()",
            "classify",
        ]
        subprocess.run([*program, copied, "--suggest", "20"], check=True)
        for _ in range(3):
            fill_in(suggested, copied)
            more = ("--suggest", "20", "--samples", suggested)
            subprocess.run([*program, copied, *more], check=True)
        path = copied / SCENE.stem / "classes.tif"
        return coloured(part_of(path), palette(path))


def fill_in(suggested: Path, run: Path) -> None:
    """Fill in the class of suggested segments of which the truth has 80 % or more."""
    with rasterio.open(alps_geo.open_run(run).segment_ids()) as raster:
        ids = raster.read(1).ravel()
    with rasterio.open(TRUTH) as truth:
        known = truth.read(1).ravel()
    counts = np.zeros((ids.max() + 1, 256), np.int64)
    np.add.at(counts, (ids, known), 1)
    best, pure = counts.argmax(axis=1), counts.max(axis=1) >= 0.8 * counts.sum(axis=1)
    layer = gpd.read_file(suggested)
    layer["class"] = [NAMES.get(best[i]) if pure[i] else None for i in layer["segment_id"]]
    layer.to_file(suggested, layer="suggested")


def save(pixels: Pixels, name: str) -> None:
    """Write a picture; flat colours as a small PNG, imagery as JPEG."""
    image = Image.fromarray(pixels)
    if name in ("clusters", "classes"):
        image.quantize(64, dither=Image.Dither.NONE).save(OUT / f"{name}.png", optimize=True)
    else:
        image.save(OUT / f"{name}.jpg", quality=80, optimize=True)


if __name__ == "__main__":
    main()
