"""Data of the benchmark of pre-training: parts of scenes, pseudo-labels, shares of the truth."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import rasterio
from PIL import Image
from rasterio.features import rasterize
from rasterio.windows import Window
from typed_settings import typed_values

from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.review.export import export_run
from alps_geo.runs.flags import RunFlags
from alps_geo.settings import LabelSettings
from alps_geo.settings.keywords import settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CHIP = 256
"""Side of a chip in pixels."""

TEST_SHARE, GAP, SQUARE = 0.35, 32, 16
UNLABELLED = 255


@dataclass(frozen=True)
class Parts:
    """The parts of a scene and its truth, as files, and the values that are no class."""

    name: str
    folder: Path
    ignored: tuple[str, ...]

    def file(self, part: str) -> Path:
        """Name the file of a part: train, train_truth, test or test_truth."""
        return self.folder / f"{part}.tif"

    def labels(self, share: float, seed: int) -> Path:
        """Name the file of a share of the truth."""
        return self.folder / f"labels-{share:g}-{seed}.tif"


def cut_scene(pair: Sequence[str], out: Path) -> Parts:
    """Cut a scene and its truth into a part that trains and one that tests."""
    scene, truth, ignored = pair
    parts = Parts(Path(scene).stem, out / Path(scene).stem, tuple(ignored.split(",")))
    parts.folder.mkdir(parents=True, exist_ok=True)
    for path, end in ((scene, ""), (truth, "_truth")):
        with rasterio.open(path) as source:
            rows, cols = source.shape
            first = round((1 - TEST_SHARE) * max(rows, cols))
            windows = {"train": (0, first), "test": (first + GAP, max(rows, cols))}
            for part, (start, stop) in windows.items():
                size = stop - start
                window = (
                    Window(0, start, cols, size) if rows > cols else Window(start, 0, size, rows)
                )
                if not parts.file(part + end).exists():
                    _write_part(source, window, parts.file(part + end))
    return parts


def _write_part(source: rasterio.DatasetReader, window: Window, path: Path) -> None:
    profile = source.profile | {
        "width": window.width,
        "height": window.height,
        "transform": source.window_transform(window),
        "driver": "GTiff",
        "tiled": False,
    }
    for key in ("blockxsize", "blockysize"):
        profile.pop(key, None)
    with rasterio.open(path, "w", **profile) as target:
        target.write(source.read(window=window))


def pseudo_labelled(parts: Parts, labelling: str, confidence: float = 0) -> Path:
    """Label the part that trains with settings as typed, and return the folder of its chips.

    Segments whose confidence is lower are unlabelled in them. Labels and chips that are there are
    used again.
    """
    folder = parts.folder / "labels" / (labelling.replace(" ", ",").replace("/", "") or "default")
    chips = folder / (f"chips-{confidence:g}" if confidence else "chips")
    if chips.exists():
        return chips
    values = {"clusters": 24, **typed_values(LabelSettings, labelling)}
    label_scenes(
        [str(parts.file("train"))],
        folder / "run",
        settings_from(values, {}),
        RunFlags(),
    )
    settings = ExportSettings(
        chip_size=CHIP, overlap=CHIP // 2, split=(0.8, 0.2, 0.0), min_labelled=0
    )
    made = folder / "made"
    shutil.rmtree(made, ignore_errors=True)
    export_run(folder / "run", "mmseg", made, settings)
    if confidence:
        _leave_out(folder / "run" / "train" / "segments.gpkg", parts, made, confidence)
    return made.rename(chips)


def _leave_out(segments: Path, parts: Parts, chips: Path, confidence: float) -> None:
    """Leave pixels of segments unlabelled whose confidence is lower."""
    frame = gpd.read_file(segments, layer="segments")
    doubtful = frame.geometry[frame.confidence < confidence]
    with rasterio.open(parts.file("train")) as scene:
        shape, transform = scene.shape, scene.transform
    left_out = (
        rasterize(doubtful, shape, transform=transform).astype(bool)
        if len(doubtful)
        else np.zeros(shape, bool)
    )
    print(f"below confidence {confidence:g}: {left_out.mean():.1%} of the pixels")
    with (chips / "chips.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = chips / "ann_dir" / row["split"] / f"{row['chip']}.png"
            top, left, height, width = (int(row[k]) for k in ("row", "col", "height", "width"))
            _unlabel(path, left_out[top : top + height, left : left + width])


def _unlabel(path: Path, pixels: NDArray[np.bool_]) -> None:
    with Image.open(path) as picture:
        mask, palette = np.array(picture), picture.getpalette()
    mask[: pixels.shape[0], : pixels.shape[1]][pixels] = UNLABELLED
    changed = Image.fromarray(mask)
    if palette is not None:
        changed.putpalette(palette)
    changed.save(path)


def few_labels(parts: Parts, share: float, seed: int) -> None:
    """Write a truth of some squares alone: a share of each square of the size of a chip."""
    if parts.labels(share, seed).exists():
        return
    draw = np.random.default_rng(seed)
    with rasterio.open(parts.file("train_truth")) as source:
        truth, profile = source.read(1), source.profile | {"nodata": int(parts.ignored[0])}
    per_chip = CHIP // SQUARE
    rows, cols = (-(-side // CHIP) for side in truth.shape)
    order = draw.random((rows, cols, per_chip**2)).argsort(axis=2).argsort(axis=2)
    kept = order < max(1, round(share * per_chip**2))
    squares = kept.reshape(rows, cols, per_chip, per_chip).swapaxes(1, 2)
    pixels = squares.reshape(rows * per_chip, cols * per_chip)
    pixels = pixels.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)
    truth[~pixels[: truth.shape[0], : truth.shape[1]]] = profile["nodata"]
    with rasterio.open(parts.labels(share, seed), "w", **profile) as target:
        target.write(truth, 1)
